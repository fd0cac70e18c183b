"""Scales: monotone curves from calibrated scores to the scores of a reference, such as the Perspective API.

A curve matches quantiles: the share of comments that reach a reference score is the share that reaches it
here, so that a threshold keeps its flag rate. `scales.json` is an optional, sealed file of a bundle, and
users fit their own.

Invariant: a curve never falls, and stays between 0 and 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, ValidationError, model_validator

from toxic_core.contract.schema import FrozenModel, Probability
from toxic_core.errors import InvalidDataError
from toxic_core.files import replacing
from toxic_core.languages import ANY_LANGUAGE

SCALES_FILE = "scales.json"
FEWEST_ROWS = 500
"""Comments that a curve needs: of a thousand, about twenty reach a reference score of 0.8."""
MAX_KNOTS = 64
_STEP = 0.025
_FOLDS = 2
_SEED = 20200622

Floats = NDArray[np.float64]
Attribute = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=64)]
"""An attribute of the reference, such as `TOXICITY` (`toxic_core.labels.perspective_attribute`)."""


class TooLittleDataError(InvalidDataError):
    """Too few comments have a score of the reference."""


class Curve(FrozenModel):
    """A piecewise linear function; beyond its knots it is constant.

    Attributes:
        knots: pairs of a calibrated score, ascending, and the reference's score, never falling.
        rows: comments that it was fitted on.
        error: mean absolute difference to the reference, on comments that the fit didn't see.
        error_before: the same without a scale.
    """

    knots: Annotated[tuple[tuple[Probability, Probability], ...], Field(min_length=2, max_length=MAX_KNOTS)]
    rows: int = Field(ge=1)
    error: Probability
    error_before: Probability

    @model_validator(mode="after")
    def _check_monotone(self) -> Self:
        if any(b[0] <= a[0] or b[1] < a[1] for a, b in pairwise(self.knots)):
            raise ValueError("the knots' first numbers must ascend, and the second ones never fall")
        return self

    def __call__(self, scores: Floats) -> Floats:
        """Return calibrated scores on the reference's scale, float64 of the same shape."""
        ours, theirs = zip(*self.knots, strict=True)
        return np.asarray(np.interp(scores, ours, theirs), dtype=np.float64)


class Scales(FrozenModel):
    """The content of `scales.json`.

    Attributes:
        schema_version: of this schema.
        source: the reference and the comments, for people.
        model: the model version that was fitted; empty if it is the bundle that contains the file.
        curves: by attribute, then by language or `*`.
    """

    schema_version: Literal[1] = 1
    source: str = Field(min_length=1)
    model: str = ""
    curves: Annotated[dict[Attribute, dict[str, Curve]], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_pooled(self) -> Self:
        if missing := [name for name, curves in self.curves.items() if ANY_LANGUAGE not in curves]:
            raise ValueError(f"{missing[0]} has no curve for any language ({ANY_LANGUAGE!r})")
        return self

    def curve(self, attribute: str, language: str | None) -> Curve | None:
        """Return the curve of an attribute for `language`, or for any language; None if it has none."""
        by_language = self.curves.get(attribute, {})
        return by_language.get(language or ANY_LANGUAGE) or by_language.get(ANY_LANGUAGE)

    def apply(self, attribute: str, scores: Floats, languages: Sequence[str | None]) -> Floats:
        """Return calibrated scores [rows] on the scale; without a curve they stay."""
        scaled = scores.copy()
        codes = np.array([language or ANY_LANGUAGE for language in languages], dtype=object)
        for language in set(codes.tolist()):
            if curve := self.curve(attribute, language):
                scaled[codes == language] = curve(scores[codes == language])
        return scaled

    def write(self, path: Path) -> None:
        """Replace a file atomically."""
        with replacing(path) as partial:
            partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Scores of the same comments.

    Attributes:
        languages: of the comments, by ISO 639-1 code; None or empty if unknown.
        ours: calibrated scores by attribute, float [rows].
        theirs: the reference's scores by attribute, float [rows], NaN if unknown.
    """

    languages: Sequence[str | None]
    ours: Mapping[str, Floats]
    theirs: Mapping[str, Floats]


def fit_scales(pairs: Pairs, *, source: str, model: str = "") -> Scales:
    """Fit a curve per attribute and language with enough comments, and one per attribute over all.

    An attribute with fewer than `FEWEST_ROWS` comments gets none.

    Raises:
        TooLittleDataError: no attribute has enough.
    """
    codes = np.array([language or "" for language in pairs.languages], dtype=object)
    curves: dict[str, dict[str, Curve]] = {}
    most = 0
    for attribute in pairs.ours.keys() & pairs.theirs.keys():
        ours, theirs = pairs.ours[attribute], pairs.theirs[attribute]
        known = np.isfinite(ours) & np.isfinite(theirs)
        most = max(most, int(known.sum()))
        for language in [ANY_LANGUAGE, *sorted(set(codes.tolist()) - {""})]:
            rows = known & ((codes == language) | (language == ANY_LANGUAGE))
            if rows.sum() >= FEWEST_ROWS:
                curves.setdefault(attribute, {})[language] = fit_curve(ours[rows], theirs[rows])
    if not curves:
        raise TooLittleDataError(
            f"A scale needs {FEWEST_ROWS} comments with a score of the reference; there are {most}. "
            f"Record {FEWEST_ROWS - most} more."
        )
    return Scales(source=source, model=model, curves=dict(sorted(curves.items())))


def fit_curve(ours: Floats, theirs: Floats) -> Curve:
    """Fit one curve to the scores of the same comments, and measure it on each half by the other one's fit.

    Args:
        ours: calibrated scores [rows].
        theirs: the reference's scores [rows].

    Raises:
        TooLittleDataError: there are fewer than `FEWEST_ROWS`.
        InvalidDataError: a score isn't from 0 to 1.
    """
    rows = len(ours)
    if rows < FEWEST_ROWS:
        raise TooLittleDataError(f"A curve needs {FEWEST_ROWS} comments; there are {rows}.")
    if not all(((scores >= 0) & (scores <= 1)).all() for scores in (ours, theirs)):
        raise InvalidDataError("A score isn't a number from 0 to 1; remove the row or correct it.")
    fold = np.random.default_rng(_SEED).permutation(rows) % _FOLDS
    held = np.empty(rows)
    for each in range(_FOLDS):
        held[fold == each] = np.interp(
            ours[fold == each], *_match_quantiles(ours[fold != each], theirs[fold != each])
        )
    return Curve(
        knots=tuple(zip(*_match_quantiles(ours, theirs), strict=True)),
        rows=rows,
        error=float(np.abs(held - theirs).mean()),
        error_before=float(np.abs(ours - theirs).mean()),
    )


def _match_quantiles(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Return the knots: for scores of the reference, the scores here that as many comments reach."""
    low, high = theirs.min(), theirs.max()
    grid = np.arange(0.0, 1.0, _STEP)
    reached = np.array([low, *grid[(grid > low) & (grid < high)], high])
    below = np.searchsorted(np.sort(theirs), reached) / len(theirs)
    below[-1] = 1.0
    # The score that the same share of comments doesn't reach here: between the two nearest ones.
    at = np.round(np.quantile(ours, below, method="hazen"), 6)
    knots, which = np.unique(at, return_inverse=True)
    # Comments with equal scores get one score, the middle of theirs.
    matched = np.round(np.bincount(which, weights=reached) / np.bincount(which), 6)
    ends = np.array([0.0, 1.0])[[knots[0] > 0, knots[-1] < 1]]
    order = np.argsort(knots := np.append(knots, ends))
    return knots[order], np.append(matched, ends)[order]


def read_scales(path: Path) -> Scales:
    """Read a file of scales.

    Raises:
        InvalidDataError: it is missing or invalid.
    """
    try:
        return Scales.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidDataError(
            f"The scales {path} can't be read: {error.strerror}. Make the file with: toxic-migrate fit."
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise InvalidDataError(
            f"The scales {path} can't be used: {place}: {first['msg']}. Make the file again with: "
            "toxic-migrate fit."
        ) from error


def bundled_scales(folder: Path) -> Scales | None:
    """Return the scales of the bundle in `folder`; None if it has none.

    Raises:
        InvalidDataError: the file is invalid.
    """
    path = folder / SCALES_FILE
    return read_scales(path) if path.is_file() else None
