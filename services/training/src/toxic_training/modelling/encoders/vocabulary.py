"""Vocabularies: learnt from comments, or cut down to what the supported languages use.

Invariant: after `prune`, token id i of the tokenizer is row i of the word embeddings, special tokens keep
their ids, and every kept piece keeps its score, so texts made of kept pieces are cut as they were before.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from toxic_core.text import normalise
from toxic_training.modelling.encoders.files import WORD_EMBEDDINGS, EncoderFiles

_SUPPORTED_SCRIPTS = ("LATIN", "CYRILLIC", "COMBINING", "MODIFIER", "FEMININE", "MASCULINE")


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

    Args:
        pieces: every piece with its log probability, special tokens included, in the order of ids.
        specials: which of the pieces are the special tokens.
    """
    tokenizer = Tokenizer(models.Unigram(list(pieces), unk_id=_id_of(specials.unk, pieces)))
    return _dress(tokenizer, specials)


def learn_tokenizer(texts: Iterable[str], *, size: int) -> Tokenizer:
    """Learn a byte-pair vocabulary (Sennrich et al., 2016) of at most `size` pieces from `texts`.

    Not Unigram, whose trainer in `tokenizers` gives another vocabulary at every run.
    """
    specials = SpecialTokens()
    tokenizer = Tokenizer(models.BPE(unk_token=specials.unk))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials.in_order(), show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator((normalise(text) for text in texts), trainer)
    return _dress(tokenizer, specials)


def _dress(tokenizer: Tokenizer, specials: SpecialTokens) -> Tokenizer:
    """Add what stands around a SentencePiece-like model: clean-up, word marks, sentence ends."""
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(specials.in_order())
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{specials.bos} $A {specials.eos}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (specials.bos, specials.eos)],
    )
    return tokenizer


def _id_of(piece: str, pieces: Sequence[tuple[str, float]]) -> int:
    return next(index for index, (known, _) in enumerate(pieces) if known == piece)


def prune(files: EncoderFiles, *, texts: Sequence[str], keep: int) -> EncoderFiles:
    """Cut a Unigram encoder's vocabulary down to what its users' comments need.

    Kept are the special tokens, the `keep` likeliest pieces in the supported languages' scripts, and every
    piece that `texts` use.
    """
    pieces = _pieces(files.tokenizer)
    specials = set(SpecialTokens().in_order())
    kept = _used_ids(files.tokenizer, texts)
    kept.update(index for index, (piece, _) in enumerate(pieces) if piece in specials)
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


def _used_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> set[int]:
    used: set[int] = set()
    for encoding in tokenizer.encode_batch_fast([normalise(text) for text in texts]):
        used.update(encoding.ids)
    return used


def _pieces(tokenizer: Tokenizer) -> list[tuple[str, float]]:
    return [(piece, score) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]]


def _is_supported(piece: str) -> bool:
    """Whether every letter and mark of `piece` belongs to a supported language's script."""
    return all(
        unicodedata.name(character, "").startswith(_SUPPORTED_SCRIPTS)
        for character in piece
        if unicodedata.category(character)[0] in "LM"
    )
