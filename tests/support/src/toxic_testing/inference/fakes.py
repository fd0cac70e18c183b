"""Fakes of the serving core, and a clock that a test moves.

The fakes never sleep, start a thread or need TensorFlow.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import numpy as np

from toxic_core.tokens import EncodedBatch, Tokeniser
from toxic_inference.events import AliasRouted, Event, QueueChanged, StateChanged
from toxic_inference.serving.batching.executables import Executables
from toxic_inference.serving.batching.scheduler import BatchScheduler, SchedulerResources
from toxic_inference.serving.interfaces import ServableId
from toxic_inference.serving.scoring.cache import ScoreCache
from toxic_inference.serving.versions.harness import ActiveServable
from toxic_inference.serving.versions.states import State
from toxic_model.loaded import Float32Array, LoadedModel
from toxic_testing.inference.bundles import MAX_TOKENS, make_contract, make_tokenizer

AnyEvent = TypeVar("AnyEvent", bound=Event)


class HeldExecutor(Executor):
    """Runs a call only when the test releases it, one at a time."""

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
    """A clock that a test moves; implements `Clock`."""

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


class FakeModel:
    """A model that scores a row by the sum of its unmasked ids over a thousand.

    Attributes:
        loaded: the model, as a loader returns it.
        batches: that were computed.
        closed: whether it was freed.
    """

    def __init__(self) -> None:
        self.batches: list[EncodedBatch] = []
        self.closed = False
        self.loaded = LoadedModel(
            contract=make_contract(),
            tokenizer=Tokeniser(make_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0),
            runtime="fake",
            whole=self._infer,
            streams=(),
            close=self._close,
            rates={"float32": 1_000.0},
        )

    def _infer(self, batch: EncodedBatch) -> Float32Array:
        self.batches.append(batch)
        sums = (batch.input_ids * batch.attention_mask).sum(axis=1) / 1000
        labels = len(self.loaded.contract.labels)
        return np.repeat(sums[:, np.newaxis], labels, axis=1).astype(np.float32)

    def _close(self) -> None:
        self.closed = True


def activate(
    servable_id: ServableId, model: LoadedModel, resources: SchedulerResources, *, cached: int = 0
) -> ActiveServable:
    """Put a scheduler and a cache of so many scores in front of a model."""
    executables = Executables(model.whole, model.streams, pad_id=model.contract.pad_id, clock=resources.clock)
    scheduler = BatchScheduler(executables, version=servable_id.version, resources=resources)
    return ActiveServable(servable_id, model, scheduler, ScoreCache(cached))


class EventLog:
    """Keeps what was emitted; implements `Emit`."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def of(self, kind: type[AnyEvent]) -> list[AnyEvent]:
        """Return the events of a class, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def total(self, kind: type[Event], attribute: str) -> int:
        """Return the sum of an attribute over the events of a class."""
        return sum(getattr(event, attribute) for event in self.of(kind))

    @property
    def queue_rows(self) -> int:
        """How many rows wait now."""
        return sum(event.rows for event in self.of(QueueChanged))

    @property
    def states(self) -> dict[str, State | None]:
        """Each version's last state."""
        return {event.version: event.state for event in self.of(StateChanged)}

    @property
    def routes(self) -> dict[str, str | None]:
        """Each alias's last route."""
        return {event.alias: event.version for event in self.of(AliasRouted)}
