"""A community's policy: what it changes in a text and in the decisions about it."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PrivateAttr, StringConstraints, model_validator

from toxic_core.contract import Contract, Probability
from toxic_core.contract.reference import Distribution
from toxic_core.contract.schema import FrozenModel
from toxic_core.errors import ToxicError
from toxic_core.labels import LabelName
from toxic_core.languages import ANY_LANGUAGE, UNDETERMINED, Language
from toxic_core.text import NORMALISATION_VERSIONS
from toxic_inference.policies.lists import Matcher
from toxic_inference.policies.markup import strip_markup
from toxic_inference.serving.interfaces import Text, TextScore
from toxic_model.identification import Identified

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class PolicyUnusableError(ToxicError):
    """A policy needs what the model version's bundle lacks."""


class DecidedBy(StrEnum):
    """What decided about a label."""

    MODEL = "model"
    LIST = "list"


class Flags(FrozenModel):
    """The threshold that flags a share of the traffic."""

    flags: Probability


class Precision(FrozenModel):
    """The lowest threshold with a precision on the bundle's validation comments."""

    precision: Probability


Threshold = Probability | Flags | Precision


class WordList(FrozenModel):
    """Words and patterns of some labels; of every label if it names none."""

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    labels: tuple[LabelName, ...] = ()
    _matchers: dict[int, Matcher] = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> "WordList":
        # For every version now: compiling thousands of patterns would hold up a request.
        self._matchers = {
            version: Matcher(self.words, self.patterns, version) for version in NORMALISATION_VERSIONS
        }
        return self

    def matches(self, text: str, contract: Contract) -> bool:
        """Return whether it matches a text as the contract's model reads it."""
        return self._matchers[contract.normalisation_version](text)


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

    def digest(self) -> str:
        """Return the SHA-256 of its rules, without its API keys."""
        return hashlib.sha256(self.model_dump_json(exclude={"keys"}).encode()).hexdigest()

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

    def identifier(self, identify: Callable[[str], Identified]) -> Callable[[str], Identified]:
        """Return what identifies languages: the default one, else that of a text without its markup."""
        default = self.default_language
        return lambda text: Identified(default) if default else identify(self.strip(text))

    def read(self, text: Text) -> Text:
        """Return a text without its markup, in the default language if it states none."""
        return Text(self.strip(text.content), text.language or self.default_language)

    def decide(
        self, score: TextScore, language: str | None, *, listed: dict[str, bool], contract: Contract
    ) -> TextScore:
        """Return a text's score with the policy's decisions; `listed` is what its lists decide."""
        labels = contract.labels
        return replace(
            score,
            decisions=tuple(
                listed[label]
                if label in listed
                else not score.low_confidence and value >= self.threshold(label, language, contract)
                for label, value in zip(labels, score.scores, strict=True)
            ),
            decided_by=tuple(DecidedBy.LIST if label in listed else DecidedBy.MODEL for label in labels),
        )

    def threshold(self, label: LabelName, language: str | None, contract: Contract) -> float:
        """Return the calibrated score from which a label is decided; infinity if no score satisfies the rule.

        Raises:
            PolicyUnusableError: the bundle lacks what the rule needs.
        """
        rules = {str(name): rule for name, rule in self.thresholds.get(label, {}).items()}
        rule = rules.get(language or UNDETERMINED, rules.get(ANY_LANGUAGE))
        if rule is None:
            return contract.threshold(label, language)
        if isinstance(rule, float):
            return rule
        if isinstance(rule, Flags):
            by_language = contract.reference_scores.get(label, {})
            reference = by_language.get(language or ANY_LANGUAGE) or by_language.get(ANY_LANGUAGE)
            if reference is None:
                raise PolicyUnusableError(f"{label} has no reference scores for {{flags: {rule.flags:g}}}")
            return _flagging(reference, rule.flags)
        curves = contract.precision_curves.get(label, {})
        curve = curves.get(language or ANY_LANGUAGE) or curves.get(ANY_LANGUAGE)
        if curve is None:
            raise PolicyUnusableError(f"{label} has no precision curve for {{precision: {rule.precision:g}}}")
        found = curve.threshold(rule.precision)
        return math.inf if found is None else found

    def check(self, contract: Contract, *, name: str, version: str) -> None:
        """Check that a version has what the thresholds need.

        Raises:
            PolicyUnusableError: its bundle is an older one, and lacks it.
        """
        try:
            for label in self.thresholds.keys() & set(contract.labels):
                for language in self.thresholds[label]:
                    self.threshold(label, None if language == ANY_LANGUAGE else language, contract)
        except PolicyUnusableError as error:
            raise PolicyUnusableError(
                f"The policy {name!r} can't be applied to version {version}: {error}. "
                "Set a number in the policies file, or train the version again."
            ) from error


@lru_cache(maxsize=4_096)
def _flagging(reference: Distribution, share: float) -> float:
    """Return the threshold that a share of the reference's comments reaches."""
    counts = np.array(reference.counts, dtype=np.float64)
    reaching = np.append(np.cumsum(counts[::-1])[::-1], 0.0)
    # Comments are taken to be spread evenly within a bin.
    return float(np.interp(-share, -reaching / max(reaching[0], 1.0), reference.edges))
