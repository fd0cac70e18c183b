"""Which runtimes may compute models here, by settings and machine."""

from collections.abc import Sequence

from toxic_core.errors import ConfigurationError
from toxic_core.openvino_model import installed
from toxic_inference.adapters.nvidia import NvidiaReader
from toxic_inference.adapters.openvino_runtime import OpenVinoRuntime
from toxic_inference.adapters.runtime import Runtime
from toxic_inference.adapters.tf_runtime import TensorflowRuntime
from toxic_inference.settings import Settings


def choose_runtimes(settings: Settings) -> Sequence[Runtime]:
    """Return what may compute models, the fastest first: on a GPU TensorFlow alone.

    Raises:
        ConfigurationError: the runtime that is asked for isn't installed.
    """
    openvino = OpenVinoRuntime(threads=settings.compute_threads, lower_precision=settings.precision == "auto")
    match settings.runtime:
        case "tensorflow":
            return (TensorflowRuntime(),)
        case "openvino" if not installed():
            raise ConfigurationError(
                "INFERENCE_RUNTIME is openvino, which isn't installed. Install it (pip install openvino), or "
                "let the service choose: INFERENCE_RUNTIME=auto."
            )
        case "openvino":
            return (openvino,)
        case "auto" if NvidiaReader().read() or not installed():
            return (TensorflowRuntime(),)
        case "auto":
            return (openvino, TensorflowRuntime())
