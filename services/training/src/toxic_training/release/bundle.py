"""Writes model bundles, as the artifact contract defines them.

Invariant: a bundle's folder appears complete or not at all; a killed run leaves the previous one.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
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
from toxic_core.contract.provenance import sign_bundle
from toxic_core.contract.reference import Distribution, ReferenceTraffic
from toxic_core.contract.scales import SCALES_FILE, Scales
from toxic_core.languages import LANGUAGES
from toxic_core.signatures import SigningKey
from toxic_model.scoring import ScoringOptions
from toxic_training.data.sample.phrasebook import load_phrasebook
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.texts import open_scorer

SIGNING_KEY_VARIABLE = "TOXIC_SIGNING_KEY_FILE"
"""Environment variable with the path of the Ed25519 key that signs bundles; without it they are unsigned."""

REVISION_VARIABLE = "TOXIC_CODE_REVISION"
"""Environment variable with the revision, for code outside Git, such as in a container image."""

UNKNOWN = "unknown"

_LONG_TEXT = "This sentence is repeated until it is longer than a model can read. " * 60


@dataclass(frozen=True, slots=True)
class BundleParts:
    """The measured model, its contract without the files' digests, the evaluation's figures, the scales."""

    model: ExportedModel
    contract: Contract
    figures: dict[str, float]
    scales: Scales | None = None


def assemble_bundle(
    *,
    model: ExportedModel,
    point: OperatingPoint,
    reference_scores: dict[str, dict[str, dict[str, list[float]]]],
    figures: dict[str, float],
    training_data: dict[str, str],
    licences: dict[str, int] | None = None,
    reference_traffic: dict[str, object] | None = None,
    reference_scales: dict[str, object] | None = None,
) -> BundleParts:
    """Return everything in the artifact contract except the files' digests."""
    contract = Contract(
        labels=point.labels,
        max_tokens=model.facts.max_tokens,
        pad_id=model.facts.pad_id,
        normalisation_version=model.facts.normalisation_version,
        languages=tuple(language.value for language in LANGUAGES),
        calibration=point.calibration,
        thresholds=point.thresholds,
        fits=point.fits,
        precision_curves=point.precision_curves,
        reference_scores={
            label: {name: Distribution.model_validate(scores) for name, scores in languages.items()}
            for label, languages in reference_scores.items()
        },
        reference_traffic=reference_traffic and ReferenceTraffic.model_validate(reference_traffic),
        base_model=model.facts.encoder,
        training_data=training_data,
        licences=licences or {},
        code_revision=code_revision(Path(__file__).parent),
        created_at=datetime.now(UTC),
    )
    scales = Scales.model_validate(reference_scales) if reference_scales else None
    return BundleParts(model=model, contract=contract, figures=figures, scales=scales)


def write_bundle(parts: BundleParts, folder: Path) -> Bundle:
    """Write `parts` as the bundle `folder`, replacing an existing one; sign it if there is a key.

    Raises:
        ConfigurationError: the key can't be read.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(parts.model.saved_model, partial / SAVED_MODEL_DIR)
    (partial / TOKENIZER_FILE).parent.mkdir()
    shutil.copyfile(parts.model.tokenizer, partial / TOKENIZER_FILE)
    # One text per batch, and cut if it is too long: a loader replays the scores of the model itself.
    texts = warmup_texts()
    score = open_scorer(parts.model, ScoringOptions(batch_tokens=1))
    scores = score(texts).scores.astype(float).tolist()
    write_warmup(
        partial,
        [WarmupExample(text=text, scores=tuple(row)) for text, row in zip(texts, scores, strict=True)],
    )
    write_evaluation(partial, parts.figures)
    if parts.scales:
        parts.scales.write(partial / SCALES_FILE)
    sealed = seal(partial, parts.contract)
    if key := read_signing_key():
        sign_bundle(partial, key)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return Bundle(path=folder, contract=sealed.contract)


def read_signing_key() -> SigningKey | None:
    """Return the key that signs bundles, if there is one; ConfigurationError if it can't be read."""
    path = os.environ.get(SIGNING_KEY_VARIABLE)
    return SigningKey.read(Path(path)) if path else None


def warmup_texts() -> list[str]:
    """Return the texts that a loader replays: one per supported language, and one that has to be cut."""
    return [*(load_phrasebook(language).example for language in LANGUAGES), _LONG_TEXT]


def code_revision(folder: Path) -> str:
    """Return the Git commit of `folder`, with `-dirty` if files differ from it.

    Outside Git, return TOXIC_CODE_REVISION, or `unknown`.
    """
    configured = os.environ.get(REVISION_VARIABLE) or UNKNOWN
    git = shutil.which("git")
    if git is None:
        return configured
    command = [git, "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    return result.stdout.strip() or configured
