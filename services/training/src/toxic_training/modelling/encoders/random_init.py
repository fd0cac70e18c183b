"""A small BERT with random weights, for the sample and for tests.

Invariant: the same seed and texts give the same encoder, bit for bit.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toxic_model.packed import WORD_EMBEDDINGS
from toxic_training.modelling.encoders.files import (
    INITIAL_DEVIATION,
    EncoderFiles,
    bert_config,
)
from toxic_training.modelling.encoders.vocabulary import learn_tokenizer

_HIDDEN = 96
_LAYERS = 2
_HEADS = 4
_FEED_FORWARD = 256
_POSITIONS = 512
_TYPES = 2


def random_encoder(texts: Sequence[str], *, vocabulary_size: int, seed: int) -> EncoderFiles:
    """Return an untrained encoder with a vocabulary learnt from `texts`."""
    tokenizer = learn_tokenizer(texts, size=vocabulary_size)
    vocabulary = tokenizer.get_vocab_size()
    generator = np.random.default_rng(seed)

    def random(*shape: int) -> NDArray[np.float32]:
        return generator.normal(0.0, INITIAL_DEVIATION, shape).astype(np.float32)

    def dense(name: str, inputs: int, outputs: int) -> dict[str, NDArray[np.float32]]:
        return {f"{name}.weight": random(outputs, inputs), f"{name}.bias": np.zeros(outputs, np.float32)}

    def norm(name: str) -> dict[str, NDArray[np.float32]]:
        return {f"{name}.weight": np.ones(_HIDDEN, np.float32), f"{name}.bias": np.zeros(_HIDDEN, np.float32)}

    weights = {
        WORD_EMBEDDINGS: random(vocabulary, _HIDDEN),
        "embeddings.position_embeddings.weight": random(_POSITIONS, _HIDDEN),
        "embeddings.token_type_embeddings.weight": random(_TYPES, _HIDDEN),
        **norm("embeddings.LayerNorm"),
        **dense("pooler.dense", _HIDDEN, _HIDDEN),
    }
    for layer in range(_LAYERS):
        prefix = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            weights |= dense(f"{prefix}.attention.{part}", _HIDDEN, _HIDDEN)
        weights |= dense(f"{prefix}.intermediate.dense", _HIDDEN, _FEED_FORWARD)
        weights |= dense(f"{prefix}.output.dense", _FEED_FORWARD, _HIDDEN)
        weights |= norm(f"{prefix}.attention.output.LayerNorm") | norm(f"{prefix}.output.LayerNorm")
    config = bert_config(_HIDDEN, _LAYERS, _HEADS, _FEED_FORWARD, vocabulary, _POSITIONS, _TYPES)
    return EncoderFiles(config=config, weights=weights, tokenizer=tokenizer)
