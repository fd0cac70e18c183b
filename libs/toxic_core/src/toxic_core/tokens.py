"""From texts to the model's two input arrays, the same way in training and serving.

Invariant: `Tokeniser.encode` is the only path from text to `input_ids`. It normalises first, cuts at the
contract's `max_tokens` with the closing special token kept, and pads with the model's own padding id and a
mask of zeros, so padding never looks like text. What is longer than that can be had in windows, of which the
first is what `encode` gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from toxic_core.errors import ContractError
from toxic_core.text import normalise, words

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


@dataclass(frozen=True, slots=True)
class WindowedText:
    """One text's model inputs, as many as it takes.

    Attributes:
        windows: token ids of each window, int32 [tokens], special tokens included; at least one.
        tokens: how many tokens were read: those that windows share counted once, special ones too.
        truncated: whether the text goes on after the last window.
        unknown: tokens, over all windows, that the vocabulary doesn't have.
    """

    windows: tuple[Int32Array, ...]
    tokens: int
    truncated: bool
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class AlignedText:
    """One text's model inputs, and where each token comes from.

    Attributes:
        text: the inputs.
        words: of each window, which of the text's `words` each token is of, int32 [tokens]; -1 for special
            tokens.
    """

    text: WindowedText
    words: tuple[Int32Array, ...]


class Tokeniser:
    """A `tokenizers` tokenizer with this project's normalisation in front. Thread-safe; holds no state.

    Args:
        tokenizer: taken over; nobody else may use it.
        max_tokens: longest input, special tokens included.
        pad_id: token id that fills a batch.
        overlap: how many tokens a window shares with the one before; at most half of what one holds.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int, pad_id: int, overlap: int = 0) -> None:
        self._tokenizer = tokenizer
        self._unknown_id = _unknown_id(tokenizer)
        self._special = tokenizer.num_special_tokens_to_add(is_pair=False)
        self._overlap = min(overlap, (max_tokens - self._special) // 2)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=max_tokens, stride=self._overlap)
        self.max_tokens = max_tokens
        self.pad_id = pad_id

    @classmethod
    def from_file(cls, path: Path, *, max_tokens: int, pad_id: int, overlap: int = 0) -> "Tokeniser":
        """Read a `tokenizer.json`.

        Raises:
            ContractError: the file is missing or isn't a tokenizer.
        """
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception from Rust
            raise ContractError(f"{path} can't be read as a tokenizer: {error}") from error
        return cls(tokenizer, max_tokens=max_tokens, pad_id=pad_id, overlap=overlap)

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

    def encode_windows(self, texts: Sequence[str], *, most: int) -> list[WindowedText]:
        """Return each text's ids in windows, cut only where it is longer than `most` of them."""
        encodings = self._tokenizer.encode_batch_fast([normalise(text) for text in texts])
        return [self._windowed(encoding, most=most) for encoding in encodings]

    def _windowed(self, encoding: Encoding, *, most: int) -> WindowedText:
        parts = [encoding, *encoding.overflowing][:most]
        windows = tuple(np.asarray(part.ids, dtype=np.int32) for part in parts)
        shared = self._special + self._overlap
        return WindowedText(
            windows=windows,
            tokens=sum(len(window) for window in windows) - shared * (len(windows) - 1),
            truncated=len(encoding.overflowing) >= most,
            unknown=sum(int(np.count_nonzero(window == self._unknown_id)) for window in windows),
        )

    def encode_aligned(self, text: str, *, most: int) -> AlignedText:
        """Return one text's windows with each token's word; costs more than `encode_windows`."""
        normalised = [word.normalised for word in words(text)]
        # Each character's word, and the next word's for the space before it: some tokens begin with it.
        owner = [index for index, word in enumerate(normalised) if word for _ in range(len(word) + 1)][1:]
        (encoding,) = self._tokenizer.encode_batch([" ".join(word for word in normalised if word)])
        windows = [encoding, *encoding.overflowing][:most]
        return AlignedText(
            text=self._windowed(encoding, most=most),
            words=tuple(_owners(window, owner=owner) for window in windows),
        )

    def encode(self, texts: Sequence[str]) -> EncodedBatch:
        """Return `texts` as one batch, padded to its longest text."""
        return pad(self.token_ids(texts), pad_id=self.pad_id)


_NO_TOKEN = -1


def _unknown_id(tokenizer: Tokenizer) -> int:
    """Return the id of what the vocabulary doesn't have; no token's where it has everything, as bytes."""
    # A Unigram model doesn't tell its own; it is called as sentencepiece calls it.
    names = (getattr(tokenizer.model, "unk_token", None), "<unk>")
    found = (tokenizer.token_to_id(name) for name in names if name is not None)
    return next((token for token in found if token is not None), _NO_TOKEN)


def _owners(window: Encoding, *, owner: Sequence[int]) -> Int32Array:
    tokens = zip(window.offsets, window.special_tokens_mask, strict=True)
    return np.array([-1 if special or not end else owner[end - 1] for (_, end), special in tokens], np.int32)


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
