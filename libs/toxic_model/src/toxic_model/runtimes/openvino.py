"""OpenVINO as a runtime: on a CPU it is faster than TensorFlow and starts seconds earlier.

It reads SavedModels, and packed models without TensorFlow.

Invariant: token ids that the model's embeddings don't have are refused; OpenVINO itself would read zeros.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SAVED_MODEL_DIR, SCORES, SIGNATURE
from toxic_core.errors import ConfigurationError
from toxic_core.telemetry import block_reporting_modules
from toxic_core.tokens import EncodedBatch
from toxic_model.errors import InvalidTensorError, SignatureError
from toxic_model.packed import is_packed, read_packed
from toxic_model.precision import Precision
from toxic_model.runtime import Compile, Executable, Float32Array, Runtime, streams_of

if TYPE_CHECKING:
    import openvino as ov

_DEVICE = "CPU"
_SIGNATURE_KEY = b"\x0a" + bytes([len(SIGNATURE)]) + SIGNATURE.encode()
"""The signature's name as a map's key in a protocol buffer; OpenVINO itself would take any signature."""
_BEFORE_LOOKUP = ("Convert", "Reshape", "Squeeze", "Unsqueeze", "Add", "Select")
"""Operations between ids and embeddings; Keras counts negative ids from the table's end by the last two."""
_ANY_ID = 2**31
"""One past the largest int32: the limit of a model without a lookup."""
_INDICES = 1
"""The input of a Gather that holds the indices."""

_HINTS = {
    Precision.FLOAT32: "f32",
    Precision.BFLOAT16: "bf16",
    Precision.INT8: "f32",
    Precision.INT8_BFLOAT16: "bf16",
}
_ROUNDED = (Precision.INT8, Precision.INT8_BFLOAT16)
"""Precisions with 8-bit weights."""
_CACHED_KERNELS = 512
"""Kernels that are kept per stream, a dozen per shape of batches; the default, 5,000, took gigabytes."""
_GROUP = 128
"""Neighbouring values of a token that share a scale when they are rounded to 8 bits; measured best."""
_CPU_FLAGS = Path("/proc/cpuinfo")
_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni"})
"""Instructions without which OpenVINO unpacks 8-bit weights and multiplies in float32, for no gain."""


def _prepare() -> None:
    block_reporting_modules()
    import openvino  # noqa: F401, PLC0415  takes a second


def lower_precisions() -> tuple[Precision, ...]:
    """Return the precisions below float32 that this CPU has instructions for."""
    _prepare()
    import openvino as ov  # noqa: PLC0415

    try:
        lines = _CPU_FLAGS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    found = [] if _INT8_FLAGS.isdisjoint(flags) else [Precision.INT8]
    if "BF16" in ov.Core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES"):
        found += [Precision.BFLOAT16, Precision.INT8_BFLOAT16]
    return tuple(found)


def _read(folder: Path, labels: int) -> Compile:
    _prepare()
    import openvino as ov  # noqa: PLC0415

    core = ov.Core()
    model = _packed(folder) if is_packed(folder) else _saved(core, folder / SAVED_MODEL_DIR)
    _check("input", model.inputs, {INPUT_IDS: ("i32", -1), ATTENTION_MASK: ("i32", -1)})
    _check("output", model.outputs, {SCORES: ("f32", labels)})
    known_ids = min(_embedding_rows(model), default=_ANY_ID)

    def compile_for(precision: Precision, threads: int) -> Executable:
        ready = _rounded(model) if precision in _ROUNDED else model
        whole = _compile(core, ready, precision, threads=threads)
        used = whole.get_property("INFERENCE_NUM_THREADS")
        number = streams_of(threads or used)
        requests = _Requests(
            whole.create_infer_request(),
            # Both share their weights: the second adds its batches to the memory, and a fraction of a second.
            lambda: _compile(core, ready, precision, threads=used, streams=number),
            number,
        )
        first, *streams = (
            partial(_infer, requests, index, known_ids=known_ids)
            for index in range(1 + number if used >= number else 1)
        )
        return Executable(f"openvino-{precision}", whole=first, streams=tuple(streams), close=requests.clear)

    return compile_for


def _packed(folder: Path) -> "ov.Model":
    from toxic_model.runtimes.openvino_bert import build  # noqa: PLC0415  it imports OpenVINO

    try:
        return build(read_packed(folder))
    except (ConfigurationError, KeyError, RuntimeError) as error:
        raise SignatureError(f"{folder} holds no packed model that can be read: {error}") from error


def _saved(core: "ov.Core", saved_model: Path) -> "ov.Model":
    from toxic_model.runtimes.openvino_rewriting import rewrite  # noqa: PLC0415  it imports OpenVINO

    file = saved_model / "saved_model.pb"
    if not file.is_file() or _SIGNATURE_KEY not in file.read_bytes():
        raise SignatureError(f"{saved_model} has no signature {SIGNATURE!r}.")
    try:
        model = core.read_model(str(saved_model))
    except RuntimeError as error:
        raise SignatureError(f"OpenVINO can't read {saved_model}: {error}") from error
    rewrite(model)
    return model


def compile_model(
    core: "ov.Core", model: "ov.Model", precision: Precision, *, threads: int
) -> "ov.CompiledModel":
    """Compile a float32 model, which stays as it is, for `precision` and one batch at a time."""
    ready = _rounded(model) if precision in _ROUNDED else model
    return _compile(core, ready, precision, threads=threads)


def _rounded(model: "ov.Model") -> "ov.Model":
    from toxic_model.runtimes.openvino_rewriting import round_weights  # noqa: PLC0415  it imports OpenVINO

    copy = model.clone()
    round_weights(copy)
    return copy


def _compile(
    core: "ov.Core", model: "ov.Model", precision: Precision, *, threads: int, streams: int = 1
) -> "ov.CompiledModel":
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        # For the left side of a product with 8-bit weights: so many values of one token share a scale, and no
        # two texts of a batch ever do.
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP if precision is Precision.INT8 else 0,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "CPU_RUNTIME_CACHE_CAPACITY": _CACHED_KERNELS,
        # A pinned thread waits for its own core even if another core is idle, and machines are shared.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(model, _DEVICE, settings)


class _Requests:
    """The requests of one model: the first has all threads, the others divide them. Thread-safe.

    Args:
        whole: the first.
        divide: compiles the model for the others, when one of them is first used.
        others: their number.
    """

    def __init__(
        self, whole: "ov.InferRequest", divide: "Callable[[], ov.CompiledModel]", others: int
    ) -> None:
        self._requests = [whole]
        self._divide: Callable[[], ov.CompiledModel] | None = divide
        self._others = others
        self._lock = Lock()

    def __getitem__(self, index: int) -> "ov.InferRequest":
        with self._lock:
            if index and self._divide is not None:
                divided, self._divide = self._divide(), None  # which held the uncompiled model
                self._requests += [divided.create_infer_request() for _ in range(self._others)]
            return self._requests[index]

    def clear(self) -> None:
        """Free the model: OpenVINO does so with its last request."""
        with self._lock:
            self._requests.clear()
            self._divide = None


def _infer(requests: _Requests, index: int, batch: EncodedBatch, *, known_ids: int) -> Float32Array:
    ids = batch.input_ids
    if ids.size and not 0 <= ids.min() <= ids.max() < known_ids:
        raise InvalidTensorError(f"The model's vocabulary has token ids from 0 to {known_ids - 1}.")
    inputs = {INPUT_IDS: ids, ATTENTION_MASK: batch.attention_mask}
    request = requests[index]  # may compile the model; its failure isn't the text's
    try:
        results = request.infer(inputs, share_inputs=True)
    except RuntimeError as error:
        # The ids are good, so the length isn't: the model adds an embedding per position.
        raise InvalidTensorError(f"The model can't read {ids.shape[1]} tokens.") from error
    # A copy, because the next batch overwrites the request's own memory.
    return np.array(results[SCORES], dtype=np.float32)


def _check(kind: str, found: "Sequence[ov.Output]", expected: Mapping[str, tuple[str, int]]) -> None:
    """Compare names, types and shapes; a size of -1 is a free one."""
    names = {name: port for port in found for name in port.get_names() if name in expected}
    if len(found) != len(expected) or names.keys() != expected.keys():
        given = sorted(name for port in found for name in port.get_names())
        raise SignatureError(f"The model has {kind}s {given}; the contract names {sorted(expected)}.")
    for name, (dtype, width) in expected.items():
        port = names[name]
        shape = port.get_partial_shape()
        sizes = (
            [size.get_length() if size.is_static else -1 for size in shape] if shape.rank.is_static else []
        )
        if port.get_element_type().get_type_name() != dtype or sizes not in ([-1, width], [-1, -1]):
            raise SignatureError(
                f"The model's {kind} {name!r} is {port.get_element_type()} {shape}; "
                f"the contract requires {dtype} [batch, {width if width > 0 else 'length'}]."
            )


def _embedding_rows(model: "ov.Model") -> Iterator[int]:
    """Yield the number of rows of every table that token ids are looked up in."""
    ports = [model.input(INPUT_IDS)]
    seen = set()
    while ports:
        for target in ports.pop().get_target_inputs():
            node = target.get_node()
            if node.get_type_name() == "Gather" and target.get_index() == _INDICES:
                rows = node.input_value(0).get_partial_shape()[0]
                if rows.is_static:
                    yield rows.get_length()
            elif node.get_type_name() in _BEFORE_LOOKUP and node.get_name() not in seen:
                seen.add(node.get_name())
                ports += node.outputs()


OPENVINO = Runtime(
    name="openvino",
    package="openvino",
    uses_gpus=False,
    reads_packed=True,
    installed=lambda: find_spec("openvino") is not None,
    prepare=_prepare,
    lower_precisions=lower_precisions,
    read=_read,
)
