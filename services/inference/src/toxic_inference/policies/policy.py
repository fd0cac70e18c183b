"""A community's policy: what it changes in a text and in the decisions about it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, StringConstraints, model_validator

from toxic_core.contract import Contract, Probability
from toxic_core.contract.schema import FrozenModel
from toxic_core.labels import LabelName
from toxic_core.languages import ANY_LANGUAGE, UNDETERMINED, Language
from toxic_core.text import NORMALISATION_VERSION
from toxic_inference.monitoring.estimate import deployment_probabilities
from toxic_inference.policies.lists import matcher
from toxic_inference.policies.markup import strip_markup

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class DecidedBy(StrEnum):
    """What decided about a label."""

    MODEL = "model"
    LIST = "list"


class Flags(FrozenModel):
    """The threshold that flags a share of the traffic."""

    flags: Probability


class Precision(FrozenModel):
    """The lowest threshold with an expected precision."""

    precision: Probability


Threshold = Probability | Flags | Precision


class WordList(FrozenModel):
    """Words and patterns of some labels; of every label if it names none."""

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    labels: tuple[LabelName, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "WordList":
        matcher(self.words, self.patterns, NORMALISATION_VERSION)
        return self

    def matches(self, text: str, contract: Contract) -> bool:
        """Return whether it matches a text as the contract's model reads it."""
        return matcher(self.words, self.patterns, contract.normalisation_version)(text)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a policy decides about a text; both in the order of the contract's labels."""

    decisions: tuple[bool, ...]
    by: tuple[DecidedBy, ...]


class Policy(FrozenModel):
    """One community's rules.

    Attributes:
        thresholds: by label, then by language or `*`; others are the contract's.
        flag: what is always flagged.
        ignore: what is never flagged, unless `flag` matches too.
        markup: what is stripped before scoring.
        default_language: of texts for which the request states none; they aren't identified.
        keys: names of the API keys that it belongs to.
    """

    thresholds: dict[LabelName, dict[Literal["*"] | Language, Threshold]] = Field(default_factory=dict)
    flag: WordList = WordList()
    ignore: WordList = WordList()
    markup: Literal["html", "bbcode", "markdown"] | None = None
    default_language: Language | None = None
    keys: tuple[str, ...] = ()

    def strip(self, text: str) -> str:
        """Return a text without its markup."""
        return strip_markup(text, self.markup) if self.markup else text

    def listed(self, text: str, contract: Contract) -> dict[str, bool]:
        """Return what the lists decide about a text, by label."""
        found: dict[str, bool] = {}
        for words, decision in ((self.ignore, False), (self.flag, True)):
            if (words.words or words.patterns) and words.matches(text, contract):
                found |= dict.fromkeys(words.labels or contract.labels, decision)
        return found

    def decide(
        self, text: str, language: str | None, *, scores: Sequence[float], contract: Contract
    ) -> Decided:
        """Return the decisions about a text with these calibrated scores."""
        listed = self.listed(text, contract)
        return Decided(
            tuple(
                listed.get(label, score >= self.threshold(label, language, contract))
                for label, score in zip(contract.labels, scores, strict=True)
            ),
            tuple(DecidedBy.LIST if label in listed else DecidedBy.MODEL for label in contract.labels),
        )

    def threshold(self, label: LabelName, language: str | None, contract: Contract) -> float:
        """Return the calibrated score from which a label is decided; infinity if none satisfies the rule."""
        rules = {str(name): rule for name, rule in self.thresholds.get(label, {}).items()}
        rule = rules.get(language or UNDETERMINED, rules.get(ANY_LANGUAGE))
        if rule is None:
            return contract.threshold(label, language)
        if isinstance(rule, float):
            return rule
        return _by_reference(rule, label, language, contract)


def _by_reference(
    rule: Flags | Precision, label: LabelName, language: str | None, contract: Contract
) -> float:
    """Return the threshold that satisfies a rule on the contract's reference scores."""
    by_language = contract.reference_scores.get(label, {})
    reference = by_language.get(language or ANY_LANGUAGE) or by_language.get(ANY_LANGUAGE)
    if reference is None or contract.reference_traffic is None:
        return contract.threshold(label, language)
    edges, counts = np.array(reference.edges), np.array(reference.counts, dtype=np.float64)
    reaching = np.append(np.cumsum(counts[::-1])[::-1], 0.0)
    if isinstance(rule, Flags):
        # Comments are taken to be spread evenly within a bin.
        return float(np.interp(-rule.flags, -reaching / max(reaching[0], 1.0), edges))
    middle = (edges[:-1] + edges[1:]) / 2
    probability = deployment_probabilities(middle[:, np.newaxis], middle, contract.reference_traffic)[:, 0]
    hits = np.cumsum((counts * probability)[::-1])[::-1]
    precise = hits >= rule.precision * np.maximum(reaching[:-1], 1e-9)
    return float(edges[:-1][precise][0]) if precise.any() else math.inf
