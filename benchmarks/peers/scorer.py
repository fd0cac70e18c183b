"""The model as every peer calls it: the bundle's SavedModel behind the bundle's tokenizer.

Runs inside the peers' own environments, so it imports only TensorFlow, NumPy and `toxic_core.tokens`.
Invariant: what it returns are the scores that the inference service makes its answers from.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from toxic_core.tokens import Tokeniser, read_tokenizer

BUNDLE_VARIABLE = "BENCH_BUNDLE"
"""The environment variable that names the bundle's folder."""

MAX_BATCH = 32
"""Rows: the batch size that the peers' own documents begin with, and that suits this model."""

MAX_WAIT_SECONDS = 0.01
"""How long a batch waits to be filled, for peers that ask."""


class Scorer:
    """Scores texts, padded to the longest of them.

    Args:
        bundle: its folder; None to take it from the environment.
    """

    def __init__(self, bundle: Path | None = None) -> None:
        import tensorflow as tf  # noqa: PLC0415  a peer's parent process has no need of it

        folder = bundle or Path(os.environ[BUNDLE_VARIABLE])
        contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
        self._tf = tf
        self._tokeniser = Tokeniser(
            read_tokenizer(folder / "tokenizer/tokenizer.json"),
            max_tokens=contract["max_tokens"],
            pad_id=contract["pad_id"],
            normalisation=contract["normalisation_version"],
        )
        self._model = tf.saved_model.load(str(folder / "saved_model"))
        self._signature = self._model.signatures["serving_default"]

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        """Return each text's scores, by label."""
        batch = self._tokeniser.encode(texts)
        outputs = self._signature(
            input_ids=self._tf.constant(batch.input_ids, dtype=self._tf.int32),
            attention_mask=self._tf.constant(batch.attention_mask, dtype=self._tf.int32),
        )
        scores: list[list[float]] = outputs["scores"].numpy().tolist()
        return scores
