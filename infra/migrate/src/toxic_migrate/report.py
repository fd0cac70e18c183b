"""The report of a comparison: one HTML file without anything from outside, for moderators."""

from collections.abc import Sequence
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined

from toxic_core.languages import ANY_LANGUAGE
from toxic_migrate.comparing import Comparison

_WORDS = {
    "TOXICITY": "rude or disrespectful",
    "SEVERE_TOXICITY": "very hateful",
    "IDENTITY_ATTACK": "attacks on a group",
    "INSULT": "insults",
    "PROFANITY": "swearing",
    "THREAT": "threats",
}


def render(comparisons: Sequence[Comparison], *, version: str, source: str, comments: int) -> str:
    """Return the report as HTML."""
    environment = Environment(
        loader=PackageLoader("toxic_migrate", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "points": _points}
    parts = [(name, list(each)) for name, each in groupby(comparisons, key=lambda each: each.attribute)]
    return environment.get_template("report.html.j2").render(
        parts=parts,
        version=version,
        source=source,
        comments=comments,
        words=_WORDS,
        any_language=ANY_LANGUAGE,
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def _points(shares: Sequence[float], grid: Sequence[float]) -> str:
    """Return a line's points in 300 by 160 units, on a square root axis, which shows small shares."""
    return " ".join(f"{300 * x:.1f},{160 - 160 * y**0.5:.1f}" for x, y in zip(grid, shares, strict=True))
