"""A bundle's SavedModel on OpenVINO, which reads it as it is and computes it faster than TensorFlow on a CPU.

Owns, with `toxic_core.openvino_rewriting`, everything that knows OpenVINO; the package (the extra `openvino`)
is imported when a model is read. Training measures here what a lower precision costs and serving decides by
that figure, so both come this way.

Invariant: a model that was read takes and gives what the contract says, and token ids that its embeddings
don't have are refused, for OpenVINO itself would read zeros for them.
"""

from collections.abc import Iterator
from enum import StrEnum
from importlib.util import find_spec
from math import inf
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SCORES, SIGNATURE, Bundle
from toxic_core.contract.evidence import read_evaluation
from toxic_core.errors import ContractError
from toxic_core.telemetry import leave_out_reporters
from toxic_core.tokens import EncodedBatch

if TYPE_CHECKING:
    import openvino as ov

AUC_TOLERANCE = 0.002
"""How far a label's AUC may move in a lower precision for it to be served."""

ROUNDING_TOLERANCE = 0.1
"""How far a warm-up score may be off in a lower precision, once float32 gave the recorded one."""

_DEVICE = "CPU"
_SIGNATURE_KEY = b"\x0a" + bytes([len(SIGNATURE)]) + SIGNATURE.encode()
"""The signature's name as the key of a map in a protocol buffer; OpenVINO would take any signature."""
_BEFORE_LOOKUP = ("Convert", "Reshape", "Squeeze", "Unsqueeze", "Add", "Select")
"""Operations between ids and embeddings; Keras counts negative ids from the table's end by the last two."""
_ANY_ID = 2**31
"""One past the largest int32: of a model that looks nothing up."""
_INDICES = 1
"""Which input of a Gather holds the indices."""


class Precision(StrEnum):
    """What a model is computed in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    """Products with weights in 8-bit integers, everything else in float32."""

    @property
    def auc_change(self) -> str:
        """Name of the evaluation figure: the furthest that any label's AUC moves from float32's."""
        return f"serving.{self}.auc_change"


_LOWER = (Precision.INT8, Precision.BFLOAT16)
"""The precisions below float32, the fastest first."""
_HINTS = {Precision.FLOAT32: "f32", Precision.BFLOAT16: "bf16", Precision.INT8: "f32"}
STREAMS = 2
"""Among how many batches threads are divided: one is computed while another is answered."""
_GROUP = 128
"""Neighbouring numbers of a token that share a scale when they are rounded to 8 bits; measured best."""
_CPU_FLAGS = Path("/proc/cpuinfo")
_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni"})
"""Instructions without which OpenVINO unpacks 8-bit weights and multiplies in float32, for nothing."""


class UnreadableModelError(ContractError):
    """A SavedModel that OpenVINO can't read, or whose inputs or outputs aren't the contract's."""


class RefusedInputError(ValueError):
    """A token id that the model has no embedding of, or more of them than it has positions."""


def installed() -> bool:
    """Whether OpenVINO is there to be used."""
    return find_spec("openvino") is not None


def allowed_precisions(bundle: Bundle) -> tuple[Precision, ...]:
    """Return the precisions that this CPU has and that the bundle's evaluation found as good as float32.

    The fastest first; float32 itself isn't named.
    """
    try:
        figures = read_evaluation(bundle.path)
    except ContractError:  # a version needs no evidence to be served, only to be promoted
        return ()
    good = [each for each in _LOWER if figures.get(each.auc_change, inf) <= AUC_TOLERANCE]
    return tuple(precision for precision in good if computes(precision))


def computes(precision: Precision) -> bool:
    """Whether this machine's CPU computes in `precision`, instead of only pretending to."""
    if precision is Precision.INT8:
        return not _INT8_FLAGS.isdisjoint(_cpu_flags())
    leave_out_reporters()
    import openvino as ov  # noqa: PLC0415  see the module's docstring

    capabilities = ov.Core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
    return {Precision.FLOAT32: "FP32", Precision.BFLOAT16: "BF16"}[precision] in capabilities


def _cpu_flags() -> set[str]:
    """Return what the CPU can do, in Linux's words; nothing where there is no Linux."""
    try:
        lines = _CPU_FLAGS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


class OpenVinoModel:
    """A SavedModel, read and ready to be compiled."""

    def __init__(self, core: "ov.Core", model: "ov.Model") -> None:
        self._core = core
        self._model = model
        self._known_ids = min(_embedding_rows(model), default=_ANY_ID)

    @classmethod
    def read(cls, saved_model: Path, *, labels: int) -> Self:
        """Read the SavedModel in a folder.

        Args:
            saved_model: its folder.
            labels: how many scores a row has.

        Raises:
            UnreadableModelError: OpenVINO can't read it, or its inputs or outputs aren't the contract's.
        """
        leave_out_reporters()
        import openvino as ov  # noqa: PLC0415  see the module's docstring

        core = ov.Core()
        if _SIGNATURE_KEY not in (saved_model / "saved_model.pb").read_bytes():
            raise UnreadableModelError(f"{saved_model} has no signature {SIGNATURE!r}.")
        try:
            model = core.read_model(str(saved_model))
        except RuntimeError as error:
            raise UnreadableModelError(f"OpenVINO can't read {saved_model}: {error}") from error
        _check("input", model.inputs, {INPUT_IDS: ("i32", -1), ATTENTION_MASK: ("i32", -1)})
        _check("output", model.outputs, {SCORES: ("f32", labels)})
        from toxic_core.openvino_rewriting import rewrite  # noqa: PLC0415  it imports OpenVINO

        rewrite(model)
        return cls(core, model)

    def compile(self, precision: Precision, *, threads: int) -> "OpenVinoSession":
        """Prepare to compute in `precision`, with at most `threads` threads; 0 for as many as there are."""
        model = _rounded(self._model) if precision is Precision.INT8 else self._model
        together = _compile(self._core, model, precision, threads=threads, streams=1)
        threads = together.get_property("INFERENCE_NUM_THREADS")
        if threads < STREAMS:
            return OpenVinoSession(together, known_ids=self._known_ids)
        # The two share their weights: the second adds its batches to the memory, and a fraction of a second.
        beside = _compile(self._core, model, precision, threads=threads, streams=STREAMS)
        return OpenVinoSession(together, beside, known_ids=self._known_ids)


def compile_model(
    core: "ov.Core", model: "ov.Model", precision: Precision, *, threads: int
) -> "ov.CompiledModel":
    """Return `model`, which stays as it is, compiled for `precision`; see `OpenVinoModel.compile`."""
    model = _rounded(model) if precision is Precision.INT8 else model
    return _compile(core, model, precision, threads=threads, streams=1)


def _rounded(model: "ov.Model") -> "ov.Model":
    from toxic_core.openvino_rewriting import round_weights  # noqa: PLC0415  it imports OpenVINO

    copy = model.clone()
    round_weights(copy)
    return copy


def _compile(
    core: "ov.Core", model: "ov.Model", precision: Precision, *, threads: int, streams: int
) -> "ov.CompiledModel":
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        # Of a product's left side, where its weights are 8-bit: so many numbers of a token share a scale, in
        # which no other text of the batch has a part.
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP if precision is Precision.INT8 else 0,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        # A pinned thread waits for its own core even where another is idle, and machines are shared.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(model, _DEVICE, settings)


class OpenVinoSession:
    """A compiled model; used by one thread at a time, or beside itself by as many as it has streams.

    Args:
        together: where all threads share every product.
        beside: where they are divided among streams; None where there are too few.
        known_ids: one past the largest token id that it has an embedding of.
    """

    def __init__(
        self, together: "ov.CompiledModel", beside: "ov.CompiledModel | None" = None, *, known_ids: int
    ) -> None:
        self.streams = 1 if beside is None else STREAMS
        self._together = together.create_infer_request()
        self._beside: SimpleQueue[ov.InferRequest] = SimpleQueue()
        if beside is None:
            self._beside.put(self._together)
        else:
            for _ in range(STREAMS):
                self._beside.put(beside.create_infer_request())
        self._known_ids = known_ids

    def infer(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return raw scores, float32 [batch, labels], computed by all threads.

        Raises:
            RefusedInputError: the model doesn't know a token id, or reads no texts so long.
        """
        return self._infer(self._together, batch)

    def infer_beside(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return the same, computed by one stream; waits for one where all of them are at work.

        Raises:
            RefusedInputError: as `infer`.
        """
        request = self._beside.get()
        try:
            return self._infer(request, batch)
        finally:
            self._beside.put(request)

    def _infer(self, request: "ov.InferRequest", batch: EncodedBatch) -> NDArray[np.float32]:
        ids = batch.input_ids
        if ids.size and not 0 <= ids.min() <= ids.max() < self._known_ids:
            raise RefusedInputError(f"The model's vocabulary has token ids from 0 to {self._known_ids - 1}.")
        inputs = {INPUT_IDS: ids, ATTENTION_MASK: batch.attention_mask}
        try:
            results = request.infer(inputs, share_inputs=True)
        except RuntimeError as error:
            # Its ids are good, so what doesn't fit is its length: positions are added to embeddings.
            raise RefusedInputError(f"The model can't read {ids.shape[1]} tokens.") from error
        # The request's own memory, which the next batch is written to.
        return np.array(results[SCORES], dtype=np.float32)


def _check(kind: str, found: "list[ov.Output]", expected: dict[str, tuple[str, int]]) -> None:
    """Compare names, types and shapes; a size of -1 is one that is left free."""
    names = {name: port for port in found for name in port.get_names() if name in expected}
    if len(found) != len(expected) or names.keys() != expected.keys():
        said = sorted(name for port in found for name in port.get_names())
        raise UnreadableModelError(f"The model has {kind}s {said}; the contract names {sorted(expected)}.")
    for name, (dtype, width) in expected.items():
        port = names[name]
        shape = port.get_partial_shape()
        sizes = (
            [size.get_length() if size.is_static else -1 for size in shape] if shape.rank.is_static else []
        )
        if port.get_element_type().get_type_name() != dtype or sizes not in ([-1, width], [-1, -1]):
            raise UnreadableModelError(
                f"The model's {kind} {name!r} is {port.get_element_type()} {shape}; "
                f"the contract asks for {dtype} [batch, {width if width > 0 else 'length'}]."
            )


def _embedding_rows(model: "ov.Model") -> Iterator[int]:
    """Yield the rows of every table that token ids are looked up in."""
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
