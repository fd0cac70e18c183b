"""A core that scores without a model, and the time of day, for tests of the doors."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract.scales import Scales
from toxic_core.errors import NoVersionReadyError, UnknownModelError
from toxic_core.languages import UNDETERMINED
from toxic_core.text import words
from toxic_inference.http.backend import Limits
from toxic_inference.serving.interfaces import (
    Explanation,
    Lane,
    RawScore,
    Row,
    Session,
    Span,
    Target,
    Terms,
    Text,
    TextScore,
)
from toxic_inference.serving.versions.states import State, VersionStatus
from toxic_model.identification import Identified
from toxic_testing.inference.bundles import make_contract

NO_TERMS = Terms()
TRUNCATED_FROM = 90
"""Characters of a text that the fake core reads."""
UNREAD = "ξ"
"""A letter of texts that the fake core's vocabulary lacks."""
LIMITS = Limits(text_bytes=200, texts=5, body_bytes=4_000, upload_bytes=200_000)


class FakeCore:
    """Scores a text by its length over a hundred; implements `Scorer` and `Session`."""

    def __init__(self) -> None:
        self.version = "7"
        self.contract = make_contract()
        self.ready = True
        self.error: Exception | None = None
        self.source_error: Exception | None = None
        self.held: asyncio.Event | None = None
        self.cancelled = False
        self.scales: Scales | None = None
        self.leases = 0
        self.texts: list[Text] = []
        self.rows: list[Row] = []
        self.lanes: list[Lane] = []
        self.terms: list[Terms] = []
        self.known = [VersionStatus("7", State.AVAILABLE, None, ("champion",))]

    @contextmanager
    def session(self, target: Target, terms: Terms = NO_TERMS) -> Iterator[Session]:
        """Hold the version."""
        if not self.ready:
            raise NoVersionReadyError("No version is available yet.")
        if target.version not in {None, self.version} or target.alias not in {None, "champion"}:
            raise UnknownModelError("There is no such version.")
        self.terms.append(terms)
        self.leases += 1
        try:
            yield self
        finally:
            self.leases -= 1

    def statuses(self) -> Sequence[VersionStatus]:
        """Return what is known."""
        return self.known

    async def score(self, texts: Sequence[Text], *, lane: Lane) -> Sequence[TextScore]:
        """Score texts by their length."""
        await self._work(lane)
        self.texts += texts
        return [self._score(text) for text in texts]

    async def explain(self, text: Text, *, lane: Lane) -> Explanation:
        """Score a text by its length, and give each of its words an influence of a tenth."""
        await self._work(lane)
        return Explanation(
            score=self._score(text),
            spans=tuple(
                Span(w.begin, w.end, (0.1,) * len(self.contract.labels)) for w in words(text.content)
            ),
        )

    async def infer(self, rows: Sequence[Row], *, lane: Lane) -> NDArray[np.float32]:
        """Score rows by their number of tokens."""
        await self._work(lane)
        self.rows += rows
        return np.array([[len(row.ids) / 100] * len(self.contract.labels) for row in rows], dtype=np.float32)

    async def infer_texts(self, texts: Sequence[str], *, lane: Lane) -> Sequence[RawScore]:
        """Score texts by their length."""
        await self._work(lane)
        labels = len(self.contract.labels)
        return [
            RawScore(
                scores=np.full(labels, len(text) / 100, np.float32),
                tokens=3,
                windows=1,
                truncated=len(text) > TRUNCATED_FROM,
                low_confidence=UNREAD in text,
            )
            for text in texts
        ]

    async def _work(self, lane: Lane) -> None:
        self.lanes.append(lane)
        if self.error is not None:
            raise self.error
        if self.held is not None:
            try:
                await self.held.wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    def _score(self, text: Text) -> TextScore:
        score = min(len(text.content) / 100, 1.0)
        labels = len(self.contract.labels)
        return TextScore(
            scores=(score,) * labels,
            decisions=(score >= 0.5 and UNREAD not in text.content,) * labels,
            tokens=3,
            truncated=len(text.content) > TRUNCATED_FROM,
            low_confidence=UNREAD in text.content,
        )


def identify_language(text: str) -> Identified:
    """Return `es` for a text with hola, `und` for one without letters, else `en`."""
    if "hola" in text:
        return Identified("es", 0.75)
    found = "en" if any(character.isalpha() for character in text) else UNDETERMINED
    return Identified(found, 1.0)


class Calendar:
    """The time of day, which a test moves."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def now(self) -> datetime:
        """Return it."""
        return self.moment
