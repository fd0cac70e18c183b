"""The evaluation report: one HTML file that needs no network.

Invariant: it is smaller than 2 MB for any number of languages and sources, and has no script and no
comment's text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from toxic_core.labels import LABELS
from toxic_core.languages import ANY_LANGUAGE
from toxic_training.evaluation.bias import SUBMETRICS
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reporting import published
from toxic_training.evaluation.reporting.figures import (
    Figure,
    Figures,
    find,
    functionalities,
    groups,
    headlines,
    languages,
    ranked,
    suites,
)
from toxic_training.scoring.exported import ExportedModel

TEMPLATES = Environment(
    loader=PackageLoader(__package__, ""),
    autoescape=select_autoescape(["html.j2"]),
    undefined=StrictUndefined,
    trim_blocks=True,
)

_DECISIONS = {"precision": "precision", "recall": "recall", "false positives": "false_positive_rate"}
_CALIBRATED = {"average precision": "average_precision", "ECE": "ece"}
"""Columns of the tables: headings and the figures' names."""

_RANKED = 3
_MOST_ROWS = 300
_MOST_CHARACTERS = 500

Cell = str | Figure | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the report: headings, and rows with as many cells; None is shown as a dash."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    left_out: int = 0

    def cut(self) -> "Table":
        """Return the table with as many rows and characters as keep the report small."""
        rows = [
            [
                f"{cell[:_MOST_CHARACTERS]}…"
                if isinstance(cell, str) and len(cell) > _MOST_CHARACTERS
                else cell
                for cell in row
            ]
            for row in self.rows[:_MOST_ROWS]
        ]
        return Table(self.columns, rows, left_out=max(0, len(self.rows) - _MOST_ROWS))


def write_report(
    *,
    figures: dict[str, float],
    point: OperatingPoint,
    model: ExportedModel,
    parameters: EvaluationParameters,
    drawings: Mapping[str, str],
) -> str:
    """Return the report as HTML, with the drawings, SVG elements, by their anchors."""
    tables = {
        "weakest": ranking_table(figures, weakest=True),
        "strongest": ranking_table(figures, weakest=False),
        "languages": language_table(figures),
        "labels": label_table(figures),
        "thresholds": threshold_table(point),
        "bias": bias_table(figures),
        "hatecheck": hatecheck_table(figures),
        "origins": origin_table(figures),
        "suites": suite_table(figures),
        "disguised": disguise_table(figures),
        "lengths": length_table(figures),
    }
    return TEMPLATES.get_template("report.html.j2").render(
        facts=model.facts,
        parameters=parameters,
        published=published,
        headlines=[line for line in headlines(figures) if not line.name.startswith("hatecheck.")],
        tables={name: table.cut() for name, table in tables.items() if table.rows},
        plots={name: Markup(drawing) for name, drawing in drawings.items()},  # noqa: S704 - our own SVG
    )


def ranking_table(figures: Figures, *, weakest: bool) -> Table:
    """Return the weakest or the strongest parts of every aspect; a part is in one of the two only."""
    rows: list[list[Cell]] = []
    for each in ranked(figures):
        shown = min(_RANKED, len(each.parts) // 2)
        parts = each.parts[:shown] if weakest else each.parts[::-1][:shown]
        rows += [
            ["" if index else each.aspect, name.replace("_", " "), figure]
            for index, (name, figure) in enumerate(parts)
        ]
    return Table(["aspect", "part", "value"], rows)


def language_table(figures: Figures) -> Table:
    """Return the figures of `toxic` on test comments, one row per language."""
    columns = _CALIBRATED | _DECISIONS
    rows: list[list[Cell]] = []
    for code in [*languages(figures), "all"] if "test.toxic.all.auc" in figures else []:
        detoxify = published.MULTILINGUAL_AUC.get(code)
        rows.append(
            [
                code,
                *_measured(figures, f"test.toxic.{code}", "auc"),
                find(figures, f"comparison.toxic.{code}.auc_difference"),
                None if detoxify is None else Figure(detoxify),
                *(find(figures, f"test.toxic.{code}.{name}") for name in columns.values()),
            ]
        )
    return Table(
        ["language", "rows", "toxic", "AUC", "difference from the champion", "Detoxify, published", *columns],
        rows,
    )


def label_table(figures: Figures) -> Table:
    """Return the figures on held-out train comments, one row per label."""
    columns = {"AUC": "auc", **_CALIBRATED, "precision": "precision", "recall": "recall"}
    rows: list[list[Cell]] = [
        [label, *_measured(figures, f"heldout.{label}.all", *columns.values())]
        for label in LABELS
        if f"heldout.{label}.all.auc" in figures
    ]
    if mean := find(figures, "heldout.mean.all.auc"):
        rows.append(["mean", None, None, mean, *([None] * (len(columns) - 1))])
    return Table(["label", "rows", "positives", *columns], rows)


def threshold_table(point: OperatingPoint) -> Table:
    """Return the operating thresholds, one row per label."""
    columns = sorted({language for by in point.thresholds.values() for language in by} - {ANY_LANGUAGE})
    rows: list[list[Cell]] = [
        [label, *(Figure(point.threshold(label, code)) for code in (None, *columns))]
        for label in point.labels
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


def origin_table(figures: Figures) -> Table:
    """Return the AUCs of `toxic` by language and source, one row per language, the lowest mean first."""
    pattern = r"(\w+)\.origins\.([\w-]+)\.([^.]+)\.auc"
    found = [match for name in figures if (match := re.fullmatch(pattern, name))]
    cells: dict[tuple[str, str], list[str]] = {}
    for match in found:
        cells.setdefault((match[1], match[2]), []).append(f"{match[3]} {figures[match[0]]:.3f}")
    rows: list[list[Cell]] = [
        [name, code, find(figures, f"{name}.origins.{code}.auc"), ", ".join(sorted(origins))]
        for (name, code), origins in cells.items()
    ]
    return Table(["set", "language", "mean AUC", "by source"], sorted(rows, key=lambda row: str(row[2])))


def suite_table(figures: Figures) -> Table:
    """Return the share of right decisions by any harm, one row per suite and kind."""
    rows: list[list[Cell]] = [
        [name, kind, find(figures, f"{name}.{kind}.accuracy")]
        for name in suites(figures)
        for kind in groups(figures, rf"{name}\.([^.]+)\.accuracy")
    ]
    return Table(["suite", "kind", "accuracy"], rows)


def disguise_table(figures: Figures) -> Table:
    """Return the share of decisions that each disguise leaves."""
    rows: list[list[Cell]] = [
        [way, *(find(figures, f"disguised.{way}.{side}") for side in ("harmful", "harmless"))]
        for way in groups(figures, r"disguised\.(\w+)\.harmless")
    ]
    return Table(["disguise", "still flagged", "still not flagged"], rows)


def hatecheck_table(figures: Figures) -> Table:
    """Return the share of cases that pass, one row per functionality, the sums first."""
    rows: list[list[Cell]] = [
        [
            name,
            f"{figures[f'hatecheck.{name}.cases']:.0f}",
            *(
                find(figures, f"hatecheck.{name}.{figure}")
                for figure in ("identity_accuracy", "any_accuracy")
            ),
        ]
        for name in functionalities(figures)
    ]
    return Table(["functionality", "cases", "accuracy", "by any harm"], rows)


def length_table(figures: Figures) -> Table:
    """Return the figures of `toxic` on test comments, one row per range of lengths."""
    names = groups(figures, r"length\.toxic\.(\w+)\.auc")
    names.sort(key=lambda name: (name.startswith("over"), int(name.rpartition("_")[2])))
    columns = {"AUC": "auc", "recall": "recall", "false positives": "false_positive_rate"}
    rows: list[list[Cell]] = [
        [
            f"{name.replace('_', ' ')} tokens",
            f"{figures[f'length.toxic.{name}.rows']:.0f}",
            *(find(figures, f"length.toxic.{name}.{figure}") for figure in columns.values()),
        ]
        for name in names
    ]
    return Table(["length", "rows", *columns], rows)


def _measured(figures: Figures, key: str, *names: str) -> list[Cell]:
    """Return the numbers of rows and positives, then the figures."""
    counts = [f"{figures[f'{key}.{name}']:.0f}" for name in ("rows", "positives")]
    return [*counts, *(find(figures, f"{key}.{name}") for name in names)]
