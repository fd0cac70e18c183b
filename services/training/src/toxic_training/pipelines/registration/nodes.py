"""From a classifier to a model version: plain functions."""

from datetime import UTC, datetime
from pathlib import Path

from toxic_core.contract import Bundle, Contract, ScoreDistribution
from toxic_core.evidence import read_evaluation
from toxic_core.labels import Label
from toxic_core.languages import LANGUAGES
from toxic_training.bundle import BundleParts
from toxic_training.exported import ExportedModel
from toxic_training.operating_point import OperatingPoint
from toxic_training.parameters import RegistrationParameters
from toxic_training.release import Release
from toxic_training.revision import code_revision


def assemble_bundle(
    *,
    model: ExportedModel,
    point: OperatingPoint,
    reference_scores: dict[str, dict[str, dict[str, list[float]]]],
    figures: dict[str, float],
    training_data: dict[str, str],
) -> BundleParts:
    """Return everything the artifact contract asks for, but the files' digests."""
    contract = Contract(
        max_tokens=model.facts.max_tokens,
        pad_id=model.facts.pad_id,
        languages=tuple(language.value for language in LANGUAGES),
        calibration=point.calibration,
        thresholds=point.thresholds,
        reference_scores={
            Label(label): {
                name: ScoreDistribution.model_validate(scores) for name, scores in languages.items()
            }
            for label, languages in reference_scores.items()
        },
        encoder=model.facts.encoder,
        training_data=training_data,
        code_revision=code_revision(Path(__file__).parent),
        created_at=datetime.now(UTC),
    )
    return BundleParts(model=model, contract=contract, figures=figures)


def prepare_release(bundle: Bundle, parameters: RegistrationParameters) -> Release:
    """Return the version to register: the bundle, its lineage and figures as tags, a description."""
    contract = bundle.contract
    figures = read_evaluation(bundle.path)
    headline = {name: value for name, value in figures.items() if name.endswith(".auc")}
    lineage = {
        "encoder": contract.encoder,
        "code_revision": contract.code_revision,
        **{f"data.{name}.sha256": digest for name, digest in contract.training_data.items()},
    }
    return Release(
        bundle=bundle,
        model_name=parameters.model_name,
        alias=parameters.alias,
        tags=lineage | {name: f"{value:.4f}" for name, value in headline.items()},
        description=_describe(contract, headline),
    )


def _describe(contract: Contract, headline: dict[str, float]) -> str:
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in sorted(headline.items()))
    return (
        f"Encoder `{contract.encoder}`, at most {contract.max_tokens} tokens, "
        f"code `{contract.code_revision}`.\n\n| figure | value |\n|---|---|\n{rows}\n"
    )
