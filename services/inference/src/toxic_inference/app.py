"""The composition root: the only module that sees settings, doors, core and adapters together.

Invariant: every object of the service is made here, once, and passed down; nothing below reaches up.
"""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog
from fastapi import FastAPI

from toxic_core.errors import ConfigurationError
from toxic_inference.adapters.bundle_cache import BundleCache
from toxic_inference.adapters.bundles import BundleStore
from toxic_inference.adapters.directory_source import DirectorySource
from toxic_inference.adapters.feedback_store import DatabaseFeedbackStore
from toxic_inference.adapters.lingua_detector import LinguaDetector
from toxic_inference.adapters.mlflow_source import MlflowRegistry
from toxic_inference.adapters.route_file import RouteFile
from toxic_inference.adapters.tf_loader import TensorflowLoader
from toxic_inference.api.application import create_api
from toxic_inference.api.doors import Doors, Limits
from toxic_inference.api.events import EventReceiver
from toxic_inference.api.feedback_desk import FeedbackDesk
from toxic_inference.metrics import Metrics
from toxic_inference.serving.batching import BatchLimits, BatchScheduler, SchedulerParts
from toxic_inference.serving.cache import ScoreCache
from toxic_inference.serving.clock import SystemClock
from toxic_inference.serving.harness import ActiveServable
from toxic_inference.serving.interfaces import AspiredVersion, RouteMemory, Servable, ServableId, Source
from toxic_inference.serving.manager import Manager, ManagerParts
from toxic_inference.serving.policy import Backoff
from toxic_inference.serving.poller import Poller, PollerParts
from toxic_inference.serving.scoring import ScoringLimits, ScoringParts, ScoringService
from toxic_inference.serving.shadow import ShadowingScorer, ShadowParts
from toxic_inference.serving.status import CoreStatus
from toxic_inference.settings import Settings

_log = structlog.get_logger(__name__)

_PROBE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where versions come from: who wants them, who has their files, what was last served."""

    source: Source
    store: BundleStore
    memory: RouteMemory | None

    def remember(self, served: tuple[AspiredVersion, ...]) -> None:
        if self.memory is not None:
            self.memory.remember(served)


@dataclass(frozen=True, slots=True)
class _Threads:
    """One executor a kind of blocking work, so that none waits behind another."""

    compute: Executor
    tokenise: Executor
    load: Executor
    poll: Executor

    def shutdown(self) -> None:
        for executor in (self.compute, self.tokenise, self.load, self.poll):
            executor.shutdown(wait=False, cancel_futures=True)


class _Runner(Protocol):
    async def run(self) -> None: ...


def create_app(settings: Settings) -> FastAPI:
    """Return the whole service as one ASGI application; its lifespan runs the core.

    Raises:
        ConfigurationError: the cache, the model folder or the feedback file can't be used.
    """
    origin = _origin(settings)
    metrics = Metrics()
    threads = _threads(settings)
    feedback = DatabaseFeedbackStore(settings.feedback_url or f"sqlite:///{settings.state_dir}/feedback.db")
    manager = _manager(settings, origin, metrics, threads)
    poller = _poller(settings, origin, manager=manager, metrics=metrics, threads=threads)

    scorer = _scorer(settings, manager=manager, metrics=metrics, threads=threads)
    shadowing = _shadowing(settings, scorer, manager=manager, metrics=metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        shadow = (shadowing,) if shadowing else ()
        async with _running((manager, poller, *shadow), manager=manager, threads=threads):
            yield
        feedback.close()

    doors = Doors(
        model_name=settings.model_name,
        default_alias=settings.model_alias,
        scorer=shadowing or scorer,
        status=CoreStatus(manager, poller),
        languages=LinguaDetector(),
        feedback=FeedbackDesk(store=feedback, now=lambda: datetime.now(UTC), observer=metrics),
        limits=Limits(
            text_bytes=settings.max_text_bytes,
            texts=settings.max_texts,
            body_bytes=settings.max_body_bytes,
            upload_bytes=settings.max_upload_bytes,
        ),
        observer=metrics,
    )
    return create_api(
        doors,
        render_metrics=metrics.render,
        events=_events(settings, poke=poller.poke, metrics=metrics),
        lifespan=lifespan,
    )


def _scorer(settings: Settings, *, manager: Manager, metrics: Metrics, threads: _Threads) -> ScoringService:
    return ScoringService(
        ScoringParts(
            manager=manager,
            executor=threads.tokenise,
            clock=SystemClock(),
            observer=metrics,
            limits=ScoringLimits(windows=settings.max_windows, span_passes=settings.max_span_passes),
        )
    )


def _shadowing(
    settings: Settings, scorer: ScoringService, *, manager: Manager, metrics: Metrics
) -> ShadowingScorer | None:
    if not settings.shadow_fraction:
        return None
    parts = ShadowParts(
        scorer=scorer,
        default_alias=settings.model_alias,
        shadow_alias=settings.shadow_alias,
        idle=lambda: manager.idle,
        clock=SystemClock(),
        observer=metrics,
        draw=random.random,
    )
    return ShadowingScorer(parts, fraction=settings.shadow_fraction)


def _events(settings: Settings, *, poke: Callable[[], None], metrics: Metrics) -> EventReceiver | None:
    secret = settings.event_secret.get_secret_value()
    if not secret:
        return None
    return EventReceiver(
        model_name=settings.model_name, secret=secret, poke=poke, now=time.time, observer=metrics
    )


@asynccontextmanager
async def _running(runners: Sequence[_Runner], *, manager: Manager, threads: _Threads) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(runner.run()) for runner in runners]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await manager.close()
        threads.shutdown()


def _manager(settings: Settings, origin: _Origin, metrics: Metrics, threads: _Threads) -> Manager:
    clock = SystemClock()
    scheduling = SchedulerParts(
        limits=BatchLimits(
            token_budget=settings.batch_token_budget,
            queue_rows=settings.queue_rows,
            queue_seconds=settings.max_queue_seconds,
        ),
        executor=threads.compute,
        clock=clock,
        observer=metrics,
    )

    def activate(servable_id: ServableId, servable: Servable) -> ActiveServable:
        scheduler = BatchScheduler(servable.infer, pad_id=servable.contract.pad_id, parts=scheduling)
        scheduler.start()
        return ActiveServable(servable_id, servable, scheduler, ScoreCache(settings.score_cache_entries))

    return Manager(
        ManagerParts(
            loader=TensorflowLoader(origin.store, window_overlap=settings.window_overlap_tokens),
            activate=activate,
            remember_routes=origin.remember,
            executor=threads.load,
            clock=clock,
            observer=metrics,
            policy=settings.version_policy,
        ),
        model_name=settings.model_name,
        default_alias=settings.model_alias,
        backoff=Backoff(
            initial_seconds=settings.load_retry_initial_seconds,
            max_seconds=settings.load_retry_max_seconds,
        ),
    )


def _poller(
    settings: Settings, origin: _Origin, *, manager: Manager, metrics: Metrics, threads: _Threads
) -> Poller:
    parts = PollerParts(
        source=origin.source,
        memory=origin.memory,
        emit=manager.set_aspired,
        settled=manager.settled,
        executor=threads.poll,
        clock=SystemClock(),
        observer=metrics,
    )
    return Poller(parts, interval_seconds=settings.poll_interval_seconds)


def _threads(settings: Settings) -> _Threads:
    return _Threads(
        compute=ThreadPoolExecutor(1, thread_name_prefix="compute"),
        tokenise=ThreadPoolExecutor(settings.tokenise_threads, thread_name_prefix="tokenise"),
        load=ThreadPoolExecutor(1, thread_name_prefix="load"),
        poll=ThreadPoolExecutor(1, thread_name_prefix="poll"),
    )


def _origin(settings: Settings) -> _Origin:
    if settings.model_directory is not None:
        return _directory_origin(settings.model_directory, settings)
    registry = MlflowRegistry(
        settings.registry_uri,
        model_name=settings.model_name,
        aliases=settings.aliases,
        pinned=settings.pinned_versions,
        max_bytes=settings.max_bundle_bytes,
    )
    folder = settings.cache_dir / settings.model_name
    _check_writable(folder)
    cache = BundleCache(
        folder,
        size_limit_bytes=settings.cache_size_bytes,
        max_bundle_bytes=settings.max_bundle_bytes,
        download=registry.download,
    )
    memory = RouteFile(folder / "routes.json", registry=settings.registry_uri)
    _log.info("source.registry", uri=settings.registry_uri, aliases=settings.aliases, cache=str(folder))
    return _Origin(registry, cache, memory)


def _directory_origin(folder: Path, settings: Settings) -> _Origin:
    if not folder.is_dir():
        raise ConfigurationError(
            f"INFERENCE_MODEL_DIRECTORY names {folder}, which isn't a folder; "
            "make it, with one numbered subfolder a version."
        )
    directory = DirectorySource(
        folder,
        alias=settings.model_alias,
        pinned=settings.pinned_versions,
        max_bytes=settings.max_bundle_bytes,
    )
    _log.info("source.directory", folder=str(folder), alias=settings.model_alias)
    return _Origin(directory, directory, memory=None)


def _check_writable(folder: Path) -> None:
    """Write a little and remove it, so that a full or read-only disk shows at the start."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".partial-probe-") as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise ConfigurationError(
            f"The cache folder {folder} can't be written: {error.strerror}. Free space there, or set "
            "INFERENCE_CACHE_DIR to a folder that can."
        ) from error
