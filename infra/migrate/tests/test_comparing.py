"""Comparing: figures, their report, and what a scale changes."""

import numpy as np
import pytest

from toxic_core.contract.scales import Pairs, fit_scales
from toxic_migrate.comparing import Comparison, Decisions, Interval, compare
from toxic_migrate.ours import Ours
from toxic_migrate.report import render
from toxic_migrate.tables import Floats, Scored


def made(*, scale: bool, rows: int = 2_000, seed: int = 1) -> tuple[Scored, Ours]:
    """Return a reference's scores and ours of the same comments, of which ours are higher."""
    random = np.random.default_rng(seed)
    theirs = random.beta(1, 4, rows)
    calibrated = np.clip(theirs**0.5 + random.normal(0, 0.05, rows), 0, 1)
    languages = tuple("fr" if row % 10 == 0 else "en" for row in range(rows))
    scored = Scored(("hello",) * rows, languages, {"TOXICITY": theirs, "FLIRTATION": theirs})
    scales = None
    if scale:
        _, other = made(scale=False, seed=2, rows=rows)
        before, _ = made(scale=False, seed=2, rows=rows)
        scales = fit_scales(Pairs(languages, other.calibrated, before.theirs), source="a test")
    return scored, Ours("7", languages, {"TOXICITY": calibrated}, scales)


def compared(*, scale: bool) -> list[Comparison]:
    """Return the comparisons of such scores."""
    return list(compare(*made(scale=scale), thresholds=(0.5, 0.7)))


def test_decisions_are_counted() -> None:
    """Precision and recall are of the decisions here against those there."""
    there = np.array([True] * 30 + [False] * 70)
    here = np.array([True] * 20 + [False] * 70 + [True] * 10)
    found = Decisions.of(there, here)
    assert (found.both, found.only_there, found.only_here) == (20, 10, 10)
    assert found.agreement.share == 0.8
    assert found.precision.share == found.recall.share == pytest.approx(2 / 3)
    assert found.flagged_there == found.flagged_here
    assert Decisions.of(there, there & False).precision == Interval(None)


def test_intervals_are_wilson_s() -> None:
    """The known one of 10 in 100, and never outside of 0 to 1."""
    assert Interval.of(10, 100).low == pytest.approx(0.0552, abs=1e-4)
    assert Interval.of(10, 100).high == pytest.approx(0.1744, abs=1e-4)
    assert Interval.of(0, 5).low == 0
    assert Interval.of(5, 5).high == 1


def test_a_scale_keeps_the_flag_rate() -> None:
    """Without one, the report has the threshold that does."""
    before, after = compared(scale=False), compared(scale=True)
    assert [(each.attribute, each.language) for each in after] == [
        ("TOXICITY", "*"), ("TOXICITY", "en"), ("TOXICITY", "fr")
    ]  # fmt: skip
    assert before[0].difference_scaled is None
    assert after[0].difference_scaled is not None
    assert after[0].difference_scaled < after[0].difference / 3
    assert after[0].rank_correlation == pytest.approx(0.95, abs=0.04)
    for plain, scaled in zip(before[0].thresholds, after[0].thresholds, strict=True):
        there = plain.calibrated.flagged_there.share
        assert there is not None
        assert plain.scaled is None
        assert scaled.scaled is not None
        assert plain.calibrated.only_here > plain.calibrated.both
        assert scaled.scaled.flagged_here.share == pytest.approx(there, abs=0.005)
        ours = made(scale=False)[1].calibrated["TOXICITY"]
        assert (ours >= plain.keeps_rate).mean() == pytest.approx(there, abs=0.001)


def test_equal_scores_have_no_rank_correlation() -> None:
    """A constant has no order."""
    scored, ours = made(scale=False)
    constant: Floats = np.full(2_000, 0.5)
    (first, *_) = compare(scored, Ours("7", ours.languages, {"TOXICITY": constant}, None))
    assert first.rank_correlation is None


@pytest.mark.parametrize("scale", [False, True])
def test_the_report_stands_alone(*, scale: bool) -> None:
    """One page that loads no other file, with a picture of every threshold."""
    page = render(compared(scale=scale), version="7", source="<b>.csv", comments=2_000)
    assert "http" not in page
    assert "src=" not in page
    assert "&lt;b&gt;.csv" in page
    assert page.count('<div class="bar">') == 2
    assert ("here without the scale" in page) is scale
    assert "FLIRTATION" not in page
