"""From texts to the model's two input arrays, the same way in training and serving.

Invariant: `Tokeniser.encode` is the only path from text to `input_ids`. It normalises first, cuts at the
contract's `max_tokens` with the closing special token kept, and pads with the model's own padding id and a
mask of zeros, so padding never looks like text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from toxic_core.errors import ContractError
from toxic_core.text import normalise

Int32Array = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Model inputs for a batch of texts.

    Attributes:
        input_ids: token ids, int32 [batch, length].
        attention_mask: 1 for a token and 0 for padding, int32 [batch, length].
    """

    input_ids: Int32Array
    attention_mask: Int32Array


@dataclass(frozen=True, slots=True)
class EncodedText:
    """One text's model input.

    Attributes:
        ids: token ids, unpadded, int32 [tokens], special tokens included.
        truncated: whether the text held more than `max_tokens` and was cut.
    """

    ids: Int32Array
    truncated: bool


class Tokeniser:
    """A `tokenizers` tokenizer with this project's normalisation in front. Thread-safe; holds no state."""

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int, pad_id: int) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=max_tokens)
        self.max_tokens = max_tokens
        self.pad_id = pad_id

    @classmethod
    def from_file(cls, path: Path, *, max_tokens: int, pad_id: int) -> "Tokeniser":
        """Read a `tokenizer.json`.

        Raises:
            ContractError: the file is missing or isn't a tokenizer.
        """
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception from Rust
            raise ContractError(f"{path} can't be read as a tokenizer: {error}") from error
        return cls(tokenizer, max_tokens=max_tokens, pad_id=pad_id)

    def token_ids(self, texts: Sequence[str]) -> list[Int32Array]:
        """Return each text's ids, unpadded: int32 [tokens], special tokens included."""
        return [text.ids for text in self.encode_each(texts)]

    def encode_each(self, texts: Sequence[str]) -> list[EncodedText]:
        """Return each text's ids and whether it was cut, so that a caller can be told."""
        encodings = self._tokenizer.encode_batch_fast([normalise(text) for text in texts])
        return [
            EncodedText(
                ids=np.asarray(encoding.ids, dtype=np.int32),
                truncated=bool(encoding.overflowing),
            )
            for encoding in encodings
        ]

    def encode(self, texts: Sequence[str]) -> EncodedBatch:
        """Return `texts` as one batch, padded to its longest text."""
        return pad(self.token_ids(texts), pad_id=self.pad_id)


def pad(rows: Sequence[Int32Array], *, pad_id: int, length: int | None = None) -> EncodedBatch:
    """Stack rows of token ids into one batch.

    Args:
        rows: each text's ids, int32 [tokens].
        pad_id: what fills the rest of a row.
        length: the batch's length in tokens; the longest row's where not given.
    """
    length = max((len(row) for row in rows), default=0) if length is None else length
    input_ids = np.full((len(rows), length), pad_id, dtype=np.int32)
    attention_mask = np.zeros((len(rows), length), dtype=np.int32)
    for index, row in enumerate(rows):
        input_ids[index, : len(row)] = row
        attention_mask[index, : len(row)] = 1
    return EncodedBatch(input_ids=input_ids, attention_mask=attention_mask)
