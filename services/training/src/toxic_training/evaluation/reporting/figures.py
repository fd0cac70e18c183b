"""Finds figures by name, for the report, the card and the table.

Invariant: a figure that is absent from an evaluation is absent here, not zero.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from toxic_core.labels import LABELS, Label

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, with the ends of its interval if it has one."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return f"{self.value:.4f}"

    @property
    def interval(self) -> str:
        """The interval as text; empty if there is none."""
        return "" if self.low is None or self.high is None else f"{self.low:.4f} to {self.high:.4f}"


def find(figures: Figures, name: str) -> Figure | None:
    """Return the figure `name` with its interval, or None."""
    if name not in figures:
        return None
    return Figure(figures[name], figures.get(f"{name}_low"), figures.get(f"{name}_high"))


def groups(figures: Figures, pattern: str) -> list[str]:
    """Return what the group in `pattern`, a regular expression, matches in the names, each once, sorted."""
    found = (re.fullmatch(pattern, name) for name in figures)
    return sorted({match.group(1) for match in found if match})


def languages(figures: Figures) -> list[str]:
    """Return the languages for which the test set has figures."""
    return [name for name in groups(figures, r"test\.toxic\.(\w+)\.auc") if name != "all"]


@dataclass(frozen=True, slots=True)
class Headline:
    """A headline figure: its name in the evaluation, its title, its value."""

    name: str
    title: str
    figure: Figure


def headlines(figures: Figures) -> list[Headline]:
    """Return the headline figures of a model, in reading order."""
    named = ((name, title, find(figures, name)) for name, title in _titles(figures))
    return [Headline(name, title, figure) for name, title, figure in named if figure is not None]


def _titles(figures: Figures) -> Iterator[tuple[str, str]]:
    tested = [*languages(figures), "all"]
    yield from ((f"test.toxic.{code}.auc", f"AUC of toxic, test, {code}") for code in tested)
    yield "heldout.mean.all.auc", "mean AUC over the labels, held-out train comments"
    for label in LABELS:
        yield f"heldout.{label}.all.auc", f"AUC of {label}, held-out train comments"
    yield from ((f"test.toxic.{code}.ece", f"calibration error of toxic, test, {code}") for code in tested)
    yield "bias.toxic.combined", "bias against identity groups, combined score"
    sums = ["hateful", "non_hateful", "all"]
    singles = [name for name in groups(figures, r"hatecheck\.(\w+)\.accuracy") if name not in sums]
    for name in [*sums, *singles]:
        yield f"hatecheck.{name}.accuracy", f"HateCheck accuracy, {name}"
    for code in tested:
        name = f"comparison.{Label.TOXIC}.{code}.auc_difference"
        yield name, f"AUC of toxic minus the champion's, test, {code}"
    yield "serving.latency_ms", "latency of one comment of median length, ms"
    yield "serving.threads", "threads for that latency"
    yield "serving.size_mb", "size of the exported model, MB"


def headline_table(figures: Figures) -> str:
    """Return the headlines as a plain-text table, with their intervals."""
    rows = [(line.title, str(line.figure), line.figure.interval) for line in headlines(figures)]
    rows.insert(0, ("figure", "value", "interval"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"{title:<{widths[0]}}  {value:>{widths[1]}}  {interval:<{widths[2]}}".rstrip()
        for title, value, interval in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines) + "\n"
