"""Tokenization."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import Unigram, WordLevel
from tokenizers.pre_tokenizers import Metaspace, WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from toxic_core.errors import ContractError
from toxic_core.text import words as words_of
from toxic_core.tokens import Tokeniser, pad, read_tokenizer

MAX_TOKENS = 12
BOS, PAD, EOS, UNK = range(4)

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)


def build_tokenizer() -> Tokenizer:
    """Return a tiny Unigram tokenizer with XLM-R's special tokens and ids."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), ("▁", -3.0), ("▁good", -2.0)]
    pieces += [(letter, -4.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=UNK, byte_fallback=False))
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return tokenizer


@pytest.fixture(scope="module")
def tokeniser() -> Tokeniser:
    """Return a tokeniser with the tiny tokenizer."""
    return Tokeniser(build_tokenizer(), max_tokens=MAX_TOKENS, pad_id=PAD)


@given(texts=st.lists(ANY_TEXT, max_size=6))
def test_any_batch_is_well_formed(texts: list[str], tokeniser: Tokeniser) -> None:
    """Any texts, lone surrogates included, give int32 arrays with a mask of the tokens without padding."""
    batch = tokeniser.encode(texts)
    assert batch.input_ids.shape == batch.attention_mask.shape
    assert batch.input_ids.dtype == np.int32
    assert batch.attention_mask.dtype == np.int32
    for row, ids in enumerate(tokeniser.token_ids(texts)):
        length = len(ids)
        assert 2 <= length <= MAX_TOKENS
        assert (ids[0], ids[-1]) == (BOS, EOS)
        assert batch.input_ids[row, :length].tolist() == ids.tolist()
        assert (batch.input_ids[row, length:] == PAD).all()
        assert batch.attention_mask[row].tolist() == [1] * length + [0] * (batch.input_ids.shape[1] - length)


def test_the_version_of_the_normalisation_decides() -> None:
    """A model of version 1 gets letters apart, a later one the word."""
    apart, word = (
        Tokeniser(build_tokenizer(), max_tokens=MAX_TOKENS, pad_id=PAD, normalisation=v) for v in (1, 2)
    )
    assert len(apart.token_ids(["g o o d"])[0]) > len(word.token_ids(["g o o d"])[0])
    assert word.token_ids(["g o o d"])[0].tolist() == apart.token_ids(["good"])[0].tolist()


@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=6))
def test_batch_mates_do_not_change_a_row(texts: list[str], tokeniser: Tokeniser) -> None:
    """A text's tokens are the same alone and in a batch."""
    together = tokeniser.token_ids(texts)
    assert [ids.tolist() for ids in together] == [tokeniser.token_ids([text])[0].tolist() for text in texts]


@given(words=st.integers(0, 30))
def test_a_long_text_keeps_its_closing_token(words: int, tokeniser: Tokeniser) -> None:
    """A text over the limit is truncated, keeps its special token and is reported as truncated."""
    (encoded,) = tokeniser.encode_windows(["good " * words], most=1)
    (ids,) = encoded.windows
    assert len(ids) == min(words + 2, MAX_TOKENS)
    assert ids[-1] == EOS
    assert encoded.truncated == (words + 2 > MAX_TOKENS)


def test_an_unnormalised_text_gives_the_normalised_tokens(tokeniser: Tokeniser) -> None:
    """Disguised spellings have the tokens of the plain one."""
    plain, disguised = tokeniser.token_ids(["good day", "  ｇｏ\u200bod\n day "])
    assert disguised.tolist() == plain.tolist()
    assert plain[1] == 5


def test_padding_uses_the_models_own_id_and_a_given_length() -> None:
    """Rows are padded to the length with the given id and a mask of zeros."""
    batch = pad([np.array([7, 8], dtype=np.int32), np.array([9], dtype=np.int32)], pad_id=3, length=4)
    assert batch.input_ids.tolist() == [[7, 8, 3, 3], [9, 3, 3, 3]]
    assert batch.attention_mask.tolist() == [[1, 1, 0, 0], [1, 0, 0, 0]]


def test_no_texts_are_an_empty_batch(tokeniser: Tokeniser) -> None:
    """An empty batch has no rows."""
    assert tokeniser.encode([]).input_ids.shape == (0, 0)


def test_a_row_longer_than_the_batch_is_not_cut_silently() -> None:
    """Truncating a row would lose its closing token, so it is an error."""
    with pytest.raises(ValueError, match="broadcast"):
        pad([np.arange(5, dtype=np.int32)], pad_id=0, length=3)


def test_a_saved_tokenizer_gives_the_same_tokens(tokeniser: Tokeniser, tmp_path: Path) -> None:
    """Padding and truncation come from the contract, not from the file."""
    file = tmp_path / "tokenizer.json"
    stored = build_tokenizer()
    stored.enable_padding(pad_id=0, length=50)
    stored.enable_truncation(max_length=4)
    stored.save(str(file))
    read = Tokeniser(read_tokenizer(file), max_tokens=MAX_TOKENS, pad_id=PAD)
    texts = ["good day", "good " * 20]
    assert [ids.tolist() for ids in read.token_ids(texts)] == [
        ids.tolist() for ids in tokeniser.token_ids(texts)
    ]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff\xfe"])
def test_an_invalid_tokenizer_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    """The message has the path of a missing or damaged file."""
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ContractError, match=r"tokenizer\.json can't be read as a tokenizer"):
        Tokeniser(read_tokenizer(file), max_tokens=MAX_TOKENS, pad_id=PAD)


@given(text=ANY_TEXT, overlap=st.integers(0, 20), most=st.integers(1, 8))
def test_windows_cover_the_text_and_overlap(text: str, overlap: int, most: int) -> None:
    """Joined without their overlap, the windows are the text's tokens; the first is the truncated text."""
    tokeniser = Tokeniser(build_tokenizer(), max_tokens=MAX_TOKENS, pad_id=PAD, overlap=overlap)
    whole = Tokeniser(build_tokenizer(), max_tokens=1000, pad_id=PAD).token_ids([text])[0][1:-1].tolist()
    (windowed,) = tokeniser.encode_windows([text], most=most)
    inner = [window[1:-1].tolist() for window in windowed.windows]
    shared = min(overlap, (MAX_TOKENS - 2) // 2)
    for window, following in itertools.pairwise(inner):
        assert window[len(window) - shared :] == following[:shared]
    together = inner[0] + [token for window in inner[1:] for token in window[shared:]]
    assert together == whole[: len(together)]
    assert windowed.tokens == len(together) + 2
    assert windowed.truncated == (len(together) < len(whole))
    assert len(windowed.windows) <= most
    assert {(window[0], window[-1]) for window in windowed.windows} == {(BOS, EOS)}
    assert windowed.windows[0].tolist() == tokeniser.token_ids([text])[0].tolist()


@given(text=ANY_TEXT)
@example(text="good good  ab")
@example(text="a\u00b4b \u200b c")
def test_each_token_knows_its_word(text: str) -> None:
    """A word's tokens are those of the word alone; special tokens have no word."""
    tokeniser = Tokeniser(build_tokenizer(), max_tokens=MAX_TOKENS, pad_id=PAD, overlap=2)
    aligned = tokeniser.encode_aligned(text, most=1)
    ids, owners = aligned.text.windows[0].tolist(), aligned.word_of[0].tolist()
    assert (owners[0], owners[-1]) == (-1, -1)
    assert owners[1:-1] == sorted(owners[1:-1])
    for number, word in enumerate(words_of(text)):
        mine = [token for token, owner in zip(ids, owners, strict=True) if owner == number]
        alone = tokeniser.token_ids([word.normalised])[0][1:-1].tolist() if word.normalised else []
        assert mine == alone[: len(mine)]
        assert len(mine) == len(alone) or aligned.text.truncated or len(ids) == MAX_TOKENS


def test_aligned_windows_are_the_windows(tokeniser: Tokeniser) -> None:
    """`encode_aligned` returns the windows of `encode_windows`."""
    text = "good day and more of it than fits " * 4
    aligned = tokeniser.encode_aligned(text, most=3)
    (windowed,) = tokeniser.encode_windows([text], most=3)
    assert [window.tolist() for window in aligned.text.windows] == [w.tolist() for w in windowed.windows]
    assert [len(owners) for owners in aligned.word_of] == [len(window) for window in windowed.windows]


def test_unknown_tokens_are_counted_in_every_window(tokeniser: Tokeniser) -> None:
    """Digits aren't in the vocabulary; special tokens are."""
    known, some, long = tokeniser.encode_windows(["good", "a 1 b 2", "1 " * 40], most=2)
    assert (known.unknown, some.unknown) == (0, 2)
    assert 0 < long.unknown <= sum(len(window) for window in long.windows)


@pytest.mark.parametrize(
    ("text", "low"),
    [
        ("good day", False),
        ("γδ", True),
        ("γδ εζ good", True),  # ▁ <unk> ▁ <unk> ▁good
        ("good good γδ", False),
        ("good γδ", False),
        ("aγδ βb good", True),  # letters of a word with an unknown part can't be read either
        ("abcdefghγ good", False),
        ("γabcdefgh good", False),
        ("!", True),
        ("good 1 day 2 to you", False),
        ("γ " * 20, True),
        ("good " * 10 + "γ " * 5, False),
    ],
)
def test_a_text_that_is_mostly_unknown_has_low_confidence(
    text: str,
    low: bool,  # noqa: FBT001  a parameter of the test
    tokeniser: Tokeniser,
) -> None:
    """By the words that the vocabulary can't read, over all windows."""
    (windowed,) = tokeniser.encode_windows([text], most=4)
    assert windowed.low_confidence is low
    assert tokeniser.encode_aligned(text, most=4).text.low_confidence is low


def test_words_of_other_vocabularies() -> None:
    """Without sentencepiece's mark, `##` continues a word."""
    words = {"[UNK]": 0, "good": 1, "a": 2, "##b": 3}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    read = Tokeniser(tokenizer, max_tokens=MAX_TOKENS, pad_id=0)
    texts = ["good good c", "good c", "c good a c ##b", "c c good"]
    found = read.encode_normalised(texts, most=1)
    assert [text.low_confidence for text in found] == [False, False, True, True]


def test_a_byte_vocabulary_has_no_unknown_tokens() -> None:
    """A tokenizer without an unknown token counts none."""
    tokenizer = Tokenizer(Unigram([("a", -1.0), ("b", -1.0)]))
    (text,) = Tokeniser(tokenizer, max_tokens=MAX_TOKENS, pad_id=0).encode_windows(["ab"], most=1)
    assert (text.unknown, text.low_confidence) == (0, False)
