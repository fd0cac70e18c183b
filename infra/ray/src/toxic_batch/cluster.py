"""Start Ray on this machine, or join a Ray cluster.

Invariant: if Ray can't be started or reached, the error is one message with the cause and a remedy.
"""

import logging
from dataclasses import dataclass

import ray
from ray.data import DataContext

from toxic_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Cluster:
    """The machines that a job runs on.

    Attributes:
        address: of a running Ray cluster; None for only this machine.
        workers: copies of the model; None for as many as the CPUs allow.
        worker_cpus: of each.
        worker_gpus: of each.
    """

    address: str | None
    workers: int | None
    worker_cpus: int
    worker_gpus: float


def start(cluster: Cluster) -> None:
    """Join the cluster, or start Ray on this machine without its dashboard.

    Raises:
        ConfigurationError: Ray doesn't start, or no cluster answers at the address.
    """
    try:
        if cluster.address is None:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises bare ones too: a wrong address, a full disk, a busy machine
        raise ConfigurationError(_reason(cluster, error)) from error
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.enable_operator_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def room(cluster: Cluster) -> int:
    """Return how many workers fit on the cluster's CPUs and GPUs."""
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray left its types out here
    fitting = int(resources.get("CPU", 1)) // cluster.worker_cpus
    if cluster.worker_gpus:
        fitting = min(fitting, int(resources.get("GPU", 0) / cluster.worker_gpus))
    return max(1, fitting)


def _reason(cluster: Cluster, error: Exception) -> str:
    said = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    if cluster.address is None:
        return (
            f"Ray doesn't start on this machine: {said}. It needs about 1 GiB of free memory and room in "
            "shared memory and the temporary folder; name a running cluster by --address otherwise."
        )
    return (
        f"No Ray cluster can be joined at {cluster.address}: {said}. Check --address and that the cluster "
        "runs (ray status), or leave --address out to run on this machine."
    )
