"""Scales keep a reference's flag rates, and their file is checked."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from toxic_core.contract.scales import (
    FEWEST_ROWS,
    MAX_KNOTS,
    SCALES_FILE,
    Pairs,
    TooLittleDataError,
    bundled_scales,
    fit_curve,
    fit_scales,
    read_scales,
)
from toxic_core.errors import InvalidDataError

Floats = NDArray[np.float64]


def scores(rows: int = 4_000, *, seed: int = 1) -> tuple[Floats, Floats]:
    """Return scores of the same comments on two scales: ours at the ends, theirs low and noisy."""
    random = np.random.default_rng(seed)
    trait = random.normal(size=rows)
    theirs = 1.2 * trait - 1.5 + 0.4 * random.normal(size=rows)
    return 1 / (1 + np.exp(-4 * trait)), 1 / (1 + np.exp(-theirs))


def pairs(rows: int, *, language: str = "en", seed: int = 1) -> Pairs:
    """Return such scores of TOXICITY."""
    ours, theirs = scores(rows, seed=seed)
    return Pairs([language] * rows, {"TOXICITY": ours}, {"TOXICITY": theirs})


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8])
def test_a_threshold_keeps_its_flag_rate(threshold: float) -> None:
    """On comments that the fit didn't see, as many reach a threshold as at the reference."""
    curve = fit_curve(*scores())
    ours, theirs = scores(seed=2)
    assert (curve(ours) >= threshold).mean() == pytest.approx((theirs >= threshold).mean(), rel=0.2)
    assert (ours >= threshold).mean() > 2 * (theirs >= threshold).mean()


def test_the_error_is_that_on_unseen_comments() -> None:
    """It is the mean absolute difference, close to that of other comments, and smaller than before."""
    curve = fit_curve(*scores())
    ours, theirs = scores(seed=2)
    assert curve.error == pytest.approx(np.abs(curve(ours) - theirs).mean(), rel=0.1)
    assert curve.error_before == pytest.approx(np.abs(ours - theirs).mean(), rel=0.1)
    assert curve.error < curve.error_before / 3
    assert curve.rows == 4_000
    noise = np.random.default_rng(3).permutation(scores()[1])
    assert fit_curve(scores()[0], noise).error > 2 * curve.error


few_values = st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.75, 1.0]), min_size=1, max_size=5)


@given(ours=st.one_of(few_values, st.lists(st.floats(0, 1), min_size=1)), theirs=few_values)
def test_a_curve_is_monotone_and_bounded(ours: list[float], theirs: list[float]) -> None:
    """Ties and constants included."""
    curve = fit_curve(np.resize(ours, FEWEST_ROWS), np.resize(theirs, FEWEST_ROWS))
    line = curve(np.linspace(0, 1, 1_001))
    assert (np.diff(line) >= 0).all()
    assert 0 <= line.min() <= line.max() <= 1
    assert len(curve.knots) <= MAX_KNOTS


def test_equal_scores_get_the_middle_of_theirs() -> None:
    """A score that many comments share can't be told apart."""
    theirs = np.linspace(0, 1, 600)
    curve = fit_curve(np.repeat([0.1, 0.9], 300), theirs)
    assert curve(np.array([0.1, 0.9])) == pytest.approx([0.25, 0.75], abs=0.02)


def test_a_scale_is_applied_by_language() -> None:
    """A language without enough comments has the pooled curve; an attribute without one keeps its scores."""
    english, french = pairs(600), pairs(500, language="fr", seed=2)
    few = pairs(FEWEST_ROWS - 1, language="de", seed=3)
    several = (english, french, few)
    scales = fit_scales(
        Pairs(
            [*english.languages, *french.languages, *few.languages],
            {"TOXICITY": np.concatenate([each.ours["TOXICITY"] for each in several])},
            {"TOXICITY": np.concatenate([each.theirs["TOXICITY"] for each in several])},
        ),
        source="a test",
    )
    assert set(scales.curves["TOXICITY"]) == {"*", "en", "fr"}
    assert scales.curves["TOXICITY"]["*"].rows == 600 + 500 + FEWEST_ROWS - 1
    given_scores = np.array([0.9, 0.9, 0.9, 0.9])
    applied = scales.apply("TOXICITY", given_scores, ["en", "fr", "de", None])
    curves = scales.curves["TOXICITY"]
    assert applied.tolist() == [curves[language](np.array([0.9]))[0] for language in ("en", "fr", "*", "*")]
    assert scales.apply("THREAT", given_scores, ["en"] * 4).tolist() == [0.9] * 4
    assert scales.curve("THREAT", "en") is None


def test_too_little_data_is_refused_with_the_number_needed() -> None:
    """An unknown score of the reference doesn't count."""
    found = pairs(FEWEST_ROWS + 10)
    found.theirs["TOXICITY"][:30] = np.nan
    with pytest.raises(TooLittleDataError, match=r"needs 500 comments.* there are 480\. Record 20 more"):
        fit_scales(found, source="a test")
    with pytest.raises(TooLittleDataError, match="there are 10"):
        fit_curve(*scores(10))


def test_a_score_out_of_range_is_refused() -> None:
    """It is likely a percentage."""
    ours, theirs = scores(600)
    with pytest.raises(InvalidDataError, match="from 0 to 1"):
        fit_curve(ours, theirs * 100)


def test_scales_survive_the_file(tmp_path: Path) -> None:
    """A round trip keeps every number; a bundle may have none."""
    scales = fit_scales(pairs(600), source="a test", model="7")
    assert bundled_scales(tmp_path) is None
    scales.write(tmp_path / SCALES_FILE)
    assert read_scales(tmp_path / SCALES_FILE) == bundled_scales(tmp_path) == scales


@pytest.mark.parametrize(
    ("knots", "reason"),
    [
        ([[0, 0]], "at least 2"),
        ([[0, 0.5], [1, 0.4]], "never fall"),
        ([[0, 0], [0, 0.5], [1, 1]], "must ascend"),
        ([[0, 0], [1, 1.5]], "less than or equal to 1"),
        ([[k / 99, k / 99] for k in range(100)], "at most 64"),
    ],
)
def test_an_invalid_file_is_refused_with_what_to_do(tmp_path: Path, knots: object, reason: str) -> None:
    """The message names the place, the fault and the command that makes the file."""
    curve = {"knots": knots, "rows": 600, "error": 0.1, "error_before": 0.2}
    file = tmp_path / SCALES_FILE
    file.write_text(json.dumps({"source": "x", "curves": {"TOXICITY": {"*": curve}}}))
    with pytest.raises(InvalidDataError, match=rf"curves\.TOXICITY\.\*.*{reason}.*toxic-migrate fit"):
        read_scales(file)


@pytest.mark.parametrize("content", ["", "{}", '{"source": "x", "curves": {}}', '{"source": "x", "a": 1}'])
def test_what_is_no_scale_is_refused(tmp_path: Path, content: str) -> None:
    """A missing file too."""
    file = tmp_path / SCALES_FILE
    with pytest.raises(InvalidDataError, match="No such file"):
        read_scales(file)
    file.write_text(content)
    with pytest.raises(InvalidDataError, match="can't be used"):
        read_scales(file)


def test_a_scale_has_a_curve_for_any_language(tmp_path: Path) -> None:
    """The pooled one."""
    scales = fit_scales(pairs(600), source="a test").model_dump()
    del scales["curves"]["TOXICITY"]["*"]
    (tmp_path / SCALES_FILE).write_text(json.dumps(scales))
    with pytest.raises(InvalidDataError, match="TOXICITY has no curve for any language"):
        read_scales(tmp_path / SCALES_FILE)
