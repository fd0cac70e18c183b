import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toxic_core.contract import Calibration, Contract
from toxic_core.labels import LABELS
from toxic_training.evaluation.measuring import measure_sets
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reporting.card import MAX_CHARACTERS, model_card
from toxic_training.evaluation.reporting.drawing import draw_plots
from toxic_training.evaluation.reporting.figures import Figure, find, headlines, log_headlines
from toxic_training.evaluation.reporting.plots import PLOTS
from toxic_training.evaluation.reporting.report import bias_table, length_table, threshold_table, write_report
from toxic_training.scoring.exported import ExportedModel, ExportFacts

pytestmark = pytest.mark.slow

Scored = Callable[..., pd.DataFrame]

POINT = OperatingPoint(
    calibration={label: {"*": Calibration()} for label in LABELS},
    thresholds={label: {"*": 0.5, "es": 0.75} for label in LABELS},
)
SUITES = {
    "bias.toxic.combined": 0.9,
    "bias.toxic.old.subgroup_auc": 0.99,
    "bias.toxic.old.bpsn_auc": 0.99,
    "bias.toxic.old.bnsp_auc": 0.99,
    "bias.toxic.middle_aged.subgroup_auc": 0.9,
    "bias.toxic.middle_aged.bpsn_auc": 0.6,
    "bias.toxic.middle_aged.bnsp_auc": 0.9,
    "hatecheck.ident_nh.identity_accuracy": 0.75,
    "hatecheck.ident_nh.cases": 4.0,
    "hatecheck.slur_h.identity_accuracy": 0.5,
    "hatecheck.slur_h.cases": 6.0,
    "hatecheck.non_hateful.identity_accuracy": 0.75,
    "hatecheck.non_hateful.cases": 4.0,
    "comparison.toxic.en.auc_difference": 0.01,
    "comparison.toxic.en.champion_auc": 0.8,
    "serving.latency_ms": 12.5,
}


@pytest.fixture
def test_scores(scored: Scored) -> pd.DataFrame:
    """Score two languages at random, toxic comments higher."""
    generator = np.random.default_rng(1)
    scores = generator.random(400)
    truth = (generator.random(400) < scores).astype(float)
    english = scored(truth[:300].tolist(), scores[:300].tolist())
    spanish = scored(truth[300:].tolist(), scores[300:].tolist(), language="es")
    return pd.concat([english, spanish], ignore_index=True)


@pytest.fixture
def figures(test_scores: pd.DataFrame, evaluation_parameters: EvaluationParameters) -> dict[str, float]:
    """Measure the scores, and add figures of suites."""
    measured = measure_sets(test_scores.head(0), test_scores, point=POINT, parameters=evaluation_parameters)
    return measured | SUITES


def _report(figures: dict[str, float], test_scores: pd.DataFrame, parameters: EvaluationParameters) -> str:
    *_, drawings = draw_plots(figures, test_scores, POINT, parameters)
    assert isinstance(drawings, dict)
    facts = ExportFacts(max_tokens=64, pad_id=0, encoder="tiny <b>")
    model = ExportedModel(folder=Path("nowhere"), facts=facts)
    return write_report(figures=figures, point=POINT, model=model, parameters=parameters, drawings=drawings)


def test_the_report_is_one_file_that_needs_no_network(
    figures: dict[str, float], test_scores: pd.DataFrame, evaluation_parameters: EvaluationParameters
) -> None:
    """It loads nothing, and contains every headline figure."""
    html = _report(figures, test_scores, evaluation_parameters)
    page = re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)
    assert not re.search(r"src=|@import|<script|href=(?!\"#)|url\((?!#)", html)
    for line in headlines(figures):
        if not line.name.startswith("hatecheck."):
            assert f"<td>{line.title.replace(chr(39), '&#39;')}</td><td>{line.figure}</td>" in page
    for section in ("By language", "Bias", "HateCheck", "Operating thresholds", "By length"):
        assert section in page
    assert "tiny &lt;b&gt;" in page
    assert "prefers-color-scheme: dark" in page


def test_the_thresholds_are_those_of_the_models_labels() -> None:
    """A bundle may have fewer labels than training uses now."""
    fewer = OperatingPoint(calibration={"toxic": {"*": Calibration()}}, thresholds={"toxic": {"*": 0.5}})
    assert [row[0] for row in threshold_table(fewer).rows] == ["toxic"]


def test_the_plots_in_the_report_are_drawings_with_text(
    figures: dict[str, float], test_scores: pd.DataFrame, evaluation_parameters: EvaluationParameters
) -> None:
    """Each has its curves' names as text, in the page's colour, which differs between light and dark."""
    html = _report(figures, test_scores, evaluation_parameters)
    found = dict(re.findall(r'<div class="plot" id="(\w+)">(<svg.*?</svg>)', html, flags=re.DOTALL))
    assert list(found) == list(PLOTS)
    for name, texts in {"roc": ("all", "en", "es"), "languages": ("this model", "champion")}.items():
        assert set(texts) <= set(re.findall(r"<text[^>]*>([^<]*)</text>", found[name]))
    assert all("currentColor" in drawing for drawing in found.values())


def test_the_legend_of_many_curves_is_inside_the_drawing(
    figures: dict[str, float], test_scores: pd.DataFrame, evaluation_parameters: EvaluationParameters
) -> None:
    """Every name that a legend has is left of the drawing's right edge."""
    many = pd.concat([test_scores, *(test_scores.assign(language=code) for code in ("fr", "it", "pt", "tr"))])
    html = _report(figures, many, evaluation_parameters)
    (drawing,) = re.findall(r'id="roc">(<svg.*?</svg>)', html, flags=re.DOTALL)
    (width,) = re.findall(r'viewBox="0 0 ([\d.]+) ', drawing)
    names = re.findall(r'x="([\d.]+)"[^>]*>(all|en|es|fr|it|pt|tr)</text>', drawing)
    assert len(names) == 7
    assert all(0 < float(x) < float(width) - 30 for x, _ in names)


def test_the_report_begins_with_weaknesses(
    figures: dict[str, float], test_scores: pd.DataFrame, evaluation_parameters: EvaluationParameters
) -> None:
    """The lowest language, identity group, functionality and recall come before everything else."""
    html = _report(figures, test_scores, evaluation_parameters)
    top = html[: html.index("<h2>In short")]
    weakest, strongest = top.split("<h2>Strongest</h2>")
    assert "<h2>Weakest</h2>" in weakest
    for weak, strong in (("middle aged", "old"), ("slur h", "ident nh")):
        assert f"<td>{weak}</td>" in weakest
        assert f"<td>{strong}</td>" not in weakest
        assert f"<td>{strong}</td>" in strongest
    assert "recall at the decision, by language" in weakest


def test_the_report_of_many_languages_is_small(
    test_scores: pd.DataFrame, evaluation_parameters: EvaluationParameters
) -> None:
    """It is smaller than 2 MB with 100 languages, 100 sources each, and 500 functionalities."""
    codes = [f"l{number}" for number in range(100)]
    many = pd.concat([test_scores.assign(language=code) for code in codes[:20]], ignore_index=True)
    figures = {"test.toxic.all.auc": 0.9, "test.toxic.all.rows": 9.0, "test.toxic.all.positives": 4.0}
    for code in codes:
        for name in ("auc", "rows", "positives", "recall", "ece", "auc_low", "auc_high"):
            figures[f"test.toxic.{code}.{name}"] = 0.123456
        figures |= {f"world.origins.{code}.a-source-{number}.auc": 0.5 for number in range(100)}
    for number in range(500):
        figures |= {f"hatecheck.n{number}_h.identity_accuracy": 0.5, f"hatecheck.n{number}_h.cases": 3.0}
    html = _report(figures, many, evaluation_parameters)
    assert len(html.encode()) < 2_000_000
    assert "more rows are left out" in html


def test_without_suites_and_champion_the_report_is_shorter(
    test_scores: pd.DataFrame, evaluation_parameters: EvaluationParameters
) -> None:
    """Sections without figures are left out."""
    measured = measure_sets(test_scores.head(0), test_scores, point=POINT, parameters=evaluation_parameters)
    html = _report(measured, test_scores, evaluation_parameters)
    assert "<h2>HateCheck" not in html
    assert 'id="functionalities"' not in html
    assert "<h2>Bias" not in html
    assert "<h2>By language" in html


def test_every_plot_is_also_an_image(
    figures: dict[str, float],
    test_scores: pd.DataFrame,
    evaluation_parameters: EvaluationParameters,
    tmp_path: Path,
) -> None:
    """Images are PNG files, for pages that show no HTML."""
    *_, images, _ = draw_plots(figures, test_scores, POINT, evaluation_parameters)
    assert isinstance(images, dict)
    assert list(images) == [f"{name}.png" for name in PLOTS]
    for name, image in images.items():
        image.savefig(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_table_contains_figures_with_intervals(
    figures: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    """It has one line per headline and is logged; an absent figure has no line."""
    with caplog.at_level("INFO"):
        table = log_headlines(figures)
    value = find(figures, "test.toxic.es.auc")
    assert value is not None
    assert re.search(rf"^AUC of toxic, test, es +{value} +{value.interval}$", table, re.MULTILINE)
    assert "accuracy of identity_hate, HateCheck, ident_nh" in table
    assert "held-out" not in table
    assert table in caplog.text
    assert log_headlines({}).splitlines()[0].startswith("figure")


def test_the_groups_with_the_lowest_aucs_come_first(figures: dict[str, float]) -> None:
    """The first row has the lowest AUC."""
    rows = bias_table(figures).rows
    assert [row[0] for row in rows] == ["middle aged", "old"]
    assert rows[0][2] == Figure(0.6)


def test_lengths_are_in_order(figures: dict[str, float]) -> None:
    """Ranges are sorted from the shortest to the longest."""
    assert [row[0] for row in length_table(figures).rows] == ["to 8 tokens", "to 16 tokens", "over 16 tokens"]


def _contract(languages: tuple[str, ...]) -> Contract:
    return Contract(
        labels=LABELS,
        max_tokens=64,
        pad_id=0,
        languages=languages,
        calibration=POINT.calibration,
        thresholds={label: dict.fromkeys(("*", *languages), 0.123456) for label in LABELS},
        base_model="tiny",
        training_data={"train": "a" * 64},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_the_card_describes_the_model(figures: dict[str, float]) -> None:
    """It has data with digests, figures with intervals, thresholds, use and limits."""
    card = model_card(_contract(("en", "es")), figures)
    value = find(figures, "test.toxic.en.auc")
    assert value is not None
    assert f"| AUC of toxic, test, en | {value} | {value.interval} |" in card
    assert f"train, SHA-256 `{'a' * 64}`" in card
    assert "- toxic: 0.123 in any language\n" in card
    assert "Groups with the lowest AUCs: middle aged, old." in card
    assert "Not for removing comments" in card
    assert "## Limits" in card


def test_the_card_names_share_alike_licences(figures: dict[str, float]) -> None:
    """With the parameter that builds a model without them; other licences aren't named twice."""
    licences = {"CC0": 3, "CC-BY-SA-3.0 (labels CC0)": 2, "GPL-3.0": 1}
    card = model_card(_contract(("en",)).model_copy(update={"licences": licences}), figures)
    assert "Texts under CC-BY-SA-3.0 (labels CC0), GPL-3.0 may be passed on only" in card
    assert "`data.leave_out_licences: [share-alike]`" in card


def test_the_card_fits_the_registry(figures: dict[str, float]) -> None:
    """It fits the database's column for any number of languages and figures."""
    many = {f"test.toxic.l{index}.auc": 0.5 for index in range(200)} | figures
    assert len(model_card(_contract(("en",)), many)) <= MAX_CHARACTERS
    seven = {
        f"{kind}.{code}.{name}{end}": 0.123456
        for code in ("en", "es", "fr", "it", "pt", "ru", "tr", "all")
        for kind, name in (
            ("test.toxic", "auc"),
            ("test.toxic", "ece"),
            ("comparison.toxic", "auc_difference"),
        )
        for end in ("", "_low", "_high")
    } | figures
    assert "## Limits" in model_card(_contract(("en", "es", "fr", "it", "pt", "ru", "tr")), seven)
