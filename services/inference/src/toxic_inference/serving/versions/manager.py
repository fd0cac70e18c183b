"""The manager: keeps the served versions in step with the aspired ones.

Owns every harness, and carries out what the policy decides. Loads run on their own thread, one at a time. A
version that isn't needed any more drains, then is freed.

Invariant: a version that an alias routes to is never freed; one that is leased is freed only when the time to
drain is over. Used from the event loop's thread only.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from toxic_core.errors import NoVersionReadyError, OverloadedError, UnknownModelError
from toxic_inference.events import (
    AliasRouted,
    Emit,
    LoadFailed,
    LoadSucceeded,
    StateChanged,
    VersionAvailable,
)
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.interfaces import AspiredVersion, LoadVersion, ServableId, Target
from toxic_inference.serving.versions.aliases import AliasTable
from toxic_inference.serving.versions.harness import ActiveServable, Harness, failure_of
from toxic_inference.serving.versions.policy import (
    Backoff,
    Forget,
    Load,
    Snapshot,
    Unload,
    VersionPolicy,
    next_action,
)
from toxic_inference.serving.versions.states import State, VersionStatus
from toxic_model.loaded import LoadedModel

_log = structlog.get_logger(__name__)


@dataclass(eq=False, kw_only=True)
class Manager:
    """Keeps the served versions in step with the aspired set, and leases them.

    Attributes:
        load: returns a loaded version; called on `executor`.
        activate: puts a scheduler and a cache in front of a loaded model.
        remember: stores what is served for the next start; called whenever an alias moves.
        executor: one thread for loading.
        freeing: one thread for freeing, which waits for no load.
        clock: for back-off.
        emit: receives the events of every change.
        model_name: the registered model, for messages.
        default_alias: the alias of requests that name none.
        backoff: between loads of a version that fails.
        policy: whether the old version is freed before the next one is loaded.
        drain_seconds: longest time that leases keep a version which isn't needed any more.
    """

    load: LoadVersion
    activate: Callable[[ServableId, LoadedModel], ActiveServable]
    remember: Callable[[tuple[AspiredVersion, ...]], None]
    executor: Executor
    freeing: Executor
    clock: Clock
    emit: Emit
    model_name: str
    default_alias: str
    backoff: Backoff
    policy: VersionPolicy = VersionPolicy.AVAILABILITY_PRESERVING
    drain_seconds: float = 600.0

    def __post_init__(self) -> None:
        self._aspired: tuple[AspiredVersion, ...] = ()
        self._harnesses: dict[ServableId, Harness] = {}
        self._aliases = AliasTable(self.default_alias)
        self._changed = asyncio.Event()
        self._settled = asyncio.Condition()
        self._loads: set[asyncio.Task[None]] = set()
        self._unloads: set[asyncio.Task[None]] = set()

    def set_aspired(self, aspired: tuple[AspiredVersion, ...]) -> None:
        """Replace the whole wanted set, most important version first."""
        if aspired == self._aspired:
            return
        _log.info("manager.aspired", versions={a.id.version: sorted(a.aliases) for a in aspired})
        self._aspired = aspired
        self._changed.set()

    async def run(self) -> None:
        """Keep the served versions in step with the aspired ones, until cancelled."""
        while True:
            self._changed.clear()
            self._reconcile()
            async with self._settled:
                self._settled.notify_all()
            harnesses = self._harnesses.values()
            if not self.ready:
                for harness in harnesses:
                    harness.retry_by(self.clock.now() + self.backoff.unserved_seconds)
            due = [harness.retry_at for harness in harnesses if harness.retry_at is not None]
            if not due or any(harness.state is State.LOADING for harness in harnesses):
                seconds = None  # one load at a time: its end wakes the manager
            else:
                seconds = max(min(due) - self.clock.now(), 0.0)
            await self.clock.wait(self._changed, at_most_seconds=seconds)

    async def settled(self) -> None:
        """Wait until every aspired version is available or has failed."""

        def is_settled() -> bool:
            states = {harness.id: harness.state for harness in self._harnesses.values()}
            return all(states.get(a.id) in {State.AVAILABLE, State.FAILED} for a in self._aspired)

        async with self._settled:
            await self._settled.wait_for(is_settled)

    async def close(self) -> None:
        """Free every version as an unload does. `run` must have been cancelled before.

        A running load is abandoned: its thread can't be stopped, and may be waiting for a slow registry.
        """
        for load in self._loads:
            load.cancel()
        if self._unloads:
            await asyncio.wait(self._unloads)
        for harness in list(self._harnesses.values()):
            if harness.state is State.AVAILABLE:
                harness.start_draining()
                await self._unload(harness)

    @contextmanager
    def lease(self, target: Target) -> Iterator[ActiveServable]:
        """Lease the version that `target` names, so that it isn't unloaded meanwhile.

        Raises:
            UnknownModelError: there is no such version or alias.
            NoVersionReadyError: it isn't available yet.
        """
        name, alias = repr(self.model_name), target.alias or self.default_alias
        if target.version is not None:
            named = [harness for harness in self._ordered() if harness.id.version == target.version]
            if not named:
                raise UnknownModelError(
                    f"Model {name} has no version {target.version!r} that is served here."
                )
            available = (harness for harness in named if harness.state is State.AVAILABLE)
            if (leased := next(available, None)) is None:
                raise NoVersionReadyError(
                    f"Version {target.version!r} of model {name} is {named[0].state}, not available."
                )
        elif (routed := self._aliases.get(alias)) is not None:
            leased = self._harnesses[routed]
        elif alias == self.default_alias or any(alias in a.aliases for a in self._aspired):
            raise NoVersionReadyError(
                f"Model {name} has no available version for {alias!r} yet; ask again soon."
            )
        else:
            raise UnknownModelError(f"Model {name} has no alias {alias!r} that is served here.")
        active = leased.take_lease()
        try:
            yield active
        finally:
            leased.return_lease()

    @property
    def ready(self) -> bool:
        """Whether the default alias routes to an available version."""
        return self._aliases.get(self.default_alias) is not None

    @property
    def idle(self) -> bool:
        """Whether no row waits or is computed, for any version."""
        available = (h for h in self._harnesses.values() if h.state is State.AVAILABLE)
        return all(harness.active.scheduler.idle for harness in available)

    def overload(self, caller: str | None = None) -> OverloadedError | None:
        """Return the refusal that a text for the default alias gets now; see `BatchScheduler.overload`."""
        routed = self._aliases.get(self.default_alias)
        return None if routed is None else self._harnesses[routed].active.scheduler.overload(1, caller=caller)

    def statuses(self) -> tuple[VersionStatus, ...]:
        """Return every known version, the most important first."""
        return tuple(
            VersionStatus(
                version=harness.id.version,
                state=harness.state,
                error=harness.error,
                aliases=self._aliases.aliases_of(harness.id),
                model=harness.active.model if harness.state is State.AVAILABLE else None,
            )
            for harness in self._ordered()
        )

    def _ordered(self) -> list[Harness]:
        order = {aspired.id: index for index, aspired in enumerate(self._aspired)}
        return sorted(self._harnesses.values(), key=lambda h: order.get(h.id, len(order)))

    def _reconcile(self) -> None:
        while True:
            self._route()
            for aspired in self._aspired:
                if aspired.id not in self._harnesses:
                    self._harnesses[aspired.id] = Harness(aspired.id)
                    self.emit(StateChanged(aspired.id.version, State.NEW))
            now, wanted = self.clock.now(), {a.id for a in self._aspired}
            snapshots = [
                Snapshot(
                    id=harness.id,
                    state=harness.state,
                    aspired=harness.id in wanted,
                    routed=bool(self._aliases.aliases_of(harness.id)),
                    retry_due=harness.retry_at is not None and harness.retry_at <= now,
                )
                for harness in self._ordered()
            ]
            action = next_action(snapshots, policy=self.policy)
            if action is None:
                return
            harness = self._harnesses[action.id]
            match action:
                case Forget():
                    del self._harnesses[action.id]
                    if not any(h.id.version == action.id.version for h in self._harnesses.values()):
                        self.emit(StateChanged(action.id.version, None))
                case Load():
                    harness.start_loading()
                    self._report(harness)
                    _spawn(self._load(harness), self._loads)
                case Unload():
                    harness.start_draining()
                    self._report(harness)
                    _spawn(self._unload(harness), self._unloads)

    def _route(self) -> None:
        available = {h.id for h in self._harnesses.values() if h.state is State.AVAILABLE}
        moved = self._aliases.follow(self._aspired, available=available)
        for alias in moved:
            servable_id = self._aliases.get(alias)
            version = servable_id.version if servable_id else None
            _log.info("route.moved", alias=alias, version=version)
            self.emit(AliasRouted(alias, version))
        served = self._aliases.served()
        if moved and served:
            self.remember(served)

    async def _load(self, harness: Harness) -> None:
        started, version = self.clock.now(), harness.id.version
        loop = asyncio.get_running_loop()
        try:
            model = await loop.run_in_executor(self.executor, self.load, harness.id)
            active = self.activate(harness.id, model)
        except Exception as error:  # noqa: BLE001  a task's boundary: the error becomes the version's state
            delay = self.backoff.delay(harness.failures + 1, serving=self.ready)
            harness.failed(error, retry_at=self.clock.now() + delay)
            self.emit(LoadFailed(failure_of(error)))
            _log.error(
                "servable.load_failed",
                version=version,
                failures=harness.failures,
                retry_in_seconds=delay,
                error=str(error) or type(error).__name__,
                error_type=type(error).__name__,
            )
        else:
            seconds = self.clock.now() - started
            self.emit(
                VersionAvailable(version, model.contract, model.runtime, harness.id.approved, model.rates)
            )
            harness.loaded(active)
            _log.info("servable.loaded", version=version, runtime=model.runtime, seconds=round(seconds, 3))
            self.emit(LoadSucceeded(seconds))
        self._report(harness)
        self._changed.set()

    async def _unload(self, harness: Harness) -> None:
        active = await harness.drained(self.clock, at_most_seconds=self.drain_seconds)
        self._report(harness)
        try:
            await active.scheduler.close()
            await asyncio.get_running_loop().run_in_executor(self.freeing, active.model.close)
        except Exception:  # noqa: BLE001  a task's boundary: the version is gone either way
            _log.exception("servable.unload_failed", version=harness.id.version)
        harness.ended()
        _log.info("servable.unloaded", version=harness.id.version, leases_left=harness.leases)
        self._report(harness)
        self._changed.set()

    def _report(self, harness: Harness) -> None:
        """Report a state, unless the same version has another approved content that is available."""
        others = (each for each in self._harnesses.values() if each is not harness)
        if harness.state is not State.AVAILABLE and any(
            each.id.version == harness.id.version and each.state is State.AVAILABLE for each in others
        ):
            return
        self.emit(StateChanged(harness.id.version, harness.state))


def _spawn(coroutine: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
    task = asyncio.get_running_loop().create_task(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
