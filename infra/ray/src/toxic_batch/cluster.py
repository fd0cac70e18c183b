"""Where a job runs: on this machine alone, or on a Ray cluster.

Owns Ray's start. Invariant: a Ray that can't be started or reached ends in one sentence that says what to do.
"""

import logging
from dataclasses import dataclass

import ray
from ray.data import DataContext
from ray.exceptions import RayError

from toxic_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the job runs.

    Attributes:
        address: of a running Ray cluster; None for this machine alone.
        workers: model copies at work; None for as many as there are CPUs for.
        worker_cpus: of each.
        worker_gpus: of each.
    """

    address: str | None
    workers: int | None
    worker_cpus: int
    worker_gpus: float


def start(cluster: Cluster) -> None:
    """Join the cluster, or start a Ray of this machine's own, without its dashboard.

    Raises:
        ConfigurationError: Ray doesn't start, or no cluster answers at the address.
    """
    try:
        if cluster.address is None:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    # What Ray raises here differs by how it fails, from a wrong address to a full disk.
    except (RayError, RuntimeError, ValueError, OSError) as error:
        raise ConfigurationError(_reason(cluster, error)) from error
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.enable_operator_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def room(cluster: Cluster) -> int:
    """Return how many workers the cluster's CPUs and GPUs have room for."""
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
