"""Fixtures: a small bundle and its contract."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from toxic_core.contract import (
    SAVED_MODEL_DIR,
    TOKENIZER_FILE,
    Bundle,
    Calibration,
    Contract,
    WarmupExample,
    seal,
    write_warmup,
)
from toxic_core.contract.reference import Distribution
from toxic_core.labels import LABELS, Label
from toxic_core.languages import ANY_LANGUAGE
from toxic_testing.fuzzing import be_patient

be_patient()


@pytest.fixture
def contract() -> Contract:
    """Return a contract with specific values for one label and language, and without files."""
    calibration = {label: {ANY_LANGUAGE: Calibration()} for label in LABELS}
    calibration[Label.TOXIC]["es"] = Calibration(slope=2.0, intercept=-0.5)
    thresholds = {label: {ANY_LANGUAGE: 0.5} for label in LABELS}
    thresholds[Label.TOXIC]["es"] = 0.7
    return Contract(
        labels=LABELS,
        max_tokens=128,
        pad_id=1,
        languages=("en", "es"),
        calibration=calibration,
        thresholds=thresholds,
        reference_scores={Label.TOXIC: {ANY_LANGUAGE: Distribution(edges=(0.0, 0.5, 1.0), counts=(3, 1))}},
        base_model="tiny",
        training_data={"train": "0" * 64},
        created_at=datetime(2026, 11, 23, tzinfo=UTC),
    )


@pytest.fixture
def unsealed(tmp_path: Path) -> Path:
    """Return a bundle's folder without its contract."""
    folder = tmp_path / "bundle"
    variables = folder / SAVED_MODEL_DIR / "variables"
    variables.mkdir(parents=True)
    (folder / SAVED_MODEL_DIR / "saved_model.pb").write_bytes(b"graph")
    (variables / "variables.index").write_bytes(b"weights")
    (folder / TOKENIZER_FILE).parent.mkdir()
    (folder / TOKENIZER_FILE).write_text("{}")
    write_warmup(folder, [WarmupExample(text="Good morning", scores=(0.1,) * len(LABELS))])
    return folder


@pytest.fixture
def bundle(unsealed: Path, contract: Contract) -> Bundle:
    """Return a sealed bundle."""
    return seal(unsealed, contract)
