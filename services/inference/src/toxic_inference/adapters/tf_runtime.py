"""TensorFlow as a runtime, on CPUs and GPUs.

Owns everything that knows TensorFlow, imported only when the first version is loaded by it.

Invariant: what `open` returns has the contract's signature, to the last type and size.
"""

import gc
from collections.abc import Mapping
from functools import cache
from typing import Protocol

from toxic_core.contract import (
    ATTENTION_MASK,
    INPUT_IDS,
    SCORES,
    SIGNATURE,
    Bundle,
)
from toxic_core.tokens import EncodedBatch
from toxic_inference.adapters.collector import settle
from toxic_inference.adapters.runtime import Model, Rehearsal
from toxic_inference.serving.errors import InvalidTensorError, SignatureError
from toxic_inference.serving.interfaces import Float32Array

_RANK = 2


class _Tensor(Protocol):
    def numpy(self) -> Float32Array: ...


class _SignatureFunction(Protocol):
    """The part of a TensorFlow ConcreteFunction that is used here."""

    def __call__(self, **inputs: object) -> Mapping[str, _Tensor]: ...


class TensorflowRuntime:
    """Implements `Runtime`: the canonical one, which every bundle's SavedModel was exported for."""

    def open(self, bundle: Bundle, rehearsal: Rehearsal) -> Model:
        """Return the model.

        Raises:
            SignatureError: TensorFlow can't load the SavedModel, or its signature is another.
            WarmupError: its scores aren't the recorded ones.
        """
        _prepare_process()
        model = _TensorflowModel(bundle)
        rehearsal.check(model)
        return model


class _TensorflowModel:
    """Implements `Model` on a loaded SavedModel."""

    runtime = "tensorflow-float32"
    side_by_side = False

    def __init__(self, bundle: Bundle) -> None:
        # The model is kept, for its signature holds its variables only weakly.
        self._model, self._signature = _load_saved_model(bundle)

    def infer(self, batch: EncodedBatch, *, alone: bool = True) -> Float32Array:  # noqa: ARG002  it always is
        """Return raw scores, float32 [batch, labels].

        Raises:
            InvalidTensorError: TensorFlow refuses these inputs.
        """
        import tensorflow as tf  # noqa: PLC0415  see the module's docstring

        try:
            outputs = self._signature(
                input_ids=tf.constant(batch.input_ids, dtype=tf.int32),
                attention_mask=tf.constant(batch.attention_mask, dtype=tf.int32),
            )
        except tf.errors.InvalidArgumentError as error:
            raise InvalidTensorError(
                f"The model refuses these {INPUT_IDS}: is every id in its vocabulary?"
            ) from error
        return outputs[SCORES].numpy()

    def close(self) -> None:
        """Free the model."""
        del self._model, self._signature
        gc.collect()  # a SavedModel's objects refer to one another; its weights are worth not waiting for


@cache
def _prepare_process() -> None:
    """Import TensorFlow, before the first model: what is settled is never freed."""
    import tensorflow as tf  # noqa: F401, PLC0415  see the module's docstring

    settle()


def _load_saved_model(bundle: Bundle) -> tuple[object, _SignatureFunction]:
    import tensorflow as tf  # noqa: PLC0415  see the module's docstring

    try:
        model = tf.saved_model.load(str(bundle.saved_model))
    except Exception as error:  # TensorFlow raises whatever its protobuf, file and graph code raises
        raise SignatureError(f"TensorFlow can't load {bundle.saved_model}: {error}") from error
    if SIGNATURE not in model.signatures:
        raise SignatureError(
            f"{bundle.saved_model} has signatures {sorted(model.signatures)}, not {SIGNATURE!r}."
        )
    function = model.signatures[SIGNATURE]
    inputs = {spec.name: spec for spec in function.structured_input_signature[1].values()}
    expected = {INPUT_IDS: (tf.int32, None), ATTENTION_MASK: (tf.int32, None)}
    _check_specs("input", inputs, expected)
    _check_specs("output", function.structured_outputs, {SCORES: (tf.float32, len(bundle.contract.labels))})
    return model, function


class _Spec(Protocol):
    """The part of a TensorFlow TensorSpec that is used here."""

    @property
    def dtype(self) -> object: ...

    @property
    def shape(self) -> "_Shape": ...


class _Shape(Protocol):
    @property
    def rank(self) -> int | None: ...

    def as_list(self) -> list[int | None]: ...


def _check_specs(
    kind: str, found: Mapping[str, _Spec], expected: Mapping[str, tuple[object, int | None]]
) -> None:
    """Compare names, types and shapes: the first dimension free, the second free or of the given width."""
    if found.keys() != expected.keys():
        raise SignatureError(
            f"{SIGNATURE} has {kind}s {sorted(found)}; the contract names {sorted(expected)}."
        )
    for name, (dtype, width) in expected.items():
        spec = found[name]
        shape = spec.shape.as_list() if spec.shape.rank == _RANK else None
        fits = shape is not None and shape[0] is None and shape[1] in {None, width}
        if spec.dtype != dtype or not fits:
            raise SignatureError(
                f"{SIGNATURE}'s {kind} {name!r} is {spec.dtype!r} {spec.shape}; "
                f"the contract asks for {dtype!r} [batch, {width or 'length'}]."
            )
