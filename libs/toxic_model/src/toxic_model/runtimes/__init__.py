"""The runtimes that can compute a SavedModel, fastest on a CPU first.

A new runtime is one module here and one entry below.
"""

from toxic_model.runtimes.openvino import OPENVINO
from toxic_model.runtimes.tensorflow import TENSORFLOW

RUNTIMES = (OPENVINO, TENSORFLOW)

__all__ = ["OPENVINO", "RUNTIMES", "TENSORFLOW"]
