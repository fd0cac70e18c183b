"""Scoring under a community's policy: a scorer over another one.

A door scores through one (`http.policies.following`), and so follows policies like every other.

Invariant: a decision's text is the one that the model read, without markup.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple, Self, TypeVar

import numpy as np

from toxic_core.contract import Contract
from toxic_core.contract.scales import Scales
from toxic_core.errors import ToxicError
from toxic_inference.events import Emit, PolicyApplied, PolicyTextsScored, TextsScored
from toxic_inference.policies.file import Policies
from toxic_inference.policies.policy import DecidedBy, Policy
from toxic_inference.serving.interfaces import (
    Explanation,
    Lane,
    RawScore,
    Row,
    Scorer,
    Session,
    Target,
    Terms,
    Text,
    TextScore,
)
from toxic_inference.threads import Threads, parts_of
from toxic_model.loaded import Float32Array

_SHORT_CHARACTERS = 1_024
"""Most characters of texts that are read on the event loop."""

NO_TERMS = Terms()
Item = TypeVar("Item")
Found = TypeVar("Found")


class UnknownPolicyError(ToxicError):
    """There is no policy of that name, or no longer."""


class _Read(NamedTuple):
    text: Text
    listed: dict[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Governor:
    """Applies one policy.

    Attributes:
        name: the policy's.
        policy: its rules.
        threads: read long texts.
        emit: takes what it decided.
    """

    name: str
    policy: Policy
    threads: Threads
    emit: Emit

    @classmethod
    def named(cls, name: str, policies: Policies | None, *, threads: Threads, emit: Emit) -> Self:
        """Return what applies a policy of the file.

        Raises:
            UnknownPolicyError: there is no such policy.
        """
        if policies is None or name not in policies.policies:
            raise UnknownPolicyError(
                f"There is no policy {name[:50]!r}. Name one of the service's policies file."
            )
        return cls(name=name, policy=policies.policies[name], threads=threads, emit=emit)

    def scorer(self, scorer: Scorer) -> Scorer:
        """Return a scorer of which the decisions are the policy's."""
        return _GovernedScorer(scorer, self)

    def report(self, version: str, texts: Sequence[Text], scores: Sequence[TextScore]) -> None:
        """Emit what was decided about texts."""
        for score in scores:
            said = "yes" if any(score.decisions) else "no"
            self.emit(PolicyApplied(self.name, decided_by([score]), said))
        scored = TextsScored(
            version,
            [text.language for text in texts],
            np.array([score.scores for score in scores], dtype=np.float32),
            np.array([score.decisions for score in scores], dtype=np.bool_),
            [score.tokens for score in scores],
        )
        self.emit(PolicyTextsScored(self.name, scored))


def decided_by(scores: Sequence[TextScore]) -> DecidedBy:
    """Return `list` if a list decided any label of a text."""
    return DecidedBy.LIST if any(DecidedBy.LIST in score.decided_by for score in scores) else DecidedBy.MODEL


@dataclass(frozen=True, slots=True)
class _GovernedScorer:
    """Implements `Scorer` over another one."""

    inner: Scorer
    governor: Governor

    @contextmanager
    def session(self, target: Target, terms: Terms = NO_TERMS) -> Iterator[Session]:
        """Lease the version that `target` names; raises as the scorer does, and as `Policy.check`."""
        with self.inner.session(target, terms) as session:
            self.governor.policy.check(session.contract, name=self.governor.name, version=session.version)
            yield _GovernedSession(session, self.governor, terms.caller)


@dataclass(frozen=True, slots=True)
class _GovernedSession:
    """Implements `Session` over another one."""

    inner: Session
    governor: Governor
    caller: str

    @property
    def version(self) -> str:
        return self.inner.version

    @property
    def contract(self) -> Contract:
        return self.inner.contract

    @property
    def scales(self) -> Scales | None:
        return self.inner.scales

    async def score(self, texts: Sequence[Text], *, lane: Lane) -> Sequence[TextScore]:
        policy, contract = self.governor.policy, self.contract

        def read(text: Text) -> _Read:
            stripped = policy.read(text)
            return _Read(stripped, policy.listed(stripped.content, contract))

        found = await self._each(read, texts, lambda text: len(text.content))
        scores = await self.inner.score([text for text, _ in found], lane=lane)
        return self._decide(found, scores)

    async def explain(self, text: Text, *, lane: Lane) -> Explanation:
        policy = self.governor.policy
        # Offsets of spans are in the text as it was sent, so that its markup stays.
        text = replace(text, language=text.language or policy.default_language)
        explained = await self.inner.explain(text, lane=lane)
        read = _Read(text, policy.listed(text.content, self.contract))
        (score,) = self._decide([read], [explained.score])
        return replace(explained, score=score)

    async def infer(self, rows: Sequence[Row], *, lane: Lane) -> Float32Array:
        return await self.inner.infer(rows, lane=lane)

    async def infer_texts(self, texts: Sequence[str], *, lane: Lane) -> Sequence[RawScore]:
        stripped = await self._each(self.governor.policy.strip, texts, len)
        return await self.inner.infer_texts(stripped, lane=lane)

    async def _each(
        self, read: Callable[[Item], Found], texts: Sequence[Item], size: Callable[[Item], int]
    ) -> list[Found]:
        """Return what `read` returns for each text; long ones are read on a thread, in parts."""
        if sum(map(size, texts)) <= _SHORT_CHARACTERS:
            return list(map(read, texts))
        found: list[Found] = []
        for part in parts_of(texts, size):
            found += await self.governor.threads.run(list, map(read, part), caller=self.caller)
        return found

    def _decide(self, found: Sequence[_Read], scores: Sequence[TextScore]) -> list[TextScore]:
        decided = [
            self.governor.policy.decide(score, text.language, listed=listed, contract=self.contract)
            for (text, listed), score in zip(found, scores, strict=True)
        ]
        self.governor.report(self.version, [text for text, _ in found], decided)
        return decided
