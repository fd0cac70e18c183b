"""Versions to promote, with complete or damaged bundles.

They are registered over HTTP with the training pipeline's layout, so that the gate finds their files.
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from mlflow.tracking import MlflowClient

from toxic_core.contract import (
    SAVED_MODEL_DIR,
    TOKENIZER_FILE,
    Calibration,
    Contract,
    WarmupExample,
    seal,
    write_warmup,
)
from toxic_core.contract.evidence import write_evaluation
from toxic_core.labels import LABELS
from toxic_core.languages import ANY_LANGUAGE

GOOD_FIGURES: Mapping[str, float] = {
    "test.toxic.all.rows": 1000.0,
    "test.toxic.all.auc": 0.96,
    "test.toxic.en.auc": 0.97,
    "test.toxic.es.auc": 0.91,
    "test.toxic.it.auc": 0.89,
    "test.toxic.tr.auc": 0.97,
    "test.toxic.en.ece": 0.02,
    "serving.latency_ms": 20.0,
    "serving.size_mb": 150.0,
}
"""An evaluation that the packaged policy accepts."""


def write_bundle(folder: Path, figures: Mapping[str, float] = GOOD_FIGURES) -> Path:
    """Make a complete, sealed bundle in `folder`; its model can't be loaded."""
    for name, content in ((f"{SAVED_MODEL_DIR}/saved_model.pb", b"graph"), (TOKENIZER_FILE, b"{}")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    write_warmup(folder, [WarmupExample(text="hello", scores=(0.1,) * len(LABELS))])
    write_evaluation(folder, figures)
    contract = Contract(
        labels=LABELS,
        max_tokens=64,
        pad_id=0,
        languages=("en",),
        calibration={label: {ANY_LANGUAGE: Calibration()} for label in LABELS},
        thresholds={label: {ANY_LANGUAGE: 0.5} for label in LABELS},
        base_model="none",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return seal(folder, contract).path


class Versions:
    """Registers versions of one model with the training pipeline's layout."""

    def __init__(self, client: MlflowClient, model: str, folder: Path) -> None:
        self.client = client
        self.model = model
        self._folder = folder
        client.create_registered_model(model)

    def add(
        self,
        changed: Mapping[str, float | None] | None = None,
        *,
        damage: Callable[[Path], object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> int:
        """Register a good version, with changed figures (None removes one) or damaged files."""
        figures = {**GOOD_FIGURES, **(changed or {})}
        folder = self._folder / uuid.uuid4().hex
        write_bundle(folder, {name: value for name, value in figures.items() if value is not None})
        if damage:
            damage(folder)
        run = self.client.create_run("0")
        self.client.log_artifacts(run.info.run_id, str(folder), "model/artifacts/bundle")
        return self.register(f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)

    def register(self, source: str, run_id: str, *, tags: Mapping[str, str] | None = None) -> int:
        """Register a version at the artifact address `source`."""
        made = self.client.create_model_version(self.model, source, run_id, tags=dict(tags or {}))
        return int(made.version)

    def aliases(self) -> dict[str, int]:
        """Return the version per alias."""
        return {
            alias: int(number)
            for alias, number in self.client.get_registered_model(self.model).aliases.items()
        }

    def set_champion(self, number: int) -> None:
        """Set the champion alias by MLflow's client, which doesn't name a person."""
        self.client.set_registered_model_alias(self.model, "champion", str(number))
