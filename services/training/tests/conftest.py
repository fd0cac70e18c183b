"""Comments and encoders small enough for unit tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from toxic_core.contract import REQUIRED_FILES, Calibration, Contract, WarmupExample, seal, write_warmup
from toxic_core.contract.evidence import write_evaluation
from toxic_core.labels import LABELS
from toxic_core.languages import ANY_LANGUAGE
from toxic_training.data.comments import LABEL_COLUMNS
from toxic_training.data.parameters import DataParameters, SourceParameters
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.modelling.parameters import ModellingParameters

if TYPE_CHECKING:
    import keras

    from toxic_training.modelling.classifier import Encoder
    from toxic_training.scoring.exported import ExportedModel

# A busy machine makes single examples slow.
settings.register_profile("patient", deadline=None, max_examples=50)
settings.load_profile("patient")

RawTable = Callable[..., pd.DataFrame]
Scored = Callable[..., pd.DataFrame]
Made = tuple["Encoder", "keras.Model", "ExportedModel"]


@pytest.fixture(scope="session")
def data_parameters() -> DataParameters:
    """Parameters that hold out about a fifth and keep all rows."""
    return DataParameters(
        train=SourceParameters(language="en", train_fraction=0.8),
        validation=SourceParameters(train_fraction=0.5),
    )


@pytest.fixture(scope="session")
def modelling_parameters() -> ModellingParameters:
    """Parameters of a training run of seconds."""
    return ModellingParameters(
        encoder="tiny",
        vocabulary_size=300,
        max_tokens=16,
        batch_size=8,
        epochs=2,
        peak_learning_rate=1e-3,
        warmup_fraction=0.1,
        weight_decay=0.01,
        dropout=0.1,
        train_embeddings=True,
        cpu_bfloat16=False,
        max_train_minutes=60,
        checkpoint_minutes=5,
        selections=2,
        selection_comments=20,
        selection_margin=0.0,
        patience=10,
        class_weight_power=0.0,
        class_weight_limit=1.0,
        layers=None,
        teacher=None,
        teacher_share=0.0,
        quantise=False,
        seed=7,
    )


@pytest.fixture(scope="session")
def evaluation_parameters() -> EvaluationParameters:
    """Parameters of an evaluation with few resamples."""
    return EvaluationParameters(
        batch_tokens=256,
        max_windows=4,
        precision_comments=50,
        window_overlap_tokens=4,
        bootstrap_samples=50,
        confidence=0.95,
        calibration_toxic_share=0.5,
        calibration_min_per_class=10,
        calibration_bins=5,
        deployment_toxic_share=0.1,
        threshold_precision=0.8,
        reference_bins=10,
        length_edges=(8, 16),
        min_rows_per_language=2,
        min_rows_per_origin=2,
        disguised_comments=10,
        seed=7,
    )


@pytest.fixture(scope="session")
def raw_train() -> RawTable:
    """Make a train file's table from texts and `toxic` labels; the other labels are 0."""

    def make(texts: list[str], toxic: list[str]) -> pd.DataFrame:
        table = pd.DataFrame({"id": [f"t{i}" for i in range(len(texts))], "comment_text": texts})
        table["toxic"] = toxic
        for label in ("severe_toxic", "obscene", "threat", "insult", "identity_hate"):
            table[label] = "0"
        return table

    return make


@pytest.fixture(scope="session")
def corpus() -> pd.DataFrame:
    """Forty comments, half of them toxic, in the form of the comments table."""
    texts = [f"thanks for the kind edit number {i}" for i in range(20)]
    texts += [f"you are a silly fool number {i}" for i in range(20)]
    table = pd.DataFrame(
        {
            "id": [str(i) for i in range(40)],
            "text": texts,
            "language": "en",
            "source": "train",
            "origin": "train",
        }
    )
    table["toxic"] = [0.0] * 20 + [1.0] * 20
    for label in ("severe_toxic", "obscene", "threat", "insult", "identity_hate"):
        table[label] = float("nan")
    return table


@pytest.fixture(scope="session")
def scored() -> Scored:
    """Make a table of raw scores from `toxic` labels and scores; the other labels are missing."""

    def make(
        toxic: Sequence[float], scores: Sequence[float], *, language: str = "en", source: str = "test"
    ) -> pd.DataFrame:
        rows = len(toxic)
        table = pd.DataFrame(
            {
                "id": [f"{language}{i}" for i in range(rows)],
                "language": language,
                "source": source,
                "origin": source,
                "licence": "",
                "tokens": np.arange(1, rows + 1, dtype=np.int32) % 30,
                "toxic": np.array(toxic, dtype=np.float32),
            }
        )
        for label in LABEL_COLUMNS:
            table[label] = table.get(label, np.float32("nan"))
            table[f"score_{label}"] = np.array(scores, dtype=np.float32)
        return table

    return make


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """Seal a bundle with a dummy model that can't be loaded."""
    folder = tmp_path / "sealed"
    for name in REQUIRED_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"{}")
    write_warmup(folder, [WarmupExample(text="hello", scores=(0.1,) * len(LABELS))])
    write_evaluation(folder, {"test.toxic.all.auc": 0.9})
    contract = Contract(
        labels=LABELS,
        max_tokens=64,
        pad_id=0,
        languages=("en",),
        calibration={label: {ANY_LANGUAGE: Calibration(slope=0.8)} for label in LABELS},
        thresholds={label: {ANY_LANGUAGE: 0.7} for label in LABELS},
        base_model="none",
        training_data={"train": "0" * 64},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return seal(folder, contract).path


@pytest.fixture(scope="session")
def made(
    tmp_path_factory: pytest.TempPathFactory, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> Made:
    """Make an untrained classifier and export it."""
    # TensorFlow takes seconds, which tests of other parts don't wait for.
    import keras  # noqa: PLC0415

    from toxic_training.kedro_project.datasets import (  # noqa: PLC0415
        EncoderDataset,
        ExportedModelDataset,
    )
    from toxic_training.kedro_project.pipelines.evaluation.nodes import prepare_export  # noqa: PLC0415
    from toxic_training.modelling.classifier import build_classifier  # noqa: PLC0415
    from toxic_training.modelling.encoders.source import find_encoder  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("made")
    encoders = EncoderDataset(str(folder / "encoder"))
    encoders.save(find_encoder("tiny", texts=corpus["text"].tolist(), vocabulary_size=300, seed=1))
    encoder = encoders.load()
    keras.utils.set_random_seed(1)
    classifier = build_classifier(encoder.load_backbone(), dropout=0.1, train_embeddings=True)
    exported = ExportedModelDataset(str(folder / "exported"))
    exported.save(prepare_export(classifier, encoder, modelling_parameters))
    return encoder, classifier, exported.load()
