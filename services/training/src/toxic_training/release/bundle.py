"""Writes what the artifact contract asks for.

Invariant: a bundle folder appears whole or not at all; a killed run leaves the one before.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from toxic_core.contract import (
    SAVED_MODEL_DIR,
    TOKENIZER_FILE,
    Bundle,
    Contract,
    WarmupExample,
    seal,
    write_warmup,
)
from toxic_core.contract.evidence import write_evaluation
from toxic_model.scoring import ScoringOptions
from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.texts import Score, open_scorer

WARMUP_TEXTS = (
    "Thank you for the explanation, that was very helpful.",
    "I disagree with this edit; please add a source before you change it again.",
    "Gracias por la ayuda, el artículo ha quedado mucho mejor.",
    "Merci pour votre aide, l'article est bien plus clair maintenant.",
    "Grazie per la correzione, adesso la pagina è molto più chiara.",
    "Obrigado pela ajuda, o artigo ficou muito melhor.",
    "Спасибо за помощь, статья стала намного понятнее.",
    "Yardımın için teşekkürler, madde şimdi çok daha anlaşılır.",
    "This sentence is repeated until it is longer than a model can read. " * 60,
)
"""What a loader replays: every supported language, a short text, and one that has to be cut."""


@dataclass(frozen=True, slots=True)
class BundleParts:
    """What goes into a bundle.

    Attributes:
        model: the exported model, which was measured.
        contract: complete but for the files' digests.
        figures: what the model is worth, by name.
    """

    model: ExportedModel
    contract: Contract
    figures: dict[str, float]


def write_bundle(parts: BundleParts, folder: Path) -> Bundle:
    """Write `parts` as the bundle `folder`, replacing the one that is there."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(parts.model.saved_model, partial / SAVED_MODEL_DIR)
    (partial / TOKENIZER_FILE).parent.mkdir()
    shutil.copyfile(parts.model.tokenizer, partial / TOKENIZER_FILE)
    # One text a batch, and cut where it is too long: a loader replays what the model itself gives.
    write_warmup(partial, replay(open_scorer(parts.model, ScoringOptions(batch_tokens=1))))
    write_evaluation(partial, parts.figures)
    sealed = seal(partial, parts.contract)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return Bundle(path=folder, contract=sealed.contract)


def replay(score: Score) -> tuple[WarmupExample, ...]:
    """Return the scores that the exported model gives to the warm-up texts."""
    scores = score(WARMUP_TEXTS).scores.astype(float).tolist()
    return tuple(
        WarmupExample(text=text, scores=tuple(row)) for text, row in zip(WARMUP_TEXTS, scores, strict=True)
    )
