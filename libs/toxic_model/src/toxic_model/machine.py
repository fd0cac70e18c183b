"""What this process can compute on: processors and GPUs."""

import hashlib
import math
import os
import platform
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_UNLIMITED = ("max", "-1")


@cache
def gpu_present() -> bool:
    """Return whether there is a GPU that an installed library can use.

    The driver's library (NVML) decides if the package `nvidia-ml-py` is installed. Without it a GPU counts if
    the CUDA packages of `tensorflow[and-cuda]` are installed: a CPU build of TensorFlow can't use a GPU.
    """
    try:
        import pynvml  # noqa: PLC0415  optional
    except ImportError:
        return find_spec("nvidia") is not None and Path("/dev/nvidia0").exists()
    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount()) > 0
    except pynvml.NVMLError:
        return False


@cache
def processor() -> str:
    """Return the model of this machine's processors, and a digest of their instructions."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    model = facts.get("model name") or platform.processor() or platform.machine()
    instructions = facts.get("flags") or facts.get("Features") or ""
    return f"{model}, {hashlib.sha256(instructions.encode()).hexdigest()[:8]}"


def usable_processors(root: Path = Path("/")) -> int:
    """Return how many processors this process may use: its affinity, or its container's quota, rounded up.

    Args:
        root: the folder in which `proc` and `sys` are.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quota, in processors, of each control group that this process is in and that has one."""
    groups = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    # Inside a container its own group is at the top, on any path.
    paths = [Path(line[len("0::/") :]) for line in lines if line.startswith("0::/")]
    files = [[groups / above / "cpu.max"] for path in paths for above in (path, *path.parents)]
    version_1 = [groups / "cpu/cpu.cfs_quota_us", groups / "cpu/cpu.cfs_period_us"]
    for group in (*files, version_1):
        try:
            quota, period = " ".join(file.read_text(encoding="utf-8") for file in group).split()
        except (OSError, ValueError):
            continue
        if quota not in _UNLIMITED:
            yield int(quota) / int(period)
