"""The evaluation report: one HTML file that needs no network.

Invariant: plotly.js is in the file, and no comment's text is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from toxic_core.labels import LABELS, Label
from toxic_core.languages import ANY_LANGUAGE
from toxic_training.evaluation.bias import SUBMETRICS
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reporting import published
from toxic_training.evaluation.reporting.figures import Figure, Figures, find, groups, headlines, languages
from toxic_training.scoring.exported import ExportFacts

_TEMPLATE = "report.html.j2"
_HATECHECK_SUMS = ("hateful", "non_hateful", "all")

Cell = str | Figure | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the report: headings, and rows with as many cells; None is shown as a dash."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def render_report(
    figures: Figures,
    plots: Mapping[str, go.Figure],
    *,
    point: OperatingPoint,
    facts: ExportFacts,
    parameters: EvaluationParameters,
) -> str:
    """Return the report as HTML, with the plots by anchor; a plot without data is left out."""
    source = (files("toxic_training.evaluation.reporting") / _TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    tables = {
        "languages": language_table(figures),
        "labels": label_table(figures),
        "thresholds": threshold_table(point),
        "bias": bias_table(figures),
        "hatecheck": hatecheck_table(figures),
        "lengths": length_table(figures),
    }
    return environment.from_string(source).render(
        facts=facts,
        parameters=parameters,
        published=published,
        headlines=[line for line in headlines(figures) if not line.name.startswith("hatecheck.")],
        tables={name: table for name, table in tables.items() if table.rows},
        # `</` would end the script.
        plots={
            name: str(figure.to_json()).replace("</", "<\\/") for name, figure in plots.items() if figure.data
        },
        plotly=get_plotlyjs(),
    )


def language_table(figures: Figures) -> Table:
    """Return the figures of `toxic` on test comments, one row per language."""
    names = ("average_precision", "ece", "precision", "recall", "false_positive_rate")
    rows: list[list[Cell]] = []
    for code in [*languages(figures), "all"] if "test.toxic.all.auc" in figures else []:
        key = f"test.toxic.{code}"
        detoxify = published.MULTILINGUAL_AUC.get(code)
        rows.append(
            [
                code,
                *_counts(figures, key),
                find(figures, f"{key}.auc"),
                find(figures, f"comparison.toxic.{code}.auc_difference"),
                None if detoxify is None else Figure(detoxify),
                *(find(figures, f"{key}.{name}") for name in names),
            ]
        )
    ranking = ("AUC", "minus champion's", "Detoxify's")
    headings = ("average precision", "ECE", "precision", "recall", "false positives")
    return Table(["language", "rows", "toxic", *ranking, *headings], rows)


def label_table(figures: Figures) -> Table:
    """Return the figures on held-out train comments, one row per label."""
    names = ("auc", "average_precision", "ece", "precision", "recall")
    rows: list[list[Cell]] = [
        [
            label,
            *_counts(figures, f"heldout.{label}.all"),
            *(find(figures, f"heldout.{label}.all.{name}") for name in names),
        ]
        for label in LABELS
        if f"heldout.{label}.all.auc" in figures
    ]
    if mean := find(figures, "heldout.mean.all.auc"):
        rows.append(["mean", None, None, mean, *([None] * (len(names) - 1))])
    headings = ("AUC", "average precision", "ECE", "precision", "recall")
    return Table(["label", "rows", "positives", *headings], rows)


def threshold_table(point: OperatingPoint) -> Table:
    """Return the operating thresholds, one row per label."""
    columns = sorted({language for by in point.thresholds.values() for language in by} - {ANY_LANGUAGE})
    codes = [None, *columns]
    rows: list[list[str | Figure]] = [
        [label, *(Figure(point.threshold(label, code)) for code in codes)] for label in LABELS
    ]
    return Table(["label", "any language", *columns], rows)


def bias_table(figures: Figures) -> Table:
    """Return the three AUCs of every identity group, the group with the lowest first."""
    found = {
        name: [figure for sub in SUBMETRICS if (figure := find(figures, f"bias.toxic.{name}.{sub}"))]
        for name in groups(figures, r"bias\.toxic\.(\w+)\.subgroup_auc")
    }
    ordered = sorted(found.items(), key=lambda item: min(figure.value for figure in item[1]))
    rows: list[list[Cell]] = [[name.replace("_", " "), *cells] for name, cells in ordered]
    return Table(["group", "subgroup AUC", "BPSN AUC", "BNSP AUC"], rows)


def hatecheck_table(figures: Figures) -> Table:
    """Return the share of cases that pass, one row per functionality, the sums first."""
    names = [name for name in _HATECHECK_SUMS if f"hatecheck.{name}.accuracy" in figures]
    names += [n for n in groups(figures, r"hatecheck\.(\w+)\.accuracy") if n not in _HATECHECK_SUMS]
    rows: list[list[Cell]] = [
        [name, f"{figures[f'hatecheck.{name}.cases']:.0f}", find(figures, f"hatecheck.{name}.accuracy")]
        for name in names
    ]
    return Table(["functionality", "cases", "accuracy"], rows)


def length_table(figures: Figures) -> Table:
    """Return the figures of `toxic` on test comments, one row per range of lengths."""
    names = groups(figures, rf"length\.{Label.TOXIC}\.(\w+)\.auc")
    ordered = sorted(names, key=lambda name: (name.startswith("over"), int(name.rpartition("_")[2])))
    measured = ("auc", "recall", "false_positive_rate")
    rows: list[list[Cell]] = [
        [
            f"{name.replace('_', ' ')} tokens",
            f"{figures[f'length.toxic.{name}.rows']:.0f}",
            *(find(figures, f"length.toxic.{name}.{figure}") for figure in measured),
        ]
        for name in ordered
    ]
    return Table(["length", "rows", "AUC", "recall", "false positives"], rows)


def _counts(figures: Figures, key: str) -> tuple[str, str]:
    return f"{figures[f'{key}.rows']:.0f}", f"{figures[f'{key}.positives']:.0f}"
