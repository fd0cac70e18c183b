"""Whether this process can compute on an NVIDIA GPU."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path


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
