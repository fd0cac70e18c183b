"""`compare`: how far the decisions stay the same if a client's thresholds do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toxic_core.languages import ANY_LANGUAGE
from toxic_migrate.ours import Ours
from toxic_migrate.tables import Floats, Scored

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
FEWEST_ROWS = 50
"""Comments of an attribute and language that are compared by themselves."""

_GRID = np.linspace(0.0, 1.0, 41)
_Z = 1.959964
"""Of an interval that covers 95%."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A share of comments with the ends of its 95% interval (Wilson, 1927); None of no comments."""

    share: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, part: int, whole: int) -> "Interval":
        """Return the share of `part` in `whole`."""
        if not whole:
            return cls(None)
        share, z2 = part / whole, _Z**2 / whole
        middle = (share + z2 / 2) / (1 + z2)
        reach = _Z * np.sqrt(share * (1 - share) / whole + z2 / whole / 4) / (1 + z2)
        return cls(share, max(0.0, float(middle - reach)), min(1.0, float(middle + reach)))


@dataclass(frozen=True, slots=True)
class Decisions:
    """Who is flagged here and there by one threshold.

    Attributes:
        both, only_there, only_here: numbers of comments.
        flagged_there, flagged_here: shares of all comments.
        agreement: share of comments with the same decision.
        precision: share of those flagged here that are flagged there.
        recall: share of those flagged there that are flagged here.
    """

    both: int
    only_there: int
    only_here: int
    flagged_there: Interval
    flagged_here: Interval
    agreement: Interval
    precision: Interval
    recall: Interval

    @classmethod
    def of(cls, there: NDArray[np.bool_], here: NDArray[np.bool_]) -> "Decisions":
        """Compare decisions on the same comments."""
        rows, n_there, n_here = len(there), int(there.sum()), int(here.sum())
        both, same = int((there & here).sum()), int((there == here).sum())
        return cls(
            both=both,
            only_there=n_there - both,
            only_here=n_here - both,
            flagged_there=Interval.of(n_there, rows),
            flagged_here=Interval.of(n_here, rows),
            agreement=Interval.of(same, rows),
            precision=Interval.of(both, n_here),
            recall=Interval.of(both, n_there),
        )


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """One threshold of a client.

    Attributes:
        threshold: the client's.
        calibrated: decisions by the calibrated scores here.
        scaled: decisions by the scores on the scale; None without one.
        keeps_rate: the calibrated score that as many comments reach here as reach the threshold there.
    """

    threshold: float
    calibrated: Decisions
    scaled: Decisions | None
    keeps_rate: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """An attribute's scores in one language, or `*` in all of them.

    Attributes:
        attribute, language: of the scores.
        rows: comments with both scores.
        rank_correlation: Spearman's; None if all scores are equal.
        difference: mean absolute difference of calibrated scores.
        difference_scaled: the same on the scale; None without one.
        grid: thresholds of the curves.
        shares_there, shares_calibrated, shares_scaled: share of comments that reach each of them.
        thresholds: what follows for a client's thresholds.
    """

    attribute: str
    language: str
    rows: int
    rank_correlation: float | None
    difference: float
    difference_scaled: float | None
    grid: tuple[float, ...]
    shares_there: tuple[float, ...]
    shares_calibrated: tuple[float, ...]
    shares_scaled: tuple[float, ...] | None
    thresholds: tuple[AtThreshold, ...]


def compare(scored: Scored, ours: Ours, *, thresholds: Sequence[float] = THRESHOLDS) -> Iterator[Comparison]:
    """Yield a comparison of every attribute over all languages, and by language with enough comments."""
    languages = np.array(ours.languages, dtype=object)
    for attribute, theirs in scored.theirs.items():
        calibrated = ours.calibrated.get(attribute)
        if calibrated is None:
            continue
        has_curve = ours.scales is not None and attribute in ours.scales.curves
        scaled = (
            ours.scales.apply(attribute, calibrated, ours.languages) if ours.scales and has_curve else None
        )
        known = np.isfinite(theirs) & np.isfinite(calibrated)
        for language in [ANY_LANGUAGE, *sorted(set(ours.languages))]:
            rows = known & ((languages == language) | (language == ANY_LANGUAGE))
            if rows.sum() >= FEWEST_ROWS:
                yield _compared(
                    (attribute, language),
                    theirs[rows],
                    calibrated[rows],
                    scaled=None if scaled is None else scaled[rows],
                    thresholds=thresholds,
                )


def _compared(
    name: tuple[str, str], theirs: Floats, ours: Floats, *, scaled: Floats | None, thresholds: Sequence[float]
) -> Comparison:
    there, here = _ranks(theirs), _ranks(ours)
    varied = bool(np.ptp(there)) and bool(np.ptp(here))
    return Comparison(
        attribute=name[0],
        language=name[1],
        rows=len(theirs),
        rank_correlation=float(np.corrcoef(there, here)[0, 1]) if varied else None,
        difference=float(np.abs(ours - theirs).mean()),
        difference_scaled=None if scaled is None else float(np.abs(scaled - theirs).mean()),
        grid=tuple(_GRID.tolist()),
        shares_there=_shares(theirs),
        shares_calibrated=_shares(ours),
        shares_scaled=None if scaled is None else _shares(scaled),
        thresholds=tuple(
            AtThreshold(
                threshold=threshold,
                calibrated=Decisions.of(theirs >= threshold, ours >= threshold),
                scaled=None if scaled is None else Decisions.of(theirs >= threshold, scaled >= threshold),
                keeps_rate=float(np.quantile(ours, (theirs < threshold).mean(), method="hazen")),
            )
            for threshold in thresholds
        ),
    )


def _shares(scores: Floats) -> tuple[float, ...]:
    return tuple((scores[:, np.newaxis] >= _GRID).mean(axis=0).tolist())


def _ranks(scores: Floats) -> Floats:
    """Return ranks; equal scores get the middle of theirs."""
    _, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[which], dtype=np.float64)
