"""Two reviewers' opinions of the same texts: when they decide, and how well they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from toxic_core.labels import LabelName

Judgement = Mapping[LabelName, bool]
"""One reviewer's judgement of a text, by label."""

MOST_OPINIONS: Final = 3
"""Opinions after which the majority decides."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well two reviewers agree on one label.

    Attributes:
        texts: texts with two opinions.
        agreed: share of them that both judge alike.
        kappa: Cohen's kappa: 1 if they always agree, 0 if as often as by chance; None if chance alone makes
            them agree, because both give one judgement only.
    """

    texts: int
    agreed: float
    kappa: float | None


def decide(opinions: Sequence[Judgement]) -> Judgement | None:
    """Return the judgement that two equal opinions, or the majority of three, make; None without either."""
    if len(opinions) == 2 and opinions[0] == opinions[1]:  # noqa: PLR2004  two
        return opinions[0]
    if len(opinions) < MOST_OPINIONS:
        return None
    return {label: 2 * sum(each[label] for each in opinions) > len(opinions) for label in opinions[0]}


def disputed(opinions: Sequence[Judgement]) -> list[LabelName]:
    """Return the labels that opinions judge differently."""
    return [
        label for label in (opinions[0] if opinions else {}) if len({each[label] for each in opinions}) > 1
    ]


def agreement(pairs: Sequence[tuple[bool, bool]]) -> Agreement:
    """Return how well two opinions per text agree.

    Source: Cohen (1960), A coefficient of agreement for nominal scales, Educational and Psychological
    Measurement 20(1): kappa = (p_o - p_e) / (1 - p_e), for the observed agreement p_o and that of two
    independent reviewers p_e.

    Args:
        pairs: both judgements of each text; at least one.
    """
    texts = len(pairs)
    agreed = sum(one is other for one, other in pairs) / texts
    first, second = (sum(pair[position] for pair in pairs) / texts for position in (0, 1))
    chance = first * second + (1 - first) * (1 - second)
    return Agreement(texts, agreed, None if chance == 1 else (agreed - chance) / (1 - chance))
