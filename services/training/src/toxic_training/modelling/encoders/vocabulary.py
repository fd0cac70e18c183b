"""Vocabularies: learnt from comments, or reduced to the scripts of the supported languages.

Invariant: after `prune`, token id i of the tokenizer is row i of the word embeddings, special tokens keep
their ids, and every kept piece keeps its score, so that texts made of kept pieces are tokenised as before.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from toxic_core.languages import LANGUAGES
from toxic_core.text import normalise
from toxic_model.packed import WORD_EMBEDDINGS
from toxic_training.modelling.encoders.files import EncoderFiles

_SUPPORTED_SCRIPTS = (
    *sorted({script for language in LANGUAGES for script in language.scripts}),
    *("COMBINING", "MODIFIER", "FEMININE", "MASCULINE", "IDEOGRAPHIC"),
)
"""First words of the Unicode names of supported letters and marks."""

_SPACE = "▁"
"""What a piece begins with if a word does."""


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The special tokens, by role."""

    bos: str = "<s>"
    pad: str = "<pad>"
    eos: str = "</s>"
    unk: str = "<unk>"

    def in_order(self) -> list[str]:
        """Return them in XLM-R's order of ids: 0 to 3."""
        return [self.bos, self.pad, self.eos, self.unk]


def unigram_tokenizer(pieces: Sequence[tuple[str, float]], *, specials: SpecialTokens) -> Tokenizer:
    """Return a SentencePiece-like Unigram tokenizer (Kudo, 2018).

    `pieces` have their log probabilities, special tokens included, in the order of ids.
    """
    unk_id = [piece for piece, _ in pieces].index(specials.unk)
    return _complete(Tokenizer(models.Unigram(list(pieces), unk_id=unk_id)), specials)


def learn_tokenizer(texts: Iterable[str], *, size: int) -> Tokenizer:
    """Learn a byte-pair vocabulary (Sennrich et al., 2016) of at most `size` pieces from `texts`.

    Not Unigram: its trainer in `tokenizers` isn't deterministic.
    """
    specials = SpecialTokens()
    tokenizer = Tokenizer(models.BPE(unk_token=specials.unk))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials.in_order(), show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator((normalise(text) for text in texts), trainer)
    return _complete(tokenizer, specials)


def _complete(tokenizer: Tokenizer, specials: SpecialTokens) -> Tokenizer:
    """Add the other parts of a SentencePiece-like tokenizer: normaliser, word marks, sentence ends."""
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(specials.in_order())
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{specials.bos} $A {specials.eos}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (specials.bos, specials.eos)],
    )
    return tokenizer


def prune(files: EncoderFiles, *, texts: Sequence[str], keep: int) -> EncoderFiles:
    """Reduce a Unigram encoder's vocabulary to the pieces that comments need.

    These are the special tokens, every piece in `texts`, the `keep` likeliest pieces in the supported
    languages' scripts, and every single character, so that a text in another script isn't noise.
    """
    vocabulary = json.loads(files.tokenizer.to_str())["model"]["vocab"]
    pieces: list[tuple[str, float]] = [(piece, score) for piece, score in vocabulary]
    specials = set(SpecialTokens().in_order())
    encodings = files.tokenizer.encode_batch_fast([normalise(text) for text in texts])
    kept = {token_id for encoding in encodings for token_id in encoding.ids}
    kept.update(
        index
        for index, (piece, _) in enumerate(pieces)
        if piece in specials or len(piece.lstrip(_SPACE)) <= 1
    )
    by_rank = sorted(range(len(pieces)), key=lambda index: -pieces[index][1])
    supported = (index for index in by_rank if _is_supported(pieces[index][0]))
    kept.update(index for index, _ in zip(supported, range(keep), strict=False))
    order = sorted(kept)
    embeddings = files.weights[WORD_EMBEDDINGS][np.asarray(order)]
    return replace(
        files,
        config={**files.config, "vocab_size": len(order)},
        weights={**files.weights, WORD_EMBEDDINGS: embeddings},
        tokenizer=unigram_tokenizer([pieces[index] for index in order], specials=SpecialTokens()),
    )


def _is_supported(piece: str) -> bool:
    """Return whether every letter and mark of `piece` belongs to a supported language's script."""
    return all(
        unicodedata.name(character, "").startswith(_SUPPORTED_SCRIPTS)
        for character in piece
        if unicodedata.category(character)[0] in "LM"
    )
