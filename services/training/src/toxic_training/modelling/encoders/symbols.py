"""Emoji and other symbols that a pretrained vocabulary lacks.

XLM-R's vocabulary has the commonest smileys, but not 🖕, 🤮 or 🐀, on which the meaning of a comment may
depend. Each missing symbol becomes a piece; its embedding is the mean of those of its Unicode name's pieces,
which a multilingual model relates to the same words in other languages.
"""

import json
import unicodedata
from dataclasses import replace
from itertools import chain

import numpy as np

from toxic_model.packed import WORD_EMBEDDINGS
from toxic_training.modelling.encoders.files import EncoderFiles
from toxic_training.modelling.encoders.vocabulary import SpecialTokens, unigram_tokenizer

_BLOCKS = (range(0x2600, 0x27C0), range(0x1F300, 0x1FB00))
"""Miscellaneous symbols and dingbats; pictographs."""


def add_symbols(files: EncoderFiles) -> EncoderFiles:
    """Return an encoder with a Unigram vocabulary that knows every symbol; ids of other pieces stay."""
    pieces = [(piece, score) for piece, score in json.loads(files.tokenizer.to_str())["model"]["vocab"]]
    unknown = files.tokenizer.token_to_id(SpecialTokens().unk)
    missing = [
        symbol
        for symbol in map(chr, chain(*_BLOCKS))
        if unicodedata.category(symbol) == "So" and unknown in files.tokenizer.encode(symbol).ids
    ]
    embeddings = files.weights[WORD_EMBEDDINGS]
    rows = [embeddings]
    for symbol in missing:
        name = unicodedata.name(symbol).lower()
        parts = embeddings[files.tokenizer.encode(name, add_special_tokens=False).ids]
        mean = parts.mean(axis=0, keepdims=True)
        # As long as its parts: a mean is shorter, and would weigh less in the first layer.
        rows.append(mean * np.linalg.norm(parts, axis=1).mean() / max(np.linalg.norm(mean), 1e-9))
    rarest = min(score for _, score in pieces)
    pieces += [(symbol, rarest) for symbol in missing]
    return replace(
        files,
        config={**files.config, "vocab_size": len(pieces)},
        weights={**files.weights, WORD_EMBEDDINGS: np.concatenate(rows).astype(embeddings.dtype)},
        tokenizer=unigram_tokenizer(pieces, specials=SpecialTokens()),
    )
