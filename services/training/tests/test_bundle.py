from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset
from keras import ops

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, Bundle, open_bundle
from toxic_core.contract.evidence import read_evaluation
from toxic_core.contract.provenance import signer_of
from toxic_core.contract.reference import LENGTH_EDGES, Distribution, RecentTraffic, ReferenceTraffic
from toxic_core.contract.scales import Curve, Scales, bundled_scales
from toxic_core.errors import InvalidDataError
from toxic_core.labels import LABELS, Label
from toxic_core.signatures import SigningKey
from toxic_model.scoring import ScoringOptions
from toxic_training.data.comments import OptionalTables, RawTable
from toxic_training.evaluation.calibrating import fit_operating_point
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reference import WEIGHT, describe_reference, describe_traffic
from toxic_training.kedro_project.datasets import (
    BundleDataset,
    ChosenBundleDataset,
    ExportedModelDataset,
    OperatingPointDataset,
)
from toxic_training.kedro_project.pipelines.evaluation.nodes import (
    join_reference,
    score_comments,
    weigh_reference,
)
from toxic_training.kedro_project.pipelines.evaluation.pipeline import create_bundle_pipeline, create_pipeline
from toxic_training.modelling.classifier import Encoder
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.release.bundle import (
    SIGNING_KEY_VARIABLE,
    assemble_bundle,
    warmup_texts,
    write_bundle,
)
from toxic_training.scoring.exported import ExportedModel, read_export
from toxic_training.scoring.texts import open_scorer

pytestmark = pytest.mark.slow

Made = tuple[Encoder, keras.Model, ExportedModel]
Table = Callable[..., pd.DataFrame]

SCALES = Scales(
    source="a test",
    curves={"TOXICITY": {"*": Curve(knots=((0, 0), (1, 0.5)), rows=600, error=0.05, error_before=0.3)}},
)


@pytest.fixture
def point(scored: Table, evaluation_parameters: EvaluationParameters) -> OperatingPoint:
    """Return an operating point whose calibration changes scores."""
    return fit_operating_point(
        scored([0.0, 1.0] * 20, [0.6, 0.7] * 20), pd.DataFrame(), evaluation_parameters
    )


def test_the_exported_model_scores_like_the_classifier(
    made: Made, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """In batches by length, each comment gets the classifier's score of it alone."""
    encoder, classifier, exported = made
    scored = open_scorer(exported, ScoringOptions(batch_tokens=64))(corpus["text"].tolist())
    tokeniser = encoder.tokeniser(max_tokens=modelling_parameters.max_tokens)
    for text, scores, tokens in zip(corpus["text"], scored.scores, scored.tokens, strict=True):
        batch = tokeniser.encode([text])
        inputs = {INPUT_IDS: batch.input_ids, ATTENTION_MASK: batch.attention_mask}
        expected = ops.convert_to_numpy(ops.sigmoid(classifier(inputs, training=False)))[0]
        np.testing.assert_allclose(scores, expected, atol=1e-5)
        assert tokens == batch.input_ids.shape[1]


def test_a_long_comment_gets_its_highest_windows_score(made: Made, corpus: pd.DataFrame) -> None:
    """As in serving, text beyond the model's length counts too."""
    texts = corpus["text"].tolist()
    long = " ".join(texts)
    cut, whole = (
        open_scorer(made[2], ScoringOptions(batch_tokens=64, max_windows=windows))([texts[0], long])
        for windows in (1, 1000)
    )
    np.testing.assert_allclose(whole.scores[0], cut.scores[0], atol=1e-5)
    assert (whole.scores[1] >= cut.scores[1]).all()
    assert (whole.scores[1] > cut.scores[1]).any()
    assert whole.tokens[1] > cut.tokens[1] == made[2].facts.max_tokens


def test_progress_of_long_scoring_is_logged(
    made: Made, corpus: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    """A line at intervals reports how much is done and how long the rest will take."""
    seconds = iter(range(0, 10_000, 10))
    with caplog.at_level("INFO"):
        open_scorer(made[2], ScoringOptions(batch_tokens=16), clock=lambda: next(seconds))(
            corpus["text"].tolist()
        )
    lines = [record.getMessage() for record in caplog.records]
    assert 1 < len(lines) < len(corpus)
    assert "of 40 texts and windows, about" in lines[0]


def test_no_comments_have_no_scores(
    made: Made, corpus: pd.DataFrame, evaluation_parameters: EvaluationParameters
) -> None:
    """An empty table of comments gives an empty table of scores with the same columns."""
    empty, full = (score_comments(made[2], corpus.head(rows), evaluation_parameters) for rows in (0, 2))
    assert len(empty) == 0
    assert list(empty.columns) == list(full.columns)
    assert "text" not in full.columns


def test_a_bundle_contains_what_was_measured(
    made: Made,
    point: OperatingPoint,
    tmp_path: Path,
    corpus: pd.DataFrame,
    evaluation_parameters: EvaluationParameters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bundle has the exported model, its operating point, figures, warm-up scores and a signature."""
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, str(tmp_path / "signing.key"))
    key = SigningKey.read_or_create(tmp_path / "signing.key")
    scores = score_comments(made[2], corpus, evaluation_parameters)
    parts = assemble_bundle(
        model=made[2],
        point=point,
        reference_scores=describe_reference(scores, point, evaluation_parameters),
        reference_traffic=describe_traffic(scores, evaluation_parameters),
        reference_scales=SCALES.model_dump(mode="json"),
        figures={"test.toxic.all.auc": 0.9},
        training_data={},
    )
    write_bundle(parts, tmp_path / "bundle")
    bundle = open_bundle(tmp_path / "bundle")
    assert signer_of(bundle.path, trusted={key.public: "trainer"}) == "trainer"
    assert OperatingPoint.of(bundle) == point
    assert read_evaluation(bundle.path) == {"test.toxic.all.auc": 0.9}
    assert bundled_scales(bundle.path) == SCALES
    examples = bundle.warmup()
    assert [example.text for example in examples] == list(warmup_texts())
    again = open_scorer(ExportedModel.of(bundle), ScoringOptions(batch_tokens=4096))(warmup_texts()).scores
    np.testing.assert_allclose(again, [example.scores for example in examples], atol=1e-5)


def test_reference_scores_have_the_deployments_share(
    scored: Table, point: OperatingPoint, evaluation_parameters: EvaluationParameters
) -> None:
    """Of a hundred comments, half of them toxic, ten are counted as toxic and ninety as not."""
    table = scored([0.0, 1.0] * 50, [0.01, 0.99] * 50)
    reference = describe_reference(table, point, evaluation_parameters)
    counts = reference["toxic"]["*"]["counts"]
    assert (counts[0], counts[-1], sum(counts)) == (90, 10, 100)
    assert reference["toxic"]["en"]["counts"] == counts


def test_reference_traffic_has_the_deployments_share(
    scored: Table, evaluation_parameters: EvaluationParameters
) -> None:
    """Languages and lengths are weighted equally; lengths above the last edge are in the last bin."""
    english, turkish = scored([0.0, 1.0] * 20, [0.5] * 40), scored([0.0] * 20, [0.5] * 20, language="tr")
    table = pd.concat([english, turkish], ignore_index=True).assign(tokens=[1] * 20 + [9] * 20 + [5_000] * 20)
    traffic = ReferenceTraffic.model_validate(describe_traffic(table, evaluation_parameters))
    # 20 of 60 are toxic; 10% of the stream are to be: toxic rows weigh 0.3 and others 1.35.
    assert traffic.languages == {"en": round(20 * 0.3 + 20 * 1.35), "tr": 27}
    assert traffic.lengths.counts[0] == round(10 * 0.3 + 10 * 1.35)
    assert traffic.lengths.counts[-1] == 27
    assert sum(traffic.lengths.counts) == sum(traffic.languages.values())
    assert traffic.deployment_toxic_share == evaluation_parameters.deployment_toxic_share


def test_a_reference_is_weighted_to_what_the_champion_saw_for_a_day(
    made: Made,
    point: OperatingPoint,
    tmp_path: Path,
    corpus: pd.DataFrame,
    evaluation_parameters: EvaluationParameters,
) -> None:
    """Without a day of the champion's own traffic, comments count as before."""
    parts = assemble_bundle(model=made[2], point=point, reference_scores={}, figures={}, training_data={})
    champion = write_bundle(parts, tmp_path / "bundle")
    rows = score_comments(made[2], corpus, evaluation_parameters)
    lengths = [0] * (len(LENGTH_EDGES) - 1)
    lengths[np.searchsorted(LENGTH_EDGES, rows["tokens"].max(), side="right") - 1] = 100
    day = RecentTraffic(
        made_at=champion.contract.created_at,
        watched_seconds=24 * 3600,
        languages={"en": 100, "other": 0, "und": 0},
        lengths=Distribution(edges=LENGTH_EDGES, counts=tuple(lengths)),
        label=Label.TOXIC,
        scores=Distribution(edges=(0.0, 1.0), counts=(100,)),
    )

    def weigh(traffic: RecentTraffic | None, known: Bundle | None = champion) -> pd.DataFrame:
        return weigh_reference(
            rows, corpus, champion=known, traffic=traffic, parameters=evaluation_parameters
        )

    weights = weigh(day)[WEIGHT]
    assert weights.mean() == pytest.approx(1)
    for unknown in (
        weigh(None),
        weigh(day, None),
        weigh(day.model_copy(update={"watched_seconds": 3600.0})),
        weigh(day.model_copy(update={"made_at": datetime(2026, 1, 1, tzinfo=UTC)})),
    ):
        assert WEIGHT not in unknown
    held_out = corpus.assign(source="feedback_test")
    joined = join_reference(corpus, pd.concat([held_out, corpus.assign(source="test")]), corpus.head(2))
    assert joined["source"].value_counts().to_dict() == {"train": 42, "feedback_test": 40}


def test_a_killed_export_leaves_the_previous_bundle(
    made: Made, point: OperatingPoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle is replaced completely or not at all."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "marker").write_text("the bundle before")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("toxic_training.release.bundle.seal", killed)
    parts = assemble_bundle(
        model=made[2], point=point, reference_scores={}, figures={"x": 0.9}, training_data={}
    )
    with pytest.raises(KeyboardInterrupt):
        write_bundle(parts, folder)
    assert (folder / "marker").read_text() == "the bundle before"


def test_a_missing_export_is_an_error(tmp_path: Path) -> None:
    """The error names the pipeline to run first."""
    with pytest.raises(InvalidDataError, match="run the pipeline `evaluation`"):
        read_export(tmp_path)


def test_an_operating_point_survives_its_file(point: OperatingPoint, tmp_path: Path) -> None:
    """It is equal to the last digit, because a threshold decides by it."""
    dataset = OperatingPointDataset(str(tmp_path / "point.json"))
    dataset.save(point)
    assert dataset.load() == point


def test_decisions_equal_those_of_the_contract(made: Made, point: OperatingPoint, scored: Table) -> None:
    """The operating point decides like the contract that contains it."""
    contract = assemble_bundle(
        model=made[2], point=point, reference_scores={}, figures={"x": 0.9}, training_data={}
    ).contract
    for label in LABELS:
        for language in ("en", "xx", None):
            assert point.threshold(label, language) == contract.threshold(label, language)
            assert point.calibration_of(label, language) == contract.calibration_of(label, language)
    table = point.calibrated(scored([0.0, 1.0], [0.1, 0.95]))
    assert point.decisions(table, Label.TOXIC).tolist() == [False, True]


def _suites() -> OptionalTables:
    texts = [f"{word} {who} friend" for word in ("kind", "silly") for who in ("gay", "tall")] * 3
    templates = pd.DataFrame({"Text": texts, "Label": (["NOT_BAD"] * 2 + ["BAD"] * 2) * 3})
    cases = {"functionality": ["a_h", "b_nh"], "test_case": ["silly fool", "thanks"]}
    hatecheck = pd.DataFrame(cases).assign(label_gold=["hateful", "non-hateful"])
    return {"bias_templates": RawTable(templates, "0" * 64), "hatecheck": RawTable(hatecheck, "0" * 64)}


def _catalog(corpus: pd.DataFrame, parameters: EvaluationParameters, **more: object) -> DataCatalog:
    fixed = {
        "training_comments": corpus,
        "validation_comments": corpus,
        "thresholds_comments": corpus.iloc[:0],
        "traffic_comments": corpus.iloc[:0],
        "recent_traffic": None,
        "test_comments": corpus.assign(source="test", origin="test"),
        "raw_suites": _suites(),
        "params:evaluation": parameters,
        **more,
    }
    return DataCatalog({name: MemoryDataset(data, copy_mode="assign") for name, data in fixed.items()})


def test_a_bundle_measured_again_has_its_own_figures(
    made: Made,
    tmp_path: Path,
    corpus: pd.DataFrame,
    modelling_parameters: ModellingParameters,
    evaluation_parameters: EvaluationParameters,
) -> None:
    """Both pipelines run on an in-memory catalog and give the same figures."""
    encoder, classifier, _ = made
    training = _catalog(
        corpus,
        evaluation_parameters,
        **{
            "encoder": encoder,
            "classifier": classifier,
            "params:modelling": modelling_parameters,
            "champion": None,
        },
    )
    training["exported_model"] = exported = ExportedModelDataset(str(tmp_path / "exported"))
    training["operating_point"] = points = OperatingPointDataset(str(tmp_path / "point.json"))
    report = SequentialRunner().run(create_pipeline(), training)["evaluation_report"].load()
    sealed = BundleDataset(str(tmp_path / "bundle"))
    point, model = points.load(), exported.load()
    sealed.save(
        assemble_bundle(model=model, point=point, reference_scores={}, figures=report, training_data={})
    )
    again = _catalog(corpus, evaluation_parameters, champion=sealed.load(), bundle=sealed.load())
    again["evaluated.evaluation_report"] = written = JSONDataset(filepath=str(tmp_path / "evaluation.json"))
    outputs = SequentialRunner().run(create_bundle_pipeline("bundle"), again)
    figures = written.load()
    headlines = outputs["evaluated.evaluation_metrics"].load()
    assert headlines.items() <= figures.items() | {("test.toxic.lowest.auc", figures["test.toxic.en.auc"])}
    assert len(headlines) < 15
    told = {
        "bias.toxic.combined",
        "hatecheck.b_nh.identity_accuracy",
        "serving.latency_ms",
        "test.toxic.en.ece",
    }
    assert told <= figures.keys()
    same = {name for name in report if not name.startswith("serving.latency")}
    assert {name: figures[name] for name in same} == pytest.approx({name: report[name] for name in same})
    assert figures["comparison.toxic.en.auc_difference"] == pytest.approx(0)
    assert "comparison.toxic.en.auc_difference" not in report


def test_the_evaluated_model_is_a_folder_or_a_version(sealed: Path, tmp_path: Path) -> None:
    """Neither or both is an error that names the options."""
    chosen = ChosenBundleDataset(model_name="m", filepath=str(tmp_path / "x"), bundle=str(sealed))
    assert chosen.load() == open_bundle(sealed)
    for folder, version in ((None, None), (str(sealed), 3)):
        dataset = ChosenBundleDataset(
            model_name="m", filepath=str(tmp_path / "x"), bundle=folder, registered=version
        )
        with pytest.raises(DatasetError, match="VERSION=<number or alias>"):
            dataset.load()
