"""A model version in a worker: from its files, as the driver sends them, to something that scores.

Owns everything that knows TensorFlow, imported only where OpenVINO doesn't compute the model.

Invariant: what `load` returns was verified against its contract, gave its warm-up's recorded scores, and is
computed in the precision that serving computes it in.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from toxic_batch.scoring import Float32Array
from toxic_core.contract import (
    ATTENTION_MASK,
    INPUT_IDS,
    SCORES,
    SIGNATURE,
    WARMUP_TOLERANCE,
    Bundle,
    Contract,
    open_bundle,
)
from toxic_core.errors import ContractError
from toxic_core.files import plain_files
from toxic_core.openvino_model import (
    ROUNDING_TOLERANCE,
    OpenVinoModel,
    Precision,
    allowed_precisions,
    installed,
)
from toxic_core.tokens import EncodedBatch, Tokeniser, pad

logger = logging.getLogger(__name__)

Infer = Callable[[EncodedBatch], Float32Array]
"""Gives a batch its raw scores, float32 [batch, labels]."""

PackedBundle = Mapping[str, bytes]
"""A bundle's files, by their paths in it."""


def pack(bundle: Bundle) -> dict[str, bytes]:
    """Return a bundle as it is sent to workers, which then need neither the registry nor a shared disk."""
    return {name: file.read_bytes() for name, file in plain_files(bundle.path).items()}


def load(packed: PackedBundle, *, overlap: int, threads: int) -> "BundleServable":
    """Return the version, ready to score.

    Args:
        packed: its bundle.
        overlap: tokens that the windows of a long text share.
        threads: that may compute, together.

    Raises:
        ContractError: the files aren't the ones that were sealed, or don't give the recorded scores.
    """
    with tempfile.TemporaryDirectory(prefix="toxic-batch-") as name:
        folder = Path(name)
        for path, content in packed.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        bundle = open_bundle(folder)
        contract = bundle.contract
        tokeniser = Tokeniser.from_file(
            bundle.tokenizer, max_tokens=contract.max_tokens, pad_id=contract.pad_id, overlap=overlap
        )
        infer, streams = _inference(bundle, tokeniser, threads=threads)
        return BundleServable(contract, tokeniser, infer, streams)


@dataclass(frozen=True, slots=True)
class BundleServable:
    """Implements `Servable` on a model in memory; its files may be removed once it is made.

    Attributes:
        contract: what its bundle says of itself.
        tokeniser: from texts to its token ids.
        infer: gives raw scores; called from as many threads as there are streams.
        streams: how many batches it computes at a time.
    """

    contract: Contract
    tokeniser: Tokeniser
    infer: Infer
    streams: int


def _inference(bundle: Bundle, tokeniser: Tokeniser, *, threads: int) -> tuple[Infer, int]:
    """Return what computes batches, and how many at a time.

    OpenVINO does where it gives the recorded scores, else TensorFlow.
    """
    if installed() and not _has_gpu():
        try:
            return _openvino(bundle, tokeniser, threads=threads)
        except ContractError as error:
            logger.warning("TensorFlow computes this version, which OpenVINO can't: %s", error)
    infer = _tensorflow(bundle, threads=threads)
    _replay(infer, bundle, tokeniser)
    return infer, 1


def _openvino(bundle: Bundle, tokeniser: Tokeniser, *, threads: int) -> tuple[Infer, int]:
    read = OpenVinoModel.read(bundle.saved_model, labels=len(bundle.contract.labels))
    # Side by side, for threads lose less to one another in two batches than in one product.
    session = read.compile(Precision.FLOAT32, threads=threads)
    _replay(session.infer_beside, bundle, tokeniser)
    precision = next(iter(allowed_precisions(bundle)), None)
    if precision is not None:
        session = read.compile(precision, threads=threads)
        _replay(session.infer_beside, bundle, tokeniser, tolerance=ROUNDING_TOLERANCE)
    return session.infer_beside, session.streams


def _has_gpu() -> bool:
    # The extra `gpu` brings TensorFlow's own; without it a GPU would lie idle anyway.
    return find_spec("nvidia") is not None and Path("/dev/nvidia0").exists()


def _tensorflow(bundle: Bundle, *, threads: int) -> Infer:
    import tensorflow as tf  # noqa: PLC0415  see the module's docstring

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    # The model is kept, for its signature holds its variables only weakly.
    model = tf.saved_model.load(str(bundle.saved_model))

    def infer(batch: EncodedBatch) -> Float32Array:
        inputs = {INPUT_IDS: batch.input_ids, ATTENTION_MASK: batch.attention_mask}
        output = model.signatures[SIGNATURE](**{name: tf.constant(value) for name, value in inputs.items()})
        return np.asarray(output[SCORES], dtype=np.float32)

    return infer


def _replay(
    infer: Infer, bundle: Bundle, tokeniser: Tokeniser, *, tolerance: float = WARMUP_TOLERANCE
) -> None:
    examples = bundle.warmup()
    # The first window alone: what a text longer than the model reads was recorded with.
    read = tokeniser.encode_windows([example.text for example in examples], most=1)
    found = infer(pad([text.windows[0] for text in read], pad_id=bundle.contract.pad_id))
    worst = float(np.abs(found - np.array([example.scores for example in examples], np.float32)).max())
    # Not `worst > tolerance`: a NaN must not pass.
    if not worst <= tolerance:
        raise ContractError(
            f"The warm-up's scores are off by {worst:.4g}; {tolerance:g} is allowed. The model isn't the one "
            "that was evaluated, or this machine computes otherwise."
        )
