"""Registers a bundle as a new model version.

Invariant: a version exists only after its run has the ids of its corrections. The alias is set last, when the
version has its bundle, metrics, tags and description.
"""

import importlib.metadata
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import ColSpec, Schema
from pydantic import Field, TypeAdapter

import toxic_core
from toxic_core.contract import BUNDLE_ARTIFACT_PATH, Bundle
from toxic_core.contract.evidence import read_evaluation
from toxic_core.contract.scales import bundled_scales
from toxic_training.data.parameters import Parameters
from toxic_training.evaluation.reporting.card import MAX_CHARACTERS, model_card
from toxic_training.evaluation.reporting.figures import headlines
from toxic_training.release import pyfunc_model

logger = logging.getLogger(__name__)

_ARTIFACT = Path(BUNDLE_ARTIFACT_PATH).name
_REQUIREMENTS = ("numpy", "pandas", "pydantic", "structlog", "tensorflow", "tokenizers")

_EXAMPLE = "Thank you for the explanation, that was very helpful."

REPORT_ARTIFACT = "evaluation.html"

CORRECTIONS_ARTIFACT = "corrections.txt"
"""The run's artifact with the ids of the corrections that its version was trained with, one per line."""


class RegistrationParameters(Parameters):
    """The parameters of the registration."""

    model_name: str
    alias: str = Field(description="The alias of a new version.")


@dataclass(frozen=True, slots=True)
class Release:
    """A version to register: a bundle in a folder named `bundle`, and the version's names, tags and text.

    `corrections` are the ids of the corrections that it was trained with, `report` is the run's artifact with
    the evaluation report, empty if the run writes none.
    """

    bundle: Bundle
    model_name: str
    alias: str
    tags: dict[str, str]
    description: str
    corrections: tuple[str, ...] = ()
    report: str = ""


def prepare_release(
    bundle: Bundle,
    parameters: RegistrationParameters,
    corrections: Mapping[str, object] | None = None,
    correction_ids: Sequence[str] = (),
) -> Release:
    """Return the version to register: the bundle, its lineage and headlines as tags, the model card.

    `corrections` is the report of `toxic_training.data.corrections.curate`; only a training has one.
    """
    contract = bundle.contract
    figures = read_evaluation(bundle.path)
    lineage = {
        "encoder": contract.base_model,
        "code_revision": contract.code_revision,
        **{f"data.{name}.sha256": digest for name, digest in contract.training_data.items()},
    }
    if corrections:
        sources = TypeAdapter(dict[str, int]).validate_python(corrections["sources"])
        lineage |= {
            **{f"corrections.{name}": str(corrections[name]) for name in ("cursor", "digest", "rows")},
            **{f"corrections.source.{name}": str(count) for name, count in sources.items()},
        }
    return Release(
        corrections=tuple(correction_ids),
        report="" if corrections is None else REPORT_ARTIFACT,
        bundle=bundle,
        model_name=parameters.model_name,
        alias=parameters.alias,
        tags=lineage | {line.name: str(line.figure) for line in headlines(figures)},
        description=model_card(contract, figures, bundled_scales(bundle.path)),
    )


def register(release: Release) -> str:
    """Log and register `release` in the active MLflow run; return the version's number."""
    if release.bundle.path.name != _ARTIFACT:
        raise ValueError(
            f"The name of the bundle's folder must be {_ARTIFACT!r}, not {release.bundle.path.name!r}."
        )
    if release.corrections:
        mlflow.log_text("".join(f"{each}\n" for each in release.corrections), CORRECTIONS_ARTIFACT)
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=pyfunc_model.__file__,
        artifacts={_ARTIFACT: str(release.bundle.path)},
        code_paths=[str(Path(toxic_core.__file__).parent)],
        pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in _REQUIREMENTS],
        signature=ModelSignature(
            inputs=Schema([ColSpec("string", "text")]),
            outputs=Schema([ColSpec("float", label) for label in release.bundle.contract.labels]),
        ),
        input_example=pd.DataFrame({"text": [_EXAMPLE]}),
        registered_model_name=release.model_name,
    )
    client = MlflowClient()
    version = str(info.registered_model_version)
    run, description = mlflow.active_run(), release.description
    if release.report and run is not None:
        page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/{release.report}"
        description = f"[Evaluation report]({page})\n\n{description}"[:MAX_CHARACTERS]
    client.update_model_version(release.model_name, version, description=description)
    for name, value in release.tags.items():
        client.set_model_version_tag(release.model_name, version, name, value)
    client.set_registered_model_alias(release.model_name, release.alias, version)
    logger.info("Registered %s version %s as %s", release.model_name, version, release.alias)
    return version


def versions_trained_with(correction: str, model_name: str) -> list[str]:
    """Return the versions of a registered model that were trained with a correction, the oldest first."""
    client = MlflowClient()
    found = []
    for version in client.search_model_versions(f"name = '{model_name}'"):
        run = version.run_id
        if run and any(file.path == CORRECTIONS_ARTIFACT for file in client.list_artifacts(run)):
            text = mlflow.artifacts.load_text(f"runs:/{run}/{CORRECTIONS_ARTIFACT}")
            if correction in text.split("\n"):
                found.append(str(version.version))
    return sorted(found, key=int)
