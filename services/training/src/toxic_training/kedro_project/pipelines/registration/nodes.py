"""From a classifier to a model version: plain functions."""

from datetime import UTC, datetime
from pathlib import Path

from toxic_core.contract import Bundle, Contract
from toxic_core.contract.evidence import read_evaluation
from toxic_core.contract.reference import Distribution, ReferenceTraffic
from toxic_core.languages import LANGUAGES
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.reporting.card import model_card
from toxic_training.evaluation.reporting.figures import headlines
from toxic_training.release.bundle import BundleParts
from toxic_training.release.model_version import RegistrationParameters, Release
from toxic_training.release.revision import code_revision
from toxic_training.scoring.exported import ExportedModel


def assemble_bundle(
    *,
    model: ExportedModel,
    point: OperatingPoint,
    reference_scores: dict[str, dict[str, dict[str, list[float]]]],
    figures: dict[str, float],
    training_data: dict[str, str],
    reference_traffic: dict[str, object] | None = None,
) -> BundleParts:
    """Return everything in the artifact contract except the files' digests."""
    contract = Contract(
        labels=point.labels,
        max_tokens=model.facts.max_tokens,
        pad_id=model.facts.pad_id,
        languages=tuple(language.value for language in LANGUAGES),
        calibration=point.calibration,
        thresholds=point.thresholds,
        reference_scores={
            label: {name: Distribution.model_validate(scores) for name, scores in languages.items()}
            for label, languages in reference_scores.items()
        },
        reference_traffic=reference_traffic and ReferenceTraffic.model_validate(reference_traffic),
        base_model=model.facts.encoder,
        training_data=training_data,
        code_revision=code_revision(Path(__file__).parent),
        created_at=datetime.now(UTC),
    )
    return BundleParts(model=model, contract=contract, figures=figures)


def prepare_release(bundle: Bundle, parameters: RegistrationParameters) -> Release:
    """Return the version to register: the bundle, its lineage and headlines as tags, the model card."""
    contract = bundle.contract
    figures = read_evaluation(bundle.path)
    lineage = {
        "encoder": contract.base_model,
        "code_revision": contract.code_revision,
        **{f"data.{name}.sha256": digest for name, digest in contract.training_data.items()},
    }
    return Release(
        bundle=bundle,
        model_name=parameters.model_name,
        alias=parameters.alias,
        tags=lineage | {line.name: str(line.figure) for line in headlines(figures)},
        description=model_card(contract, figures),
    )
