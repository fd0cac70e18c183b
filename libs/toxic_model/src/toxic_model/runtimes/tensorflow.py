"""TensorFlow as a runtime, on CPUs and GPUs: the one that every SavedModel was exported for."""

import gc
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SAVED_MODEL_DIR, SCORES, SIGNATURE
from toxic_core.tokens import EncodedBatch
from toxic_model.errors import InvalidTensorError, SignatureError
from toxic_model.precision import Precision
from toxic_model.runtime import Compile, Executable, Float32Array, Runtime

if TYPE_CHECKING:
    import tensorflow as tf


def _prepare() -> None:
    import tensorflow as tf  # noqa: F401, PLC0415  takes seconds


def _read(folder: Path, labels: int) -> Compile:
    import tensorflow as tf  # noqa: PLC0415  takes seconds

    saved_model = folder / SAVED_MODEL_DIR

    def compile_for(precision: Precision, threads: int) -> Executable:
        # An environment variable decides before `threads`, and TensorFlow's threads can't be changed once
        # they run.
        if threads and "TF_NUM_INTRAOP_THREADS" not in os.environ:
            with suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(1)
        # The model is kept, because its signature holds its variables only weakly.
        held = [_load(saved_model, labels=labels)]

        def infer(batch: EncodedBatch) -> Float32Array:
            inputs = {INPUT_IDS: batch.input_ids, ATTENTION_MASK: batch.attention_mask}
            try:
                tensors = {name: tf.constant(ids, dtype=tf.int32) for name, ids in inputs.items()}
                _, signature = held[0]
                scores: Float32Array = signature(**tensors)[SCORES].numpy()
            except tf.errors.InvalidArgumentError as error:
                raise InvalidTensorError(
                    f"The model refuses these {INPUT_IDS}: is every id in its vocabulary?"
                ) from error
            return scores

        def close() -> None:
            held.clear()
            gc.collect()  # a SavedModel's objects form cycles, which nothing else frees

        return Executable(f"tensorflow-{precision}", whole=infer, streams=(), close=close)

    return compile_for


def _load(saved_model: Path, *, labels: int) -> "tuple[object, tf.types.experimental.ConcreteFunction]":
    """Return the model and the contract's signature, checked to the last type and size."""
    import tensorflow as tf  # noqa: PLC0415  takes seconds

    try:
        model = tf.saved_model.load(str(saved_model))
    except Exception as error:  # TensorFlow raises whatever its protobuf, file and graph code raises
        raise SignatureError(f"TensorFlow can't load {saved_model}: {error}") from error
    if SIGNATURE not in model.signatures:
        raise SignatureError(f"{saved_model} has signatures {sorted(model.signatures)}, not {SIGNATURE!r}.")
    function = model.signatures[SIGNATURE]
    inputs = {spec.name: spec for spec in function.structured_input_signature[1].values()}
    _check("input", inputs, {INPUT_IDS: (tf.int32, None), ATTENTION_MASK: (tf.int32, None)})
    _check("output", function.structured_outputs, {SCORES: (tf.float32, labels)})
    return model, function


def _check(
    kind: str, found: "Mapping[str, tf.TensorSpec]", expected: Mapping[str, tuple[object, int | None]]
) -> None:
    """Compare names, types and shapes: the first dimension free, the second free or of the given width."""
    if found.keys() != expected.keys():
        raise SignatureError(
            f"{SIGNATURE} has {kind}s {sorted(found)}; the contract names {sorted(expected)}."
        )
    for name, (dtype, width) in expected.items():
        spec = found[name]
        sizes = [] if spec.shape.rank is None else spec.shape.as_list()
        if spec.dtype != dtype or sizes not in ([None, width], [None, None]):
            raise SignatureError(
                f"{SIGNATURE}'s {kind} {name!r} is {spec.dtype!r} {spec.shape}; "
                f"the contract requires {dtype!r} [batch, {width or 'length'}]."
            )


TENSORFLOW = Runtime(
    name="tensorflow",
    package="tensorflow",
    uses_gpus=True,
    reads_packed=False,
    installed=lambda: find_spec("tensorflow") is not None,
    prepare=_prepare,
    lower_precisions=lambda: (),
    read=_read,
)
