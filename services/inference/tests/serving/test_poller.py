import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from toxic_core.errors import RegistryUnavailableError
from toxic_inference.events import SourcePolled
from toxic_inference.serving.interfaces import AspiredVersion, ServableId
from toxic_inference.serving.versions.poller import Poller
from toxic_testing.inference.fakes import EventLog, InlineExecutor, ManualClock

pytestmark = pytest.mark.anyio

Turn = Callable[[Callable[[], bool]], Awaitable[None]]

ONE = (AspiredVersion(ServableId("1", "f"), frozenset({"champion"})),)
TWO = (AspiredVersion(ServableId("2", "f"), frozenset({"champion"})),)


class Outside:
    """A source, a memory and a manager in one; everything the poller touches."""

    def __init__(self) -> None:
        self.answer: tuple[AspiredVersion, ...] | Exception = ()
        self.remembered: tuple[AspiredVersion, ...] = ()
        self.emitted: list[tuple[AspiredVersion, ...]] = []
        self.asked = 0
        self.settle = asyncio.Event()

    def aspired(self) -> tuple[AspiredVersion, ...]:
        """Answer as the source."""
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def recall(self) -> tuple[AspiredVersion, ...]:
        """Answer as the memory."""
        return self.remembered

    async def settled(self) -> None:
        """Wait as the manager."""
        await self.settle.wait()


@pytest.fixture
def outside() -> Outside:
    """What the poller touches."""
    return Outside()


Launch = Callable[[], Poller]


@pytest.fixture
async def launch(
    outside: Outside, inline: InlineExecutor, clock: ManualClock, log: EventLog
) -> AsyncIterator[Launch]:
    """Return the function that starts a poller with an interval of two seconds."""
    tasks: list[asyncio.Task[None]] = []

    def start() -> Poller:
        poller = Poller(
            outside,
            recall=outside.recall,
            aspire=outside.emitted.append,
            settled=outside.settled,
            executor=inline,
            clock=clock,
            emit=log,
            interval_seconds=2,
        )
        tasks.append(asyncio.create_task(poller.run()))
        return poller

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_the_whole_set_is_emitted_at_every_poll(
    outside: Outside, launch: Launch, clock: ManualClock, turn: Turn
) -> None:
    """What the source says is passed on as it is, once an interval."""
    outside.answer = ONE
    launch()
    await turn(lambda: len(outside.emitted) == 1)
    outside.answer = TWO
    clock.advance(1.9)
    for _ in range(20):
        await asyncio.sleep(0)
    assert outside.asked == 1
    clock.advance(0.2)
    await turn(lambda: len(outside.emitted) == 2)
    assert outside.emitted == [ONE, TWO]


@pytest.mark.parametrize("error", [RegistryUnavailableError("gone"), RuntimeError("a bug")])
async def test_a_source_that_fails_changes_nothing(
    outside: Outside, launch: Launch, clock: ManualClock, turn: Turn, log: EventLog, error: Exception
) -> None:
    """Polling goes on, and the wanted set stays what it was."""
    outside.answer = error
    poller = launch()
    await turn(lambda: [event.answered for event in log.of(SourcePolled)] == [False])
    assert poller.error is error
    outside.answer = ONE
    for _ in range(20):
        await asyncio.sleep(0)
    clock.advance(2)
    await turn(lambda: [event.answered for event in log.of(SourcePolled)] == [False, True])
    assert outside.emitted == [ONE]
    assert poller.error is None


async def test_a_poke_polls_at_once(outside: Outside, launch: Launch, turn: Turn) -> None:
    """A change that is announced isn't waited for."""
    outside.answer = ONE
    poller = launch()
    await turn(lambda: len(outside.emitted) == 1)
    poller.poke()
    await turn(lambda: len(outside.emitted) == 2)


async def test_what_was_served_is_loaded_before_the_source_is_asked(
    outside: Outside, launch: Launch, turn: Turn
) -> None:
    """A start needs no registry, and a newer champion can't push the old one out before it serves."""
    outside.remembered = ONE
    outside.answer = TWO
    launch()
    await turn(lambda: outside.emitted == [ONE])
    assert outside.asked == 0
    outside.settle.set()
    await turn(lambda: outside.emitted == [ONE, TWO])
