"""Tokenization: from texts to the model's input arrays, for training and serving.

Invariant: every text is normalised first, and truncated to the contract's `max_tokens` with its closing
special token kept. Padding has the model's own id and a mask of zeros. A longer text can be split into
overlapping windows, of which the first equals the truncated text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from toxic_core.errors import ContractError
from toxic_core.text import NORMALISATION_VERSION, Word, normaliser, words

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
class WindowedText:
    """One text as one or more windows.

    Attributes:
        windows: token ids per window, int32 [tokens], special tokens included; at least one.
        tokens: number of tokens read; those that windows share count once, special tokens included.
        truncated: whether the text continues after the last window.
        unknown: tokens in all windows that aren't in the vocabulary.
        low_confidence: whether most of its tokens are unknown or beside an unknown one in a word, so that the
            model can't judge the text.
    """

    windows: tuple[Int32Array, ...]
    tokens: int
    truncated: bool
    unknown: int = 0
    low_confidence: bool = False


@dataclass(frozen=True, slots=True)
class AlignedText:
    """One text as windows, with the word of each token.

    Attributes:
        text: the windows.
        words: the words of the text, with their places in it.
        word_of: per window, each token's index in `words`, int32 [tokens]; -1 for special tokens.
    """

    text: WindowedText
    words: tuple[Word, ...]
    word_of: tuple[Int32Array, ...]


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a `tokenizer.json`.

    Raises:
        ContractError: the file is missing or invalid.
    """
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception from Rust
        raise ContractError(f"{path} can't be read as a tokenizer: {error}") from error


class Tokeniser:
    """A `tokenizers` tokenizer behind this project's normalisation. Thread-safe.

    Args:
        tokenizer: used exclusively; its padding and truncation are changed.
        max_tokens: maximum length, special tokens included.
        pad_id: padding token id.
        overlap: number of tokens that neighbouring windows share, limited to half of a window.
        normalisation: version of the normalisation.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_tokens: int,
        pad_id: int,
        overlap: int = 0,
        normalisation: int = NORMALISATION_VERSION,
    ) -> None:
        self._normalisation = normalisation
        self.normalise = normaliser(normalisation)
        self._tokenizer = tokenizer
        self._unknown_id = _unknown_id(tokenizer)
        self._space_id = tokenizer.token_to_id(_SPACE)
        vocabulary = tokenizer.get_vocab()
        marked = _SPACE in vocabulary
        self._starts_word = np.zeros(max(vocabulary.values(), default=-1) + 1, dtype=bool)
        for token, number in vocabulary.items():
            self._starts_word[number] = token.startswith(_SPACE) if marked else not token.startswith("##")
        self._special = tokenizer.num_special_tokens_to_add(is_pair=False)
        self._overlap = min(overlap, (max_tokens - self._special) // 2)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=max_tokens, stride=self._overlap)
        self.max_tokens = max_tokens
        self.pad_id = pad_id

    def token_ids(self, texts: Sequence[str]) -> list[Int32Array]:
        """Return each text's ids, truncated but unpadded: int32 [tokens], special tokens included."""
        encodings = self._tokenizer.encode_batch_fast([self.normalise(text) for text in texts])
        return [np.asarray(encoding.ids, dtype=np.int32) for encoding in encodings]

    def encode_windows(self, texts: Sequence[str], *, most: int) -> list[WindowedText]:
        """Return each text as up to `most` windows."""
        return self.encode_normalised([self.normalise(text) for text in texts], most=most)

    def encode_normalised(self, texts: Sequence[str], *, most: int) -> list[WindowedText]:
        """Return each text, which is normalised already, as up to `most` windows."""
        encodings = self._tokenizer.encode_batch_fast(texts)
        return [self._windowed(encoding, most=most) for encoding in encodings]

    def _windowed(self, encoding: Encoding, *, most: int) -> WindowedText:
        parts = [encoding, *encoding.overflowing][:most]
        windows = tuple(np.asarray(part.ids, dtype=np.int32) for part in parts)
        shared = self._special + self._overlap
        unknown = sum(int(np.count_nonzero(window == self._unknown_id)) for window in windows)
        return WindowedText(
            windows=windows,
            tokens=sum(len(window) for window in windows) - shared * (len(windows) - 1),
            truncated=len(encoding.overflowing) >= most,
            unknown=unknown,
            low_confidence=unknown > 0 and self._is_mostly_unread(parts),
        )

    def _is_mostly_unread(self, windows: Sequence[Encoding]) -> bool:
        """Return whether most tokens are unknown or beside an unknown one in a word.

        The number of unknown tokens wouldn't tell: a vocabulary has single letters of scripts that it can't
        read. This finds 97% of the comments in Arabic, Devanagari, Hangul and Han for a vocabulary without
        them, and under 1% of those in its own languages.
        """
        unread = read = 0
        for window in windows:
            ids = np.asarray(window.ids)[np.asarray(window.special_tokens_mask) == 0]
            unknown, word = ids == self._unknown_id, np.cumsum(self._starts_word[ids])
            near = unknown.copy()
            for distance in range(1, _BESIDE_TOKENS + 1):
                together = word[distance:] == word[:-distance]
                near[distance:] |= together & unknown[:-distance]
                near[:-distance] |= together & unknown[distance:]
            meant = ids != self._space_id
            unread += int(np.count_nonzero(near & meant))
            read += int(np.count_nonzero(~near & meant))
        return unread > read

    def encode_aligned(self, text: str, *, most: int) -> AlignedText:
        """Return one text's windows with the word of each token; slower than `encode_windows`."""
        found = words(text, self._normalisation)
        normalised = [word.normalised for word in found]
        # The word of each character. A space belongs to the next word, because some tokens begin with one.
        owner = [index for index, word in enumerate(normalised) if word for _ in range(len(word) + 1)][1:]
        (encoding,) = self._tokenizer.encode_batch([" ".join(word for word in normalised if word)])
        owners = []
        for window in [encoding, *encoding.overflowing][:most]:
            tokens = zip(window.offsets, window.special_tokens_mask, strict=True)
            words_of = [-1 if special or not end else owner[end - 1] for (_, end), special in tokens]
            owners.append(np.array(words_of, np.int32))
        return AlignedText(
            text=self._windowed(encoding, most=most), words=tuple(found), word_of=tuple(owners)
        )

    def encode(self, texts: Sequence[str]) -> EncodedBatch:
        """Return `texts` as one batch, padded to the longest."""
        return pad(self.token_ids(texts), pad_id=self.pad_id)


_NO_TOKEN = -1
_SPACE = "▁"
"""How sentencepiece writes the start of a word: before its first token, or alone before an unknown one."""
_BESIDE_TOKENS = 2


def _unknown_id(tokenizer: Tokenizer) -> int:
    """Return the id of the unknown token; `_NO_TOKEN` if there is none, as in a byte-level vocabulary."""
    # A Unigram model doesn't expose its unknown token; sentencepiece names it <unk>.
    names = (getattr(tokenizer.model, "unk_token", None), "<unk>")
    found = (tokenizer.token_to_id(name) for name in names if name is not None)
    return next((token for token in found if token is not None), _NO_TOKEN)


def pad(rows: Sequence[Int32Array], *, pad_id: int, length: int | None = None) -> EncodedBatch:
    """Stack rows of token ids into one batch.

    Args:
        rows: ids per text, int32 [tokens].
        pad_id: padding token id.
        length: of the batch in tokens; default: the longest row's.
    """
    length = max((len(row) for row in rows), default=0) if length is None else length
    input_ids = np.full((len(rows), length), pad_id, dtype=np.int32)
    attention_mask = np.zeros((len(rows), length), dtype=np.int32)
    for index, row in enumerate(rows):
        input_ids[index, : len(row)] = row
        attention_mask[index, : len(row)] = 1
    return EncodedBatch(input_ids=input_ids, attention_mask=attention_mask)
