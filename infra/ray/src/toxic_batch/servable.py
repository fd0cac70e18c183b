"""A model version in a worker: from its files, as the driver sends them, to something that scores.

Owns everything that knows TensorFlow, imported only when a model is loaded.

Invariant: what `load` returns was verified against its contract and gave its warm-up's recorded scores.
"""

import tempfile
from collections.abc import Mapping
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
from toxic_core.tokens import EncodedBatch, Tokeniser, pad

PackedBundle = Mapping[str, bytes]
"""A bundle's files, by their paths in it."""


def pack(bundle: Bundle) -> dict[str, bytes]:
    """Return a bundle as it is sent to workers, which then need neither the registry nor a shared disk."""
    return {name: file.read_bytes() for name, file in plain_files(bundle.path).items()}


def load(packed: PackedBundle, *, overlap: int, threads: int) -> "SavedModelServable":
    """Return the version, ready to score.

    Args:
        packed: its bundle.
        overlap: tokens that the windows of a long text share.
        threads: that TensorFlow may use.

    Raises:
        ContractError: the files aren't the ones that were sealed, or don't give the recorded scores.
    """
    import tensorflow as tf  # noqa: PLC0415  see the module's docstring

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory(prefix="toxic-batch-") as name:
        folder = Path(name)
        for path, content in packed.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        bundle = open_bundle(folder)
        servable = SavedModelServable(bundle, overlap=overlap)
        _replay(servable, bundle)
    return servable


class SavedModelServable:
    """Implements `Servable` on a SavedModel; its files may be removed once it is made."""

    def __init__(self, bundle: Bundle, *, overlap: int) -> None:
        import tensorflow as tf  # noqa: PLC0415  see the module's docstring

        self.contract: Contract = bundle.contract
        self.tokeniser = Tokeniser.from_file(
            bundle.tokenizer,
            max_tokens=bundle.contract.max_tokens,
            pad_id=bundle.contract.pad_id,
            overlap=overlap,
        )
        self._tensor = tf.constant
        # The model is kept, for its signature holds its variables only weakly.
        self._model = tf.saved_model.load(str(bundle.saved_model))
        self._signature = self._model.signatures[SIGNATURE]

    def infer(self, batch: EncodedBatch) -> Float32Array:
        """Return raw scores, float32 [batch, labels]."""
        inputs = {INPUT_IDS: batch.input_ids, ATTENTION_MASK: batch.attention_mask}
        output = self._signature(**{name: self._tensor(value) for name, value in inputs.items()})
        return np.asarray(output[SCORES], dtype=np.float32)


def _replay(servable: SavedModelServable, bundle: Bundle) -> None:
    examples = bundle.warmup()
    # The first window alone: what a text longer than the model reads was recorded with.
    read = servable.tokeniser.encode_windows([example.text for example in examples], most=1)
    found = servable.infer(pad([text.windows[0] for text in read], pad_id=bundle.contract.pad_id))
    worst = float(np.abs(found - np.array([example.scores for example in examples], np.float32)).max())
    # Not `worst > tolerance`: a NaN must not pass.
    if not worst <= WARMUP_TOLERANCE:
        raise ContractError(
            f"The warm-up's scores are off by {worst:.4g}; {WARMUP_TOLERANCE:g} is allowed. The model isn't "
            "the one that was evaluated, or this machine computes otherwise."
        )
