"""From texts to calibrated scores and decisions; the `Scorer` that every door uses.

Invariant: scores and decisions come from one version's model, tokenizer, calibration and thresholds; a
session leases that version from the first text to the last.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from toxic_core.contract import Contract
from toxic_core.contract.calibration import calibrate
from toxic_core.contract.scales import Scales
from toxic_core.errors import NoVersionReadyError
from toxic_inference.events import (
    CacheLookedUp,
    Emit,
    SessionEnded,
    SessionOutcome,
    SessionTimed,
    TextsScored,
    TextsTokenised,
)
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.errors import DeadlineExceededError, InferenceError
from toxic_inference.serving.interfaces import (
    Explanation,
    Lane,
    RawScore,
    Row,
    Session,
    Target,
    Terms,
    Text,
    TextScore,
)
from toxic_inference.serving.scoring import explaining
from toxic_inference.serving.scoring.tokenising import complete, joined, summarise, tokenise
from toxic_inference.serving.versions.harness import ActiveServable
from toxic_inference.threads import Threads, parts_of
from toxic_model.loaded import Float32Array
from toxic_model.scoring import decide

Result = TypeVar("Result")

DEFAULT_TERMS = Terms()

SHORT_CHARACTERS = 512
"""So many characters are tokenised on the event loop: faster than a thread takes over and reports back."""

LONG_WINDOWS = 64
"""A text of more windows waits with the files: 20 KB of words have half as many, and 20 KB of rare signs
would delay other callers by seconds."""


@dataclass(frozen=True, slots=True)
class ScoringLimits:
    """How much one text may cost.

    Attributes:
        windows: most windows that a long text is read in.
        interactive_tokens: most tokens of an interactive call; a larger one goes to the bulk lane.
        span_passes: most rows computed to explain a text, beyond its own windows.
    """

    windows: int
    span_passes: int
    interactive_tokens: int = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringService:
    """Implements `Scorer` over leased versions.

    Attributes:
        lease: leases the version that a target names; raises as `Manager.lease`.
        threads: for tokenising, which would block the event loop for too long.
        clock: for timings and deadlines.
        emit: receives the events of every call.
        limits: how much one text may cost.
    """

    lease: Callable[[Target], AbstractContextManager[ActiveServable]]
    threads: Threads
    clock: Clock
    emit: Emit
    limits: ScoringLimits

    @contextmanager
    def session(self, target: Target, terms: Terms = DEFAULT_TERMS) -> Iterator[Session]:
        """Lease the version that `target` names; raises as `Manager.lease`."""
        with self.lease(target) as active:
            began, outcome = self.clock.now(), SessionOutcome.OTHER
            session = _LeasedSession(active, terms, self)
            try:
                yield session
                outcome = SessionOutcome.ANSWERED
            except (InferenceError, DeadlineExceededError, NoVersionReadyError):
                outcome = SessionOutcome.FAILED
                raise
            finally:
                # The challenger's comparisons have no caller.
                if terms.caller:
                    self.emit(SessionEnded(session.version, outcome))
                    if not session.is_bulk:
                        self.emit(SessionTimed(session.version, self.clock.now() - began))


class _LeasedSession:
    """Implements `Session` on one leased version."""

    def __init__(self, active: ActiveServable, terms: Terms, service: ScoringService) -> None:
        self.is_bulk = False
        self._active = active
        self._service = service
        self._cache = active.cache if terms.store and active.cache.keeps else None
        timeout = terms.timeout_seconds
        self._caller = terms.caller
        self._deadline = None if timeout is None else service.clock.now() + timeout

    @property
    def version(self) -> str:
        return self._active.id.version

    @property
    def contract(self) -> Contract:
        return self._active.model.contract

    @property
    def scales(self) -> Scales | None:
        return self._active.model.scales

    async def score(self, texts: Sequence[Text], *, lane: Lane) -> Sequence[TextScore]:
        found = await self._raw([text.content for text in texts], lane=lane)
        return self._decide(found, [text.language for text in texts])

    async def infer(self, rows: Sequence[Row], *, lane: Lane) -> Float32Array:
        if sum(len(row.ids) for row in rows) > self._service.limits.interactive_tokens:
            lane = Lane.BULK
        self.is_bulk |= lane is Lane.BULK
        return await self._active.scheduler.submit(
            rows, lane=lane, deadline=self._deadline, caller=self._caller
        )

    async def infer_texts(self, texts: Sequence[str], *, lane: Lane) -> Sequence[RawScore]:
        return await self._raw(texts, lane=lane)

    async def explain(self, text: Text, *, lane: Lane) -> Explanation:
        tokenizer, limits = self._active.model.tokenizer, self._service.limits
        aligned = await self._off_loop(lambda: tokenizer.encode_aligned(text.content, most=limits.windows))
        whole = await self.infer([Row(ids=window) for window in aligned.text.windows], lane=lane)
        occlusion = explaining.plan(aligned, whole, passes=limits.span_passes)
        trials = await self.infer(occlusion.rows, lane=lane) if occlusion.rows else whole[:0]
        (score,) = self._decide(summarise([aligned.text], whole), [text.language])
        windows, without = (
            calibrate(raw, languages=[text.language] * len(raw), contract=self.contract)
            for raw in (whole, trials)
        )
        found = explaining.spans(aligned.words, occlusion, windows=windows, trials=without)
        return Explanation(score=score, spans=found)

    async def _raw(self, texts: Sequence[str], *, lane: Lane) -> list[RawScore]:
        if not texts:
            raise InferenceError("No texts were given to score.")
        if lane is Lane.INTERACTIVE:
            # Before tokenising: in overload even that is too much for texts that will be refused.
            self._active.scheduler.check_room(len(texts), caller=self._caller)
        service, cache, tokenizer = self._service, self._cache, self._active.model.tokenizer
        started, windows = service.clock.now(), service.limits.windows
        read = partial(tokenise, tokenizer=tokenizer, windows=windows, cache=cache)
        if sum(map(len, texts)) <= SHORT_CHARACTERS:
            parts = [read(texts)]
        else:
            # In parts, so that one caller's long texts don't keep the thread from others.
            parts = [await self._off_loop(partial(read, part)) for part in parts_of(texts, len)]
        tokenised = parts[0] if len(parts) == 1 else joined(parts)
        unknown = tokenised.unknown
        service.emit(
            TextsTokenised(
                version=self.version,
                texts=len(unknown),
                windows=sum(len(text.windows) for text in unknown),
                tokens=sum(len(window) for text in unknown for window in text.windows),
                unknown=sum(text.unknown for text in unknown),
                truncated=sum(text.truncated for text in unknown),
                low_confidence=sum(text.low_confidence for text in unknown),
                seconds=service.clock.now() - started,
            )
        )
        if cache is not None:
            service.emit(CacheLookedUp(self.version, len(texts) - len(unknown), len(unknown)))
        rows = tokenised.rows
        if any(len(text.windows) > LONG_WINDOWS for text in unknown):
            lane = Lane.BULK
        scores = await self.infer(rows, lane=lane) if rows else np.empty((0, 0), np.float32)
        found = complete(tokenised, scores)
        if cache is not None:
            cache.keep(dict(zip(tokenised.digests, found, strict=True)))
        return found

    async def _off_loop(self, work: Callable[[], Result]) -> Result:
        return await self._service.threads.run(work, caller=self._caller)

    def _decide(self, found: Sequence[RawScore], languages: Sequence[str | None]) -> list[TextScore]:
        contract = self.contract
        raw = np.stack([score.scores for score in found])
        calibrated = calibrate(raw, languages=languages, contract=contract)
        unread = [score.low_confidence for score in found]
        decided = decide(calibrated, languages, contract, low_confidence=unread)
        tokens = [score.tokens for score in found]
        self._service.emit(TextsScored(self.version, languages, calibrated, decided, tokens))
        return [
            TextScore(
                scores=tuple(scores),
                decisions=tuple(decisions),
                tokens=score.tokens,
                truncated=score.truncated,
                windows=score.windows,
                low_confidence=score.low_confidence,
            )
            for score, scores, decisions in zip(found, calibrated.tolist(), decided.tolist(), strict=True)
        ]
