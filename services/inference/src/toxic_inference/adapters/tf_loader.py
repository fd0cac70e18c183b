"""TensorFlow SavedModels as servables.

Owns everything that knows TensorFlow, imported only when the first version is loaded.

Invariant: what `load` returns has the contract's signature and gave the scores its warm-up examples record,
each alone and all in one batch, so its attention mask is known to work too.
"""

import gc
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Protocol

import numpy as np

from toxic_core.contract import (
    ATTENTION_MASK,
    INPUT_IDS,
    SCORES,
    SIGNATURE,
    WARMUP_TOLERANCE,
    Bundle,
    Contract,
    WarmupExample,
)
from toxic_core.tokens import EncodedBatch, Tokeniser, pad
from toxic_inference.adapters.bundles import BundleStore
from toxic_inference.serving.errors import InvalidTensorError, SignatureError, WarmupError
from toxic_inference.serving.interfaces import Float32Array, Servable, ServableId

_RANK = 2


class _Tensor(Protocol):
    def numpy(self) -> Float32Array: ...


class _SignatureFunction(Protocol):
    """The part of a TensorFlow ConcreteFunction that is used here."""

    def __call__(self, **inputs: object) -> Mapping[str, _Tensor]: ...


class TensorflowLoader:
    """Implements `Loader`: verifies, loads, checks the signature, replays the warm-up.

    Args:
        store: hands out the verified bundles.
        window_overlap: how many tokens the windows of a long text share.
    """

    def __init__(self, store: BundleStore, *, window_overlap: int = 0) -> None:
        self._store = store
        self._window_overlap = window_overlap

    def load(self, servable_id: ServableId) -> Servable:
        """Return the version, ready to serve.

        Raises:
            ContractError: the bundle is damaged or isn't one.
            SignatureError: TensorFlow can't load the SavedModel, or its signature is another.
            WarmupError: its scores aren't the recorded ones.
            RegistryUnavailableError: the bundle isn't here and can't be fetched now.
        """
        _prepare_process()
        bundle = self._store.checkout(servable_id)
        try:
            encoder = Tokeniser.from_file(
                bundle.tokenizer,
                max_tokens=bundle.contract.max_tokens,
                pad_id=bundle.contract.pad_id,
                overlap=self._window_overlap,
            )
            servable = TensorflowServable(bundle, encoder, servable_id=servable_id, store=self._store)
            replay_warmup(servable, bundle.warmup())
        except BaseException:
            self._store.release(servable_id)
            raise
        return servable


class TensorflowServable:
    """Implements `Servable` on a loaded SavedModel."""

    def __init__(
        self, bundle: Bundle, encoder: Tokeniser, *, servable_id: ServableId, store: BundleStore
    ) -> None:
        self.contract: Contract = bundle.contract
        self.encoder = encoder
        self._id = servable_id
        self._store = store
        # The model is kept, for its signature holds its variables only weakly.
        self._model, self._signature = _load_saved_model(bundle)

    def infer(self, batch: EncodedBatch) -> Float32Array:
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
        """Free the model and let its bundle go."""
        del self._model, self._signature
        gc.collect()  # a SavedModel's objects refer to one another; its weights are worth not waiting for
        self._store.release(self._id)


@cache
def _prepare_process() -> None:
    """Import TensorFlow, and take all that is there by then out of the garbage collector's sight.

    It never becomes garbage, and to look through it stops every thread: 365 ms at each version that is freed,
    with callers waiting, against 1 ms for the version's own objects.
    """
    import tensorflow as tf  # noqa: F401, PLC0415  see the module's docstring

    gc.collect()
    gc.freeze()


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


def replay_warmup(servable: Servable, examples: Sequence[WarmupExample]) -> None:
    """Score the examples and compare.

    Raises:
        WarmupError: a score is off by more than `WARMUP_TOLERANCE`, alone or in the batch, or the model and
            its tokenizer don't fit.
    """
    labels = servable.contract.labels
    recorded = [example.scores for example in examples]
    if any(len(scores) != len(labels) for scores in recorded):
        raise WarmupError(f"A warm-up example doesn't record {len(labels)} scores.")
    expected = np.array(recorded, dtype=np.float32)
    # The first window alone: what a text longer than the model reads was recorded with.
    encoded = servable.encoder.encode_windows([example.text for example in examples], most=1)
    pad_id = servable.contract.pad_id
    rows = [text.windows[0] for text in encoded]
    try:
        together = servable.infer(pad(rows, pad_id=pad_id))
        alone = np.concatenate([servable.infer(pad([row], pad_id=pad_id)) for row in rows])
    except InvalidTensorError as error:
        raise WarmupError(f"The model refuses its own warm-up examples: {error}") from error
    _compare(together, expected, how="in one batch")
    _compare(alone, expected, how="alone")


def _compare(found: Float32Array, expected: Float32Array, *, how: str) -> None:
    if found.shape != expected.shape:
        raise WarmupError(f"The warm-up gave scores of shape {found.shape}, not {expected.shape}.")
    difference = np.abs(found - expected)
    # Not `difference > tolerance`: a NaN must not pass.
    off = np.flatnonzero(~(difference <= WARMUP_TOLERANCE).all(axis=1))
    if off.size:
        worst = float(np.max(difference[off]))
        raise WarmupError(
            f"{off.size} of {len(found)} warm-up examples, scored {how}, are off by up to {worst:.4g}; "
            f"{WARMUP_TOLERANCE:g} is allowed. The model isn't the one that was evaluated."
        )
