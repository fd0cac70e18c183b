import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future

import numpy as np
import pytest

from toxic_core.errors import (
    ContractError,
    DigestMismatchError,
    NoVersionReadyError,
    RegistryUnavailableError,
    UnknownModelError,
)
from toxic_inference.events import LoadFailed, LoadFailure
from toxic_inference.serving.batching.scheduler import SchedulerResources
from toxic_inference.serving.interfaces import AspiredVersion, Lane, Row, ServableId, Target
from toxic_inference.serving.versions.manager import Manager
from toxic_inference.serving.versions.policy import Backoff, VersionPolicy
from toxic_inference.serving.versions.states import State
from toxic_model.errors import SignatureError, WarmupError
from toxic_model.loaded import LoadedModel
from toxic_testing.inference.fakes import EventLog, FakeModel, InlineExecutor, ManualClock, activate

pytestmark = pytest.mark.anyio

Turn = Callable[[Callable[[], bool]], Awaitable[None]]


class FakeLoader:
    """Makes fake models, or fails for the versions in `broken`."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.error: Exception | None = None
        self.loads: list[str] = []
        self.made: dict[str, FakeModel] = {}

    def load(self, servable_id: ServableId) -> LoadedModel:
        """Make a model."""
        version = servable_id.version
        self.loads.append(version)
        if version in self.broken:
            raise self.error or ContractError(f"version {version} is damaged")
        self.made[version] = FakeModel()
        return self.made[version].loaded


class Remembered:
    """Keeps what the manager asked to remember."""

    def __init__(self) -> None:
        self.served: tuple[AspiredVersion, ...] = ()

    def __call__(self, served: tuple[AspiredVersion, ...]) -> None:
        """Replace what is remembered."""
        self.served = served


def aspired(version: str, *aliases: str, fingerprint: str = "f") -> AspiredVersion:
    """Return an aspired version; champion where no alias is given."""
    return AspiredVersion(ServableId(version, fingerprint), frozenset(aliases or ("champion",)))


@pytest.fixture
def loader() -> FakeLoader:
    """A loader of fake models."""
    return FakeLoader()


@pytest.fixture
def remembered() -> Remembered:
    """What the manager asked to remember."""
    return Remembered()


@pytest.fixture
def policy() -> VersionPolicy:
    """What goes first; a test may choose the other one by a parameter of this name."""
    return VersionPolicy.AVAILABILITY_PRESERVING


@pytest.fixture
def backoff() -> Backoff:
    """The waits between loads that fail; a test may choose others by a parameter of this name."""
    return Backoff(initial_seconds=2, max_seconds=5)


@pytest.fixture
async def manager(
    loader: FakeLoader,
    remembered: Remembered,
    scheduling: SchedulerResources,
    inline: InlineExecutor,
    clock: ManualClock,
    log: EventLog,
    policy: VersionPolicy,
    backoff: Backoff,
) -> AsyncIterator[Manager]:
    """A running manager over the fake loader."""
    manager = Manager(
        load=loader.load,
        activate=lambda servable_id, model: activate(servable_id, model, scheduling),
        remember=remembered,
        executor=inline,
        freeing=inline,
        clock=clock,
        emit=log,
        model_name="toxic-comments",
        default_alias="champion",
        policy=policy,
        backoff=backoff,
        drain_seconds=20,
    )
    running = asyncio.create_task(manager.run())
    yield manager
    running.cancel()
    await asyncio.wait([running])
    await manager.close()


def states(manager: Manager) -> dict[str, State]:
    """Return each known version's state."""
    return {status.version: status.state for status in manager.statuses()}


def served(manager: Manager, target: Target | None = None) -> str:
    """Return which version answers."""
    with manager.lease(target or Target()) as active:
        return active.id.version


async def test_an_aspired_version_becomes_the_one_that_answers(
    manager: Manager, remembered: Remembered
) -> None:
    """A champion is loaded, answers, and is remembered for the next start."""
    with pytest.raises(NoVersionReadyError):
        served(manager)
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    assert served(manager) == "1"
    assert manager.ready
    assert remembered.served == (aspired("1"),)


async def test_the_old_version_serves_until_the_new_one_is_ready(
    manager: Manager, loader: FakeLoader, turn: Turn
) -> None:
    """After a switch the new version answers, and the old one is drained, closed and forgotten."""
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    manager.set_aspired((aspired("2"),))
    assert served(manager) == "1"
    await turn(lambda: states(manager) == {"2": State.AVAILABLE})
    assert served(manager) == "2"
    assert loader.made["1"].closed


@pytest.mark.parametrize("policy", [VersionPolicy.RESOURCE_PRESERVING])
async def test_where_there_is_room_for_one_the_old_version_goes_first(
    manager: Manager, loader: FakeLoader, remembered: Remembered, turn: Turn
) -> None:
    """The next version is loaded once the last request on the old one ended; until then nothing answers."""
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    with manager.lease(Target()) as held:
        manager.set_aspired((aspired("2"),))
        await turn(lambda: states(manager) == {"2": State.NEW, "1": State.DRAINING})
        assert held.id.version == "1"
        assert not manager.ready
        with pytest.raises(NoVersionReadyError):
            served(manager)
        assert loader.loads == ["1"]
    assert remembered.served == (aspired("1"),), "a restart now must still have something to start from"
    await turn(lambda: manager.ready)
    assert loader.made["1"].closed
    assert served(manager) == "2"


async def test_a_version_without_an_alias_is_served_by_its_number(manager: Manager, turn: Turn) -> None:
    """A pinned version stays whatever the champion does, and answers only to those who name it."""
    pinned = AspiredVersion(ServableId("7", "f"), frozenset())
    manager.set_aspired((aspired("1"), pinned))
    await manager.settled()
    manager.set_aspired((aspired("2"), pinned))
    await turn(lambda: states(manager) == {"2": State.AVAILABLE, "7": State.AVAILABLE})
    assert served(manager, Target(version="7")) == "7"
    assert served(manager) == "2"


async def test_a_manager_is_idle_while_nothing_is_computed(manager: Manager, turn: Turn) -> None:
    """What waits for any version counts."""
    manager.set_aspired((aspired("1"), aspired("2", "challenger")))
    await manager.settled()
    assert manager.idle
    with manager.lease(Target(alias="challenger")) as active:
        call = asyncio.ensure_future(
            active.scheduler.submit([Row(np.array([1], np.int32))], lane=Lane.INTERACTIVE)
        )
        await turn(lambda: not manager.idle)
        await call
    await turn(lambda: manager.idle)


async def test_overload_is_that_of_the_default_version(
    manager: Manager, turn: Turn, scheduling: SchedulerResources
) -> None:
    """Nothing is said without a champion, nor of another version's full queue."""
    assert manager.overload() is None
    manager.set_aspired((aspired("1"), aspired("2", "challenger")))
    await manager.settled()
    rows = [Row(np.array([1], np.int32))] * scheduling.limits.queue_rows
    for alias, refuses in (("challenger", False), ("champion", True)):
        with manager.lease(Target(alias=alias)) as active:
            call = asyncio.ensure_future(active.scheduler.submit(rows, lane=Lane.INTERACTIVE))
            await turn(lambda active=active: not active.scheduler.idle)  # type: ignore[misc]
            assert (manager.overload() is not None) == refuses
            await call
    assert manager.overload() is None


async def test_a_version_in_use_is_not_closed(manager: Manager, loader: FakeLoader, turn: Turn) -> None:
    """A request that began on the old version keeps it until it ends."""
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    with manager.lease(Target()) as active:
        manager.set_aspired((aspired("2"),))
        await turn(lambda: states(manager).get("1") is State.DRAINING)
        assert served(manager) == "2"
        assert active.id.version == "1"
        assert not loader.made["1"].closed
    await turn(lambda: loader.made["1"].closed)


async def test_a_broken_version_never_replaces_one_that_serves(
    manager: Manager, loader: FakeLoader, log: EventLog, remembered: Remembered
) -> None:
    """The champion stays; the new version's error is on view and counted; what is remembered still works."""
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    loader.broken.add("2")
    manager.set_aspired((aspired("2"),))
    await manager.settled()
    assert served(manager) == "1"
    failed = next(status for status in manager.statuses() if status.version == "2")
    assert (failed.state, str(failed.error)) == (State.FAILED, "version 2 is damaged")
    assert log.of(LoadFailed) == [LoadFailed(LoadFailure.CONTRACT)]
    assert remembered.served == (aspired("1"),)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DigestMismatchError("x"), LoadFailure.DIGEST),
        (ContractError("x"), LoadFailure.CONTRACT),
        (SignatureError("x"), LoadFailure.SIGNATURE),
        (WarmupError("x"), LoadFailure.WARMUP),
        (RegistryUnavailableError("x"), LoadFailure.REGISTRY),
        (OSError("x"), LoadFailure.DISK),
        (RuntimeError("x"), LoadFailure.OTHER),
    ],
)
async def test_a_failed_load_is_reported_with_its_reason(
    manager: Manager, loader: FakeLoader, log: EventLog, error: Exception, reason: LoadFailure
) -> None:
    """Reasons are an enumeration, by the error's most specific class."""
    loader.broken.add("1")
    loader.error = error
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    assert log.of(LoadFailed) == [LoadFailed(reason)]


async def test_a_failed_load_is_tried_again_with_back_off(
    manager: Manager, loader: FakeLoader, clock: ManualClock, turn: Turn
) -> None:
    """The waits double up to their limit: 2, 4, 5, 5 seconds; nothing happens in between."""
    loader.broken.add("1")
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    for attempt, wait in enumerate((2, 4, 5, 5), start=1):
        assert len(loader.loads) == attempt
        clock.advance(wait - 0.01)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(loader.loads) == attempt
        clock.advance(0.02)
        await turn(lambda count=attempt: len(loader.loads) == count + 1)  # type: ignore[misc]
        await manager.settled()
    loader.broken.clear()
    clock.advance(5)
    await turn(lambda: manager.ready)


@pytest.mark.parametrize("backoff", [Backoff()])
@pytest.mark.hostile(35)
async def test_a_fault_of_minutes_is_over_within_seconds(
    manager: Manager, loader: FakeLoader, clock: ManualClock, turn: Turn
) -> None:
    """While no version answers, a load is tried every five seconds."""
    loader.broken.add("1")
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    for failures in range(2, 12):
        clock.advance(5)
        await turn(lambda count=failures: len(loader.loads) == count)  # type: ignore[misc]
        await manager.settled()
    loader.broken.clear()
    clock.advance(5)
    await turn(lambda: manager.ready)


@pytest.mark.parametrize("policy", list(VersionPolicy))
@pytest.mark.hostile(16)
async def test_a_lease_that_isn_t_returned_stops_no_promotion(
    manager: Manager, loader: FakeLoader, clock: ManualClock, turn: Turn
) -> None:
    """The old version is freed when the time to drain is over, and its holder is refused."""
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    with manager.lease(Target()) as held:
        manager.set_aspired((aspired("2"),))
        await turn(lambda: states(manager).get("1") is State.DRAINING)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not loader.made["1"].closed
        clock.advance(20)
        await turn(lambda: loader.made["1"].closed)
        await turn(lambda: manager.ready)
        assert served(manager) == "2"
        with pytest.raises(NoVersionReadyError, match="unloaded"):
            await held.scheduler.submit([Row(np.array([1], np.int32))], lane=Lane.BULK)
    await turn(lambda: states(manager) == {"2": State.AVAILABLE})


async def test_a_broken_version_that_is_no_longer_wanted_is_forgotten(
    manager: Manager, loader: FakeLoader, log: EventLog, turn: Turn
) -> None:
    """Rolling an alias back clears the failure and its metrics."""
    loader.broken.add("2")
    manager.set_aspired((aspired("2"),))
    await manager.settled()
    manager.set_aspired((aspired("1"),))
    await turn(lambda: states(manager) == {"1": State.AVAILABLE})
    assert log.states["2"] is None


async def test_an_empty_set_leaves_the_champion_serving(manager: Manager) -> None:
    """A registry that names no champion any more is a mistake, not a wish to go dark."""
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    manager.set_aspired(())
    for _ in range(20):
        await asyncio.sleep(0)
    assert served(manager) == "1"


async def test_aliases_and_versions_are_served_side_by_side(manager: Manager, turn: Turn) -> None:
    """Champion and challenger answer by alias and by version; a challenger that is dropped is unloaded."""
    manager.set_aspired((aspired("1"), aspired("2", "challenger")))
    await manager.settled()
    assert served(manager, Target(alias="challenger")) == "2"
    assert served(manager, Target(version="2")) == "2"
    assert served(manager) == "1"
    manager.set_aspired((aspired("1"),))
    await turn(lambda: states(manager) == {"1": State.AVAILABLE})
    with pytest.raises(UnknownModelError):
        served(manager, Target(alias="challenger"))
    with pytest.raises(UnknownModelError):
        served(manager, Target(version="2"))


async def test_one_version_can_have_two_aliases(
    manager: Manager, loader: FakeLoader, remembered: Remembered, turn: Turn
) -> None:
    """A challenger that becomes champion isn't loaded a second time."""
    manager.set_aspired((aspired("1"), aspired("2", "challenger")))
    await manager.settled()
    manager.set_aspired((aspired("2", "champion", "challenger"),))
    await turn(lambda: served(manager) == "2")
    assert served(manager, Target(alias="challenger")) == "2"
    assert loader.loads == ["1", "2"]
    assert remembered.served == (aspired("2", "champion", "challenger"),)


async def test_a_version_that_failed_is_known_but_not_ready(manager: Manager, loader: FakeLoader) -> None:
    """Asking for a version that couldn't be loaded says so, unlike asking for one nobody knows."""
    loader.broken.add("1")
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    with pytest.raises(NoVersionReadyError, match="failed"):
        served(manager, Target(version="1"))


async def test_the_same_number_with_other_files_is_another_version(
    manager: Manager, loader: FakeLoader, turn: Turn
) -> None:
    """A registry made anew hands out version 1 again, and the new one is loaded."""
    manager.set_aspired((aspired("1", fingerprint="old"),))
    await manager.settled()
    old = loader.made["1"]
    manager.set_aspired((aspired("1", fingerprint="new"),))
    await turn(lambda: old.closed)
    assert loader.loads == ["1", "1"]
    assert served(manager) == "1"


async def test_closing_abandons_a_load_and_frees_what_serves(
    loader: FakeLoader, scheduling: SchedulerResources, clock: ManualClock, log: EventLog
) -> None:
    """A slow registry doesn't hold up a stop."""

    class Stuck(InlineExecutor):
        """A thread that never ends what it does."""

        stuck = False

        def submit(  # type: ignore[override]
            self, fn: Callable[..., object], /, *args: object, **kwargs: object
        ) -> "Future[object]":
            """Leave everything undone once it is stuck."""
            return Future() if self.stuck else super().submit(fn, *args, **kwargs)

    executor = Stuck()

    manager = Manager(
        load=loader.load,
        activate=lambda servable_id, model: activate(servable_id, model, scheduling),
        remember=Remembered(),
        executor=executor,
        freeing=InlineExecutor(),
        clock=clock,
        emit=log,
        model_name="m",
        default_alias="champion",
        backoff=Backoff(),
    )
    running = asyncio.create_task(manager.run())
    manager.set_aspired((aspired("1"),))
    await manager.settled()
    executor.stuck = True
    manager.set_aspired((aspired("2"),))
    for _ in range(20):
        await asyncio.sleep(0)
    assert states(manager) == {"2": State.LOADING, "1": State.AVAILABLE}
    running.cancel()
    await asyncio.wait([running])
    await manager.close()
    assert loader.made["1"].closed
