"""The manager: makes what is served follow what is aspired.

Owns every harness. The policy decides, the manager carries out: loads run on their own thread, one at a time;
a version that isn't needed any more drains and is freed.

Invariant: nothing that an alias routes to, or that someone holds a lease of, is freed. Used from the event
loop's thread only.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from toxic_core.errors import (
    ContractError,
    DigestMismatchError,
    NoVersionReadyError,
    OverloadedError,
    RegistryUnavailableError,
    UnknownModelError,
)
from toxic_inference.events import (
    AliasRouted,
    Emit,
    LoadFailed,
    LoadFailure,
    LoadSucceeded,
    StateChanged,
    VersionAvailable,
)
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.interfaces import AspiredVersion, Loader, Servable, ServableId, Target
from toxic_inference.serving.versions.harness import ActiveServable, Harness
from toxic_inference.serving.versions.policy import (
    Action,
    Backoff,
    Forget,
    Load,
    Snapshot,
    Unload,
    VersionPolicy,
    next_action,
)
from toxic_inference.serving.versions.routes import Routes
from toxic_inference.serving.versions.states import State, VersionStatus
from toxic_model.errors import SignatureError, WarmupError

_log = structlog.get_logger(__name__)

_LOAD_FAILURES: tuple[tuple[type[Exception], LoadFailure], ...] = (
    (DigestMismatchError, LoadFailure.DIGEST),
    (ContractError, LoadFailure.CONTRACT),
    (SignatureError, LoadFailure.SIGNATURE),
    (WarmupError, LoadFailure.WARMUP),
    (RegistryUnavailableError, LoadFailure.REGISTRY),
    (OSError, LoadFailure.DISK),
)
"""The most specific class first."""


@dataclass(frozen=True, slots=True)
class ManagerParts:
    """What a manager works with.

    Attributes:
        loader: makes servables; called on `executor`.
        activate: puts a scheduler in front of a loaded servable.
        remember_routes: told what is served whenever a route moves.
        executor: one thread for loading and freeing.
        clock: for back-off.
        emit: receives the events of every change.
        policy: what goes first where there isn't room for two versions.
    """

    loader: Loader
    activate: Callable[[ServableId, Servable], ActiveServable]
    remember_routes: Callable[[tuple[AspiredVersion, ...]], None]
    executor: Executor
    clock: Clock
    emit: Emit
    policy: VersionPolicy = VersionPolicy.AVAILABILITY_PRESERVING


class Manager:
    """Follows the aspired set; leases out the versions that answer."""

    def __init__(self, parts: ManagerParts, *, model_name: str, default_alias: str, backoff: Backoff) -> None:
        self._parts = parts
        self._model_name = model_name
        self._default_alias = default_alias
        self._backoff = backoff
        self._aspired: tuple[AspiredVersion, ...] = ()
        self._harnesses: dict[ServableId, Harness] = {}
        self._routes = Routes(default_alias)
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
        """Keep what is served in step with what is aspired, until cancelled."""
        while True:
            self._changed.clear()
            self._reconcile()
            async with self._settled:
                self._settled.notify_all()
            await self._parts.clock.wait(self._changed, at_most_seconds=self._next_retry_seconds())

    async def settled(self) -> None:
        """Wait until every aspired version is available or has failed."""
        async with self._settled:
            await self._settled.wait_for(self._is_settled)

    async def close(self) -> None:
        """Free every version, after the leases are back. `run` must have been cancelled before.

        A load under way is abandoned: its thread can't be stopped, and may still wait for a slow registry.
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
        """Hold the version that `target` names, so that it isn't unloaded meanwhile.

        Raises:
            UnknownModelError: there is no such version or alias.
            NoVersionReadyError: it isn't available yet.
        """
        harness = self._find(target)
        active = harness.take_lease()
        try:
            yield active
        finally:
            harness.return_lease()

    @property
    def ready(self) -> bool:
        """Whether the default alias is answered."""
        return self._routes.get(self._default_alias) is not None

    @property
    def idle(self) -> bool:
        """Whether no text waits or is computed, for any version."""
        available = (h for h in self._harnesses.values() if h.state is State.AVAILABLE)
        return all(harness.active.scheduler.idle for harness in available)

    def overload(self) -> OverloadedError | None:
        """Return why the version that answers by default would refuse a text now; None where it wouldn't."""
        routed = self._routes.get(self._default_alias)
        return None if routed is None else self._harnesses[routed].active.scheduler.overload(1)

    def statuses(self) -> tuple[VersionStatus, ...]:
        """Return every known version, the most important first."""
        return tuple(
            VersionStatus(
                version=harness.id.version,
                state=harness.state,
                error=harness.error,
                aliases=self._routes.aliases_of(harness.id),
            )
            for harness in self._ordered()
        )

    def _find(self, target: Target) -> Harness:
        if target.version is not None:
            return self._find_version(target.version)
        alias = target.alias or self._default_alias
        routed = self._routes.get(alias)
        if routed is not None:
            return self._harnesses[routed]
        if alias == self._default_alias or any(alias in a.aliases for a in self._aspired):
            raise NoVersionReadyError(
                f"Model {self._model_name!r} has no available version for {alias!r} yet; ask again soon."
            )
        raise UnknownModelError(f"Model {self._model_name!r} has no alias {alias!r} that is served here.")

    def _find_version(self, version: str) -> Harness:
        named = [harness for harness in self._ordered() if harness.id.version == version]
        if available := [harness for harness in named if harness.state is State.AVAILABLE]:
            return available[0]
        if not named:
            raise UnknownModelError(
                f"Model {self._model_name!r} has no version {version!r} that is served here."
            )
        raise NoVersionReadyError(
            f"Version {version!r} of model {self._model_name!r} is {named[0].state}, not available."
        )

    def _ordered(self) -> list[Harness]:
        order = {aspired.id: index for index, aspired in enumerate(self._aspired)}
        return sorted(self._harnesses.values(), key=lambda h: order.get(h.id, len(order)))

    def _is_settled(self) -> bool:
        settled = {State.AVAILABLE, State.FAILED}
        return all(
            aspired.id in self._harnesses and self._harnesses[aspired.id].state in settled
            for aspired in self._aspired
        )

    def _reconcile(self) -> None:
        while True:
            self._route()
            for aspired in self._aspired:
                if aspired.id not in self._harnesses:
                    self._harnesses[aspired.id] = Harness(aspired.id)
                    self._report(self._harnesses[aspired.id])
            action = next_action(self._snapshots(), policy=self._parts.policy)
            if action is None:
                return
            self._execute(action)

    def _route(self) -> None:
        available = {h.id for h in self._harnesses.values() if h.state is State.AVAILABLE}
        moved = self._routes.follow(self._aspired, available=available)
        for alias in moved:
            servable_id = self._routes.get(alias)
            version = servable_id.version if servable_id else None
            _log.info("route.moved", alias=alias, version=version)
            self._parts.emit(AliasRouted(alias, version))
        served = self._routes.served()
        if moved and served:
            self._parts.remember_routes(served)

    def _snapshots(self) -> list[Snapshot]:
        aspired = {a.id for a in self._aspired}
        now = self._parts.clock.now()
        return [
            Snapshot(
                id=harness.id,
                state=harness.state,
                aspired=harness.id in aspired,
                routed=bool(self._routes.aliases_of(harness.id)),
                retry_due=harness.retry_at is not None and harness.retry_at <= now,
            )
            for harness in self._ordered()
        ]

    def _next_retry_seconds(self) -> float | None:
        if any(harness.state is State.LOADING for harness in self._harnesses.values()):
            return None  # one load at a time: its end wakes the manager
        due = [harness.retry_at for harness in self._harnesses.values() if harness.retry_at is not None]
        return max(min(due) - self._parts.clock.now(), 0.0) if due else None

    def _execute(self, action: Action) -> None:
        harness = self._harnesses[action.id]
        match action:
            case Forget():
                del self._harnesses[action.id]
                if not any(h.id.version == action.id.version for h in self._harnesses.values()):
                    self._parts.emit(StateChanged(action.id.version, None))
            case Load():
                harness.start_loading()
                self._report(harness)
                _spawn(self._load(harness), self._loads)
            case Unload():
                harness.start_draining()
                self._report(harness)
                _spawn(self._unload(harness), self._unloads)

    async def _load(self, harness: Harness) -> None:
        started = self._parts.clock.now()
        loop = asyncio.get_running_loop()
        try:
            servable = await loop.run_in_executor(self._parts.executor, self._parts.loader.load, harness.id)
            active = self._parts.activate(harness.id, servable)
        except Exception as error:  # noqa: BLE001  a task's boundary: whatever broke the load is the version's state
            self._load_failed(harness, error)
        else:
            version, seconds = harness.id.version, self._parts.clock.now() - started
            self._parts.emit(VersionAvailable(version, servable.contract, servable.runtime))
            harness.loaded(active)
            _log.info("servable.loaded", version=version, runtime=servable.runtime, seconds=round(seconds, 3))
            self._parts.emit(LoadSucceeded(seconds))
        self._report(harness)
        self._changed.set()

    def _load_failed(self, harness: Harness, error: Exception) -> None:
        delay = self._backoff.delay(harness.failures + 1)
        harness.failed(error, retry_at=self._parts.clock.now() + delay)
        reason = next((reason for cls, reason in _LOAD_FAILURES if isinstance(error, cls)), LoadFailure.OTHER)
        self._parts.emit(LoadFailed(reason))
        _log.error(
            "servable.load_failed",
            version=harness.id.version,
            failures=harness.failures,
            retry_in_seconds=delay,
            error=str(error) or type(error).__name__,
            error_type=type(error).__name__,
        )

    async def _unload(self, harness: Harness) -> None:
        active = await harness.drained()
        self._report(harness)
        try:
            await active.scheduler.close()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._parts.executor, active.servable.close)
        except Exception:  # noqa: BLE001  a task's boundary: the version is gone either way
            _log.exception("servable.unload_failed", version=harness.id.version)
        harness.ended()
        _log.info("servable.unloaded", version=harness.id.version)
        self._report(harness)
        self._changed.set()

    def _report(self, harness: Harness) -> None:
        self._parts.emit(StateChanged(harness.id.version, harness.state))


def _spawn(coroutine: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
    task = asyncio.get_running_loop().create_task(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
