"""Fakes of the core's protocols, and time that a test owns.

Invariant: nothing here sleeps, starts a thread or needs TensorFlow.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_core.labels import LABELS
from toxic_core.tokens import EncodedBatch, Tokeniser
from toxic_inference.serving.observers import BatchReport, ReadReport, ScoredTexts
from toxic_inference.serving.versions.states import State
from toxic_testing.inference.bundles import MAX_TOKENS, make_contract, make_tokenizer


class HeldExecutor(Executor):
    """Runs nothing until the test releases it, one call at a time."""

    def __init__(self) -> None:
        self.held: list[tuple[Future[Any], Callable[[], object]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Keep the call."""
        future: Future[Any] = Future()
        self.held.append((future, lambda: fn(*args, **kwargs)))
        return future

    def release(self) -> None:
        """Run the oldest call."""
        future, call = self.held.pop(0)
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001  as an executor does
            future.set_exception(error)


class ManualClock:
    """A clock that moves when a test says so; implements `Clock`."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Return the test's time, in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._now += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait(self, event: asyncio.Event, *, at_most_seconds: float | None) -> None:
        """Return once `event` is set, or when the test let that much time pass."""
        until = None if at_most_seconds is None else self._now + at_most_seconds
        while not event.is_set() and (until is None or self._now < until):
            waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._moved.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()


class InlineExecutor(Executor):
    """Runs what it is given at once, on the caller's thread, so that a test knows when it ran."""

    def submit(self, fn: Callable[..., object], /, *args: object, **kwargs: object) -> "Future[object]":  # type: ignore[override]
        """Call `fn` and return a future that is done."""
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  as an executor does
            future.set_exception(error)
        return future


async def spin(until: Callable[[], bool]) -> None:
    """Let the event loop turn until `until` holds."""
    for _ in range(10_000):
        if until():
            return
        await asyncio.sleep(0)
    raise AssertionError("what the test waits for didn't happen")


class FakeServable:
    """A model whose score for a row is the sum of its unmasked ids over a thousand; implements `Servable`."""

    def __init__(self) -> None:
        self.contract = make_contract()
        self.encoder = Tokeniser(make_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0)
        self.runtime = "fake"
        self.side_by_side = False
        self.batches: list[EncodedBatch] = []
        self.closed = False

    def infer(self, batch: EncodedBatch, *, alone: bool = True) -> NDArray[np.float32]:  # noqa: ARG002  the protocol's
        """Return the same score for every label."""
        self.batches.append(batch)
        sums = (batch.input_ids * batch.attention_mask).sum(axis=1) / 1000
        return np.repeat(sums[:, np.newaxis], len(LABELS), axis=1).astype(np.float32)

    def close(self) -> None:
        """Remember that it was freed."""
        self.closed = True


class Recorder:
    """Counts what the core reports; implements every observer protocol of the core."""

    def __init__(self) -> None:
        self.queue_rows = 0
        self.batches: list[BatchReport] = []
        self.refused_rows = 0
        self.departed_rows = 0
        self.states: dict[str, State | None] = {}
        self.loads = 0
        self.load_errors: list[Exception] = []
        self.routes: dict[str, str | None] = {}
        self.polls: list[bool] = []
        self.expired_rows = 0
        self.truncated = 0
        self.windows = 0
        self.hits = 0
        self.misses = 0
        self.scored_texts: list[ScoredTexts] = []
        self.contracts: dict[str, Contract] = {}

    def queue_changed(self, *, rows: int) -> None:
        """Follow the queue's depth."""
        self.queue_rows += rows

    def batch_ran(self, report: BatchReport) -> None:
        """Keep the report."""
        self.batches.append(report)

    def refused(self, *, rows: int) -> None:
        """Count refused rows."""
        self.refused_rows += rows

    def departed(self, *, rows: int) -> None:
        """Count departed rows."""
        self.departed_rows += rows

    def expired(self, *, rows: int) -> None:
        """Count expired rows."""
        self.expired_rows += rows

    def state_changed(self, *, version: str, state: State | None) -> None:
        """Keep each version's last state."""
        self.states[version] = state

    def load_succeeded(self, *, seconds: float) -> None:  # noqa: ARG002  the protocol's
        """Count loads."""
        self.loads += 1

    def load_failed(self, error: Exception) -> None:
        """Keep the errors."""
        self.load_errors.append(error)

    def routed(self, *, alias: str, version: str | None) -> None:
        """Keep each alias's route."""
        self.routes[alias] = version

    def polled(self, *, answered: bool) -> None:
        """Keep the polls' outcomes."""
        self.polls.append(answered)

    def read(self, report: ReadReport) -> None:
        """Count windows, and texts that were cut."""
        self.windows += report.windows
        self.truncated += report.truncated

    def looked_up(self, *, version: str, hits: int, misses: int) -> None:  # noqa: ARG002  the protocol's
        """Count what the cache knew."""
        self.hits += hits
        self.misses += misses

    def scored(self, report: ScoredTexts) -> None:
        """Keep the report."""
        self.scored_texts.append(report)

    def available(self, *, version: str, contract: Contract, runtime: str) -> None:  # noqa: ARG002  the protocol's
        """Keep each version's contract."""
        self.contracts[version] = contract
