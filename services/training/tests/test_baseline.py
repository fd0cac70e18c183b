from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from toxic_core.contract import Bundle, open_bundle
from toxic_core.contract.evidence import read_evaluation
from toxic_core.contract.scales import Curve, Scales, bundled_scales
from toxic_core.errors import ConfigurationError, ContractError, DigestMismatchError
from toxic_core.tokens import pad
from toxic_model.errors import SignatureError
from toxic_model.opening import open_model
from toxic_model.runtimes.openvino import OPENVINO
from toxic_model.scoring import ScoringOptions
from toxic_training.evaluation.calibrating import fit_operating_point
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.kedro_project.datasets import (
    BaselineDataset,
    BundleDataset,
    EncoderDataset,
    ExportedModelDataset,
)
from toxic_training.kedro_project.pipelines.baseline.pipeline import (
    create_encoder_pipeline,
    create_packing_pipeline,
    create_pipeline,
)
from toxic_training.kedro_project.pipelines.evaluation.nodes import prepare_export
from toxic_training.kedro_project.pipelines.modelling.nodes import prepare_encoder
from toxic_training.modelling.classifier import Encoder, build_classifier, encoder_of
from toxic_training.modelling.encoders.bert import bert_weights
from toxic_training.modelling.encoders.files import read_encoder
from toxic_training.modelling.encoders.source import find_encoder
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.release.baseline import read_baseline, round_weights, unpack
from toxic_training.release.bundle import assemble_bundle, warmup_texts, write_bundle
from toxic_training.release.model_version import RegistrationParameters, Release
from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.texts import open_scorer

pytestmark = pytest.mark.slow

Made = tuple[keras.Model, Encoder, Bundle]

SCALES = Scales(
    source="a test",
    curves={"TOXICITY": {"*": Curve(knots=((0, 0), (1, 0.5)), rows=600, error=0.05, error_before=0.3)}},
)
REPORT = "<!doctype html><title>The report</title>"


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    corpus: pd.DataFrame,
    modelling_parameters: ModellingParameters,
    evaluation_parameters: EvaluationParameters,
) -> Made:
    """Make an untrained classifier with rounded weights, and its bundle."""
    folder = tmp_path_factory.mktemp("made")
    encoders = EncoderDataset(str(folder / "encoder"))
    encoders.save(find_encoder("tiny", texts=corpus["text"].tolist(), vocabulary_size=300, seed=1))
    encoder = encoders.load()
    keras.utils.set_random_seed(1)
    classifier = build_classifier(encoder.load_backbone(), dropout=0.1, train_embeddings=True)
    round_weights(classifier)
    exports = ExportedModelDataset(str(folder / "exported"))
    exports.save(prepare_export(classifier, encoder, modelling_parameters))
    parts = assemble_bundle(
        model=exports.load(),
        point=_point(corpus, evaluation_parameters),
        reference_scores={},
        reference_scales=SCALES.model_dump(mode="json"),
        figures={"test.toxic.all.auc": 0.9},
        training_data={"train": "0" * 64},
    )
    return classifier, encoder, write_bundle(parts, folder / "bundle")


def _point(corpus: pd.DataFrame, parameters: EvaluationParameters) -> OperatingPoint:
    table = corpus.drop(columns="text")
    for label in ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"):
        table[f"score_{label}"] = np.linspace(0.1, 0.9, len(table)).astype(np.float32)
    table["tokens"] = 5
    return fit_operating_point(table, pd.DataFrame(), parameters)


@pytest.fixture
def packed(made: Made, tmp_path: Path) -> Path:
    """Pack it by the pipeline."""
    folder = tmp_path / "baseline"
    catalog = DataCatalog(
        {
            "classifier": MemoryDataset(made[0], copy_mode="assign"),
            "encoder": MemoryDataset(made[1], copy_mode="assign"),
            "bundle": MemoryDataset(made[2]),
            "evaluation_html": MemoryDataset(REPORT),
            "packed_baseline": BaselineDataset(str(folder)),
        }
    )
    SequentialRunner().run(create_packing_pipeline(), catalog)
    return folder


def test_unpacking_reverses_packing(made: Made, packed: Path, tmp_path: Path) -> None:
    """The unpacked version has the packed one's scores, figures, lineage and operating point."""
    registration = RegistrationParameters(model_name="toxic-comments", alias="challenger")
    catalog = DataCatalog(
        {
            "baseline": BaselineDataset(str(packed)),
            "baseline_encoder": EncoderDataset(str(tmp_path / "encoder")),
            "baseline_export": ExportedModelDataset(str(tmp_path / "exported")),
            "baseline_bundle": BundleDataset(str(tmp_path / "bundle")),
            "params:registration": MemoryDataset(registration),
            "model_version": MemoryDataset(),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    bundle = open_bundle(tmp_path / "bundle")
    release = catalog["model_version"].load()
    assert isinstance(release, Release)
    assert bundle.contract.model_copy(update={"files": {}}) == made[2].contract.model_copy(
        update={"files": {}}
    )
    assert read_evaluation(bundle.path) == read_evaluation(made[2].path)
    assert bundled_scales(bundle.path) == SCALES
    assert "| TOXICITY | 600 | 0.300 | 0.050 |" in (packed / "README.md").read_text()
    assert "| TOXICITY | 600 | 0.300 | 0.050 |" in release.description
    before, after = (
        open_scorer(ExportedModel.of(each), ScoringOptions(batch_tokens=512))(warmup_texts()).scores
        for each in (made[2], bundle)
    )
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_the_packed_folder_is_served_as_it_is(made: Made, packed: Path) -> None:
    """OpenVINO gives the recorded scores without a SavedModel, also of a short text beside a long one."""
    model = open_model(open_bundle(packed), threads=1, runtime="openvino")
    texts = ["thanks", "you are a silly fool " * 9]
    tokens = model.tokenizer.token_ids(texts)
    scores = model.whole(pad(tokens, pad_id=1, length=max(map(len, tokens))))
    expected = open_scorer(ExportedModel.of(made[2]), ScoringOptions(batch_tokens=512))(texts).scores
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    model.close()


@pytest.mark.parametrize("damage", ["weights.safetensors", "config.json"])
def test_a_packed_folder_of_another_form_is_refused(made: Made, packed: Path, damage: str) -> None:
    """The error names the folder, whatever is wrong in it."""
    (packed / damage).write_bytes(b"{}")
    with pytest.raises(SignatureError, match=r"baseline holds no packed model that can be read"):
        OPENVINO.read(packed, len(made[2].contract.labels))


def test_the_packed_folder_is_small(made: Made, packed: Path) -> None:
    """It takes less than a third of the exported model."""
    size = sum(file.stat().st_size for file in packed.rglob("*") if file.is_file())
    assert size < ExportedModel.of(made[2]).size_bytes() / 3


def test_the_folder_contains_card_and_report(packed: Path) -> None:
    """The folder documents itself for people."""
    assert "| figure | value |" in (packed / "README.md").read_text(encoding="utf-8")
    assert (packed / "evaluation.html").read_text(encoding="utf-8") == REPORT


def test_training_can_start_from_the_baseline(
    packed: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """The encoder `baseline` is the packed model's own, with its tokenizer and classification layer."""
    parameters = modelling_parameters.model_copy(update={"encoder": "baseline"})
    files = prepare_encoder(corpus, packed, parameters)
    text = "you are a silly fool"
    packed_tokenizer = read_baseline(packed).encoder.tokenizer
    assert files.tokenizer.encode(text).ids == packed_tokenizer.encode(text).ids
    np.testing.assert_array_equal(files.weights["classifier.bias"], read_baseline(packed).head[1])


def test_a_packed_model_is_an_encoder_too(packed: Path) -> None:
    """Training can continue from a packed folder by its path."""
    files = read_encoder(packed)
    baseline = read_baseline(packed).encoder
    assert files.config == baseline.config
    assert files.weights.keys() == baseline.weights.keys()


def test_a_damaged_packed_model_is_no_encoder(packed: Path) -> None:
    """The error names the folder."""
    (packed / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"The packed model in .* can't be read"):
        read_encoder(packed)


def test_training_can_start_from_the_last_one(made: Made, tmp_path: Path) -> None:
    """The fine-tuned encoder's folder loads with the trained weights and classification layer."""
    catalog = DataCatalog(
        {
            "classifier": MemoryDataset(made[0], copy_mode="assign"),
            "encoder": MemoryDataset(made[1], copy_mode="assign"),
            "fine_tuned_encoder": EncoderDataset(str(tmp_path / "encoder")),
        }
    )
    SequentialRunner().run(create_encoder_pipeline(), catalog)
    encoder = catalog["fine_tuned_encoder"].load()
    head = encoder.head()
    assert head is not None
    for part, expected in zip(head, made[0].get_layer("logits").get_weights(), strict=True):
        np.testing.assert_array_equal(part, expected)
    backbone = encoder.load_backbone()
    weights, trained = bert_weights(backbone), bert_weights(encoder_of(made[0]))
    assert weights.keys() == trained.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight, trained[name])


def test_a_damaged_file_is_named(packed: Path) -> None:
    """A baseline with a changed file isn't unpacked."""
    weights = packed / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DigestMismatchError, match=r"weights\.safetensors isn't the file that was packed"):
        read_baseline(packed)


@pytest.mark.parametrize("missing", ["weights.safetensors", "contract.json", "tokenizer/tokenizer.json"])
def test_a_missing_file_is_named(packed: Path, missing: str) -> None:
    """A baseline that lacks a file isn't unpacked."""
    (packed / missing).unlink()
    with pytest.raises(ContractError, match=missing):
        read_baseline(packed)


def test_a_missing_folder_is_an_error(
    tmp_path: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """Without the shipped folder, the error names the variable for another one."""
    parameters = modelling_parameters.model_copy(update={"encoder": "baseline"})
    with pytest.raises(ContractError, match="TOXIC_BASELINE_DIR"):
        prepare_encoder(corpus, tmp_path / "nowhere", parameters)


def test_weights_with_other_scores_are_refused(packed: Path, tmp_path: Path) -> None:
    """Scores are compared with those recorded when the folder was packed."""
    baseline = read_baseline(packed)
    encoders = EncoderDataset(str(tmp_path / "encoder"))
    kernel, bias = baseline.head
    encoders.save(baseline.encoder)
    with pytest.raises(ContractError, match="scores are off"):
        unpack(replace(baseline, head=(kernel, bias + 1)), encoders.load())
