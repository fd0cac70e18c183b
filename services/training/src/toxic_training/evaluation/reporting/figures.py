"""Finds figures by name, for the report, the card and the table.

Invariant: a figure that is absent from an evaluation is absent here, not zero.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from toxic_core.labels import LABELS

logger = logging.getLogger(__name__)

Figures = Mapping[str, float]

HATECHECK_SUMS = ("hateful", "non_hateful", "all")
"""The parts of HateCheck that consist of several functionalities."""


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
    return [name for name in groups(figures, r"test\.toxic\.([\w-]+)\.auc") if name != "all"]


def functionalities(figures: Figures) -> list[str]:
    """Return the parts of HateCheck that have figures, the sums first."""
    found = groups(figures, r"hatecheck\.(\w+)\.identity_accuracy")
    return sorted(found, key=(*HATECHECK_SUMS, *found).index)


def suites(figures: Figures) -> list[str]:
    """Return the suites with expected decisions, without HateCheck."""
    return [name for name in groups(figures, r"(\w+)\.harmful\.accuracy") if name != "hatecheck"]


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
    for name in groups(figures, r"(\w+)\.origins\.mean\.auc"):
        yield f"{name}.origins.mean.auc", f"AUC of toxic, {name}, mean over languages of their sources' mean"
        yield f"{name}.origins.lowest.auc", f"AUC of toxic, {name}, lowest language"
    yield from _suite_titles(figures)
    for code in tested:
        name = f"comparison.toxic.{code}.auc_difference"
        yield name, f"difference in AUC of toxic from the champion, test, {code}"
    yield "serving.latency_ms", "latency of one comment of median length, ms"
    yield "serving.threads", "CPU threads during the latency measurement"
    yield "serving.size_mb", "size of the exported model, MB"


def _suite_titles(figures: Figures) -> Iterator[tuple[str, str]]:
    yield "bias.toxic.combined", "bias against identity groups, combined score"
    yield "hatecheck.all.auc", "AUC of identity_hate, HateCheck"
    for name in functionalities(figures):
        yield f"hatecheck.{name}.identity_accuracy", f"accuracy of identity_hate, HateCheck, {name}"
    for name in suites(figures):
        for side in ("harmful", "harmless"):
            yield f"{name}.{side}.accuracy", f"accuracy, {name}, {side}"
    for side, title in (("harmful", "still flagged"), ("harmless", "still not flagged")):
        yield f"disguised.all.{side}", f"disguised comments {title}"
    for name in groups(figures, r"([\w-]+\.toxic\.[\w-]+)\.auc"):
        if f"{name}.ece" not in figures and not name.startswith("length."):
            yield f"{name}.auc", f"AUC of toxic, {name.replace('.toxic.', ', ')}"
    for name in groups(figures, r"([\w-]+\.\w+\.[\w-]+)\.rank_correlation"):
        yield f"{name}.rank_correlation", f"rank correlation, {name.replace('.', ', ')}"


RUN_HEADLINES = (
    "test.toxic.all.auc",
    "test.toxic.all.ece",
    "test.toxic.all.precision",
    "test.toxic.all.recall",
    "heldout.mean.all.auc",
    "bias.toxic.combined",
    "hatecheck.all.identity_accuracy",
    "everyday.harmful.accuracy",
    "everyday.harmless.accuracy",
    "comparison.toxic.all.auc_difference",
    "serving.latency_ms",
)
"""The figures that are metrics of the run; `evaluation.json` has the others."""


def run_headlines(figures: Figures) -> dict[str, float]:
    """Return the figures of `RUN_HEADLINES` that exist, and the lowest AUC of a language."""
    lowest = [figures[f"test.toxic.{code}.auc"] for code in languages(figures)]
    found = {name: figures[name] for name in RUN_HEADLINES if name in figures}
    return found | ({"test.toxic.lowest.auc": min(lowest)} if lowest else {})


@dataclass(frozen=True, slots=True)
class Ranked:
    """What one aspect of the model measures by part, the weakest part first.

    `parts` are the parts' names with their figures.
    """

    aspect: str
    parts: Sequence[tuple[str, Figure]]


_ASPECTS = (
    ("AUC by language", r"test\.toxic\.([\w-]+)\.auc"),
    ("recall at the decision, by language", r"test\.toxic\.([\w-]+)\.recall"),
    ("AUC by language, other test tables", r"(\w+\.origins\.[\w-]+)\.auc"),
    ("recall at the decision, by label", r"heldout\.(\w+)\.all\.recall"),
    ("identity group, lowest of its three AUCs", r"bias\.toxic\.(\w+)\.(?:subgroup|bpsn|bnsp)_auc"),
    ("accuracy by HateCheck functionality", r"hatecheck\.(\w+_n?h)\.identity_accuracy"),
    ("accuracy by kind of a suite", r"((?!hatecheck)\w+\.[^.]+)\.accuracy"),
    ("harmful comments still flagged, by disguise", r"disguised\.(\w+)\.harmful"),
)
"""What the report ranks: a title, and a pattern of figures whose group is the part."""


def ranked(figures: Figures) -> list[Ranked]:
    """Return every aspect that has at least two parts; sums over parts, named `all`, don't count."""
    found = []
    for aspect, pattern in _ASPECTS:
        lowest: dict[str, Figure] = {}
        for name in figures:
            match = re.fullmatch(pattern, name)
            if match is None or match[1] == "all" or match[1].endswith((".mean", ".lowest")):
                continue
            figure = find(figures, name)
            if figure and (match[1] not in lowest or figure.value < lowest[match[1]].value):
                lowest[match[1]] = figure
        if len(lowest) > 1:
            found.append(Ranked(aspect, sorted(lowest.items(), key=lambda part: part[1].value)))
    return found


def log_headlines(figures: Figures) -> str:
    """Log the headlines as a plain-text table, with their intervals, and return it."""
    rows = [(line.title, str(line.figure), line.figure.interval) for line in headlines(figures)]
    rows.insert(0, ("figure", "value", "interval"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{title:<{widths[0]}}  {value:>{widths[1]}}  {interval:<{widths[2]}}".rstrip()
        for title, value, interval in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    table = "\n".join(lines) + "\n"
    logger.info("Evaluation\n\n%s", table)
    return table
