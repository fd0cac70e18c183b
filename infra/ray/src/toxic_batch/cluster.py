"""Start Ray on this machine, or join a Ray cluster.

Invariant: if Ray can't be started or reached, the error is one message with the cause and a remedy.
"""

import logging

import ray
from ray.data import DataContext

from toxic_core.errors import ConfigurationError


def start(address: str | None) -> None:
    """Join the cluster at `address`, or start Ray on this machine without its dashboard.

    Raises:
        ConfigurationError: Ray doesn't start, or no cluster answers at the address.
    """
    try:
        if address is None:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises bare ones too: a wrong address, a full disk, a busy machine
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        if address is None:
            raise ConfigurationError(
                f"Ray doesn't start on this machine: {reason}. It needs about 1 GiB of free memory and room "
                "in shared memory and the temporary folder; name a running cluster by --address otherwise."
            ) from error
        raise ConfigurationError(
            f"No Ray cluster can be joined at {address}: {reason}. Check --address and that the cluster "
            "runs (ray status), or leave --address out to run on this machine."
        ) from error
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.enable_operator_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def room(*, worker_cpus: int, worker_gpus: float) -> int:
    """Return how many workers fit on the cluster's CPUs and GPUs."""
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray left its types out here
    fitting = int(resources.get("CPU", 1)) // worker_cpus
    if worker_gpus:
        fitting = min(fitting, int(resources.get("GPU", 0) / worker_gpus))
    return max(1, fitting)
