"""The composition root: creates the objects of the service from its settings, and runs them.

Two modules compose parts of it: `adapters.origin` the source of versions, and `watching` metrics and monitor.
Every other object is created here, once, and passed down.
"""

import asyncio
import io
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog
from starlette.applications import Starlette

from toxic_core.contract.scales import read_scales
from toxic_core.errors import ConfigurationError
from toxic_inference.adapters.folders import check_writable, own
from toxic_inference.adapters.key_file import KeyFile
from toxic_inference.adapters.loader import BundleLoader, model_opener
from toxic_inference.adapters.origin import Origin, open_origin
from toxic_inference.adapters.priority import give_way
from toxic_inference.adapters.watched_file import WatchedFile
from toxic_inference.budget import Budget
from toxic_inference.corrections.record import FeedbackFullError
from toxic_inference.corrections.service import CorrectionService
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.doors.listing import DOORS, GRPC_DOORS
from toxic_inference.doors.openai.categories import NOT_JUDGED
from toxic_inference.events import Emit, PoliciesRead
from toxic_inference.http.admission import AdmissionRules, RequestLimit
from toxic_inference.http.application import Lifespan, create_api
from toxic_inference.http.backend import Backend, DoorThreads, Limits, PerspectiveRules
from toxic_inference.http.errors import describe
from toxic_inference.http.guard import GuardRules
from toxic_inference.jobs.files import JobFiles
from toxic_inference.jobs.owner import JobsOwner
from toxic_inference.jobs.queue import JobQueue
from toxic_inference.jobs.scoring import FileScoring
from toxic_inference.policies.file import Policies, read_policies
from toxic_inference.policies.governing import Governor
from toxic_inference.serving.batching.admission import BatchLimits
from toxic_inference.serving.batching.executables import Executables
from toxic_inference.serving.batching.scheduler import BatchScheduler, SchedulerResources
from toxic_inference.serving.batching.slots import Slots
from toxic_inference.serving.clock import SystemClock
from toxic_inference.serving.interfaces import Scorer, ServableId
from toxic_inference.serving.scoring.cache import ScoreCache
from toxic_inference.serving.scoring.canary import CanaryScorer
from toxic_inference.serving.scoring.service import ScoringLimits, ScoringService
from toxic_inference.serving.scoring.shadow import ShadowingScorer
from toxic_inference.serving.versions.harness import ActiveServable
from toxic_inference.serving.versions.manager import Manager
from toxic_inference.serving.versions.policy import Backoff
from toxic_inference.serving.versions.poller import Poller
from toxic_inference.settings import Settings
from toxic_inference.tables.reader import CsvTable
from toxic_inference.threads import Threads
from toxic_inference.watching import Watching, start_watching
from toxic_inference.webhooks import WebhookReceiver
from toxic_model.identification import Identified, identify, identify_language
from toxic_model.loaded import LoadedModel
from toxic_model.runtime import streams_of

_BLOCKING_THREADS = 4
_FULL_RETRY_SECONDS = 600.0
_SHAPES = 40
"""Shapes of batches per executable: on a CPU with AMX each took 2.5 MB of kernels."""

ReadPolicies = Callable[[], Policies | None]

_log = structlog.get_logger(__name__)


class _Threads:
    """One executor per kind of blocking work, so that none waits behind another."""

    def __init__(self, settings: Settings) -> None:
        self.compute = ThreadPoolExecutor(
            streams_of(settings.threads), thread_name_prefix="compute", initializer=give_way
        )
        self.tokenise = ThreadPoolExecutor(settings.tokenise_threads, thread_name_prefix="tokenise")
        # A load starts the runtime's own threads, which inherit its priority.
        self.load = ThreadPoolExecutor(1, thread_name_prefix="load", initializer=give_way)
        self.poll = ThreadPoolExecutor(1, thread_name_prefix="poll")
        self.read, self.files, self.jobs, self.feedback = (
            ThreadPoolExecutor(_BLOCKING_THREADS, thread_name_prefix=name)
            for name in ("read", "files", "jobs", "feedback")
        )

    def shutdown(self) -> None:
        for executor in vars(self).values():
            executor.shutdown(wait=False, cancel_futures=True)


def create_app(settings: Settings) -> Starlette:
    """Return the whole service as one ASGI application; its lifespan runs the core.

    Raises:
        ConfigurationError: the cache, the model folder, the state folder, the feedback file or the policies
            can't be used, or other machines could use the service without keys.
        InvalidDataError: the file of scales can't be used.
    """
    if settings.api_keys_file is None and not settings.loopback and not settings.allow_unauthenticated:
        raise ConfigurationError(
            f"Other machines could use the service on {settings.host} without API keys. Make a key with "
            "`toxic-inference keys add NAME` and set INFERENCE_API_KEYS_FILE, set INFERENCE_HOST=127.0.0.1, "
            "or set INFERENCE_ALLOW_UNAUTHENTICATED=true if nothing that reaches it needs a key."
        )
    origin = open_origin(settings)
    threads = _Threads(settings)
    threads.load.submit(_warm_libraries)  # before the first version is loaded, and so before the first text
    feedback = DatabaseFeedbackStore(settings.feedback_url or f"sqlite:///{settings.state_dir}/feedback.db")
    watching = start_watching(settings, feedback)
    file = settings.policies_file

    def read(path: Path) -> Policies:
        known = read_policies(path)
        watching.emit(PoliciesRead(tuple(known.policies)))
        return known

    policies = WatchedFile(file, read, name="policies").current if file else lambda: None
    manager = _make_manager(settings, origin, policies, emit=watching.emit, threads=threads)
    poller = Poller(
        origin.source,
        recall=origin.recall,
        aspire=manager.set_aspired,
        settled=manager.settled,
        executor=threads.poll,
        clock=SystemClock(),
        emit=watching.emit,
        interval_seconds=settings.poll_interval_seconds,
    )
    scorer = ScoringService(
        lease=manager.lease,
        threads=Threads(threads.tokenise),
        clock=SystemClock(),
        emit=watching.emit,
        limits=ScoringLimits(
            windows=settings.max_windows,
            span_passes=settings.max_span_passes,
            interactive_tokens=settings.interactive_tokens,
        ),
    )
    shadowing = _make_shadowing(settings, scorer, manager, watching.emit)
    answering: Scorer = shadowing or scorer
    if settings.canary_fraction:
        answering = CanaryScorer(
            answering, default_alias=settings.model_alias, fraction=settings.canary_fraction
        )
    closing = [feedback.close]
    jobs: JobQueue | JobsOwner = (
        JobsOwner(settings.jobs_url)
        if settings.jobs_url
        else _make_jobs(
            settings, scorer, policies, emit=watching.emit, threads=Threads(threads.jobs), closing=closing
        )
    )
    backend = _make_backend(
        settings,
        scorer=answering,
        manager=manager,
        poller=poller,
        corrections=CorrectionService(
            store=feedback,
            threads=Threads(threads.feedback),
            now=_now,
            emit=watching.emit,
            room=Budget(settings.feedback_size_bytes, _feedback_full),
        ),
        jobs=jobs,
        watching=watching,
        threads=DoorThreads(Threads(threads.read), Threads(threads.files)),
    )
    runs = [manager.run, poller.run, jobs.run, *(task.run for task in (*watching.tasks, shadowing) if task)]

    keys = settings.api_keys_file
    if keys is None and not settings.loopback:
        _log.warning("service.unguarded", host=settings.host, advice="set INFERENCE_API_KEYS_FILE")
    _log.info("openai.not_judged", categories=NOT_JUDGED)
    rules = GuardRules(
        find_key=None if keys is None else KeyFile(keys).find,
        requests_per_minute=settings.requests_per_minute,
        trusted=settings.loopback,
        now=time.monotonic,
    )
    admission = AdmissionRules(
        RequestLimit(settings.max_queue_seconds), overload=manager.overload, find_key=rules.find_key
    )
    backend = replace(backend, policies=policies)
    grpc = _make_grpc(settings, backend, rules, admission)
    return create_api(
        backend,
        DOORS,
        rules=rules,
        cors_origins=settings.cors_origins,
        allowed_hosts=settings.allowed_hosts,
        trusted_proxies=settings.trusted_proxies,
        admission=admission,
        lifespan=_lifespan(runs, manager, threads, grpc=grpc, closing=closing),
    )


def _make_grpc(
    settings: Settings, backend: Backend, rules: GuardRules, admission: AdmissionRules
) -> Callable[[], AbstractAsyncContextManager[int | None]]:
    if settings.grpc_port is None:
        return nullcontext
    from toxic_inference.rpc.methods import GrpcLimits  # noqa: PLC0415  a tenth of a second
    from toxic_inference.rpc.server import serve_grpc  # noqa: PLC0415  as above

    proxies = settings.trusted_proxies
    app = create_api(
        backend,
        GRPC_DOORS,
        rules=rules,
        allowed_hosts=("*",),  # no page speaks gRPC
        trusted_proxies=proxies,
        admission=admission,
    )
    return partial(
        serve_grpc,
        app,
        GRPC_DOORS,
        host=settings.host,
        port=settings.grpc_port,
        ready=backend.ready,
        limits=GrpcLimits(
            message_bytes=backend.limits.body_bytes,
            messages_bytes=backend.limits.bodies_bytes,
            calls=settings.max_connections,
            grace_seconds=settings.shutdown_grace_seconds,
        ),
    )


def _lifespan(
    runs: Sequence[Callable[[], Coroutine[None, None, None]]],
    manager: Manager,
    threads: _Threads,
    *,
    grpc: Callable[[], AbstractAsyncContextManager[int | None]],
    closing: Sequence[Callable[[], None]],
) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(run()) for run in runs]
        try:
            async with grpc():
                yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            await manager.close()
            threads.shutdown()
        for close in closing:
            close()

    return lifespan


def _make_manager(
    settings: Settings, origin: Origin, policies: ReadPolicies, *, emit: Emit, threads: _Threads
) -> Manager:
    clock = SystemClock()
    resources = SchedulerResources(
        limits=BatchLimits(
            token_budget=settings.batch_token_budget,
            queue_rows=settings.queue_rows,
            queue_seconds=settings.max_queue_seconds,
        ),
        slots=Slots(streams_of(settings.threads)),
        executor=threads.compute,
        clock=clock,
        emit=emit,
    )

    def activate(servable_id: ServableId, model: LoadedModel) -> ActiveServable:
        if model.scales is None and settings.perspective_scale == "default":
            advice = "Perspective scores are calibrated; fit a scale with toxic-migrate fit"
            _log.warning("scale.missing", version=servable_id.version, advice=advice)
        if known := policies():
            known.warn(model.contract, version=servable_id.version)
        executables = Executables(
            model.whole, model.streams, pad_id=model.contract.pad_id, clock=clock, shapes=_SHAPES
        )
        scheduler = BatchScheduler(executables, version=servable_id.version, resources=resources)
        scheduler.warm(longest=model.contract.max_tokens)
        cache = ScoreCache(settings.score_cache_entries)
        return ActiveServable(servable_id, model, scheduler, cache)

    return Manager(
        load=BundleLoader(origin.store, model_opener(settings)).load,
        activate=activate,
        remember=origin.remember,
        executor=threads.load,
        clock=clock,
        emit=emit,
        model_name=settings.model_name,
        default_alias=settings.model_alias,
        policy=settings.version_policy,
        drain_seconds=settings.longest_drain,
        backoff=Backoff(
            initial_seconds=settings.load_retry_initial_seconds,
            max_seconds=settings.load_retry_max_seconds,
        ),
    )


def _make_shadowing(
    settings: Settings, scorer: ScoringService, manager: Manager, emit: Emit
) -> ShadowingScorer | None:
    if not settings.shadow_fraction:
        return None
    return ShadowingScorer(
        scorer,
        default_alias=settings.model_alias,
        shadow_alias=settings.shadow_alias,
        fraction=settings.shadow_fraction,
        idle=lambda: manager.idle,
        clock=SystemClock(),
        emit=emit,
        draw=random.random,
    )


def _make_jobs(
    settings: Settings,
    scorer: Scorer,
    policies: ReadPolicies,
    *,
    emit: Emit,
    threads: Threads,
    closing: list[Callable[[], None]],
) -> JobQueue:
    folder = settings.state_dir / "jobs"
    check_writable(folder, setting="INFERENCE_STATE_DIR")
    closing.append(own(folder, setting="INFERENCE_STATE_DIR").close)
    files, clock = JobFiles(folder), SystemClock()
    identify_in = partial(identify, default=settings.default_language)

    def govern(name: str) -> tuple[Scorer, Callable[[str], Identified], str]:
        governor = Governor.named(name, policies(), threads=threads, emit=emit)
        policy = governor.policy
        return governor.scorer(scorer), policy.identifier(identify_in), policy.digest()

    return JobQueue(
        files=files,
        scorer=scorer,
        threads=threads,
        scoring=FileScoring(
            files=files,
            threads=threads,
            text_bytes=settings.max_text_bytes,
            file_bytes=settings.max_upload_bytes,
            identify_language=identify_in,
            clock=clock,
        ),
        govern=govern,
        now=_now,
        clock=clock,
        emit=emit,
        describe=describe,
        keep=timedelta(hours=settings.job_keep_hours),
        size_bytes=settings.jobs_size_bytes,
    )


def _make_backend(
    settings: Settings,
    *,
    scorer: Scorer,
    manager: Manager,
    poller: Poller,
    corrections: CorrectionService,
    jobs: JobQueue | JobsOwner,
    watching: Watching,
    threads: DoorThreads,
) -> Backend:
    webhooks = WebhookReceiver(
        model_name=settings.model_name,
        aliases=settings.aliases,
        secret=settings.event_secret.get_secret_value(),
        poke=poller.poke,
        now=time.time,
        emit=watching.emit,
    )
    return Backend(
        model_name=settings.model_name,
        default_alias=settings.model_alias,
        scorer=scorer,
        statuses=manager.statuses,
        ready=lambda: manager.ready,
        source_error=lambda: poller.error,
        identify_language=partial(identify, default=settings.default_language),
        corrections=corrections,
        jobs=jobs,
        webhooks=webhooks if settings.event_secret.get_secret_value() else None,
        render_metrics=watching.render,
        totals=watching.totals,
        limits=Limits(
            text_bytes=settings.max_text_bytes,
            texts=settings.max_texts,
            body_bytes=settings.max_body_bytes,
            upload_bytes=settings.max_upload_bytes,
            spools_bytes=settings.spools_size_bytes,
        ),
        threads=threads,
        emit=watching.emit,
        public_url=settings.public_url,
        perspective=_make_perspective(settings),
    )


def _make_perspective(settings: Settings) -> PerspectiveRules:
    rules = PerspectiveRules(
        drop_attributes=settings.unsupported_attributes == "drop",
        score_any_language=settings.unsupported_language == "score",
    )
    if settings.perspective_scale == "none":
        return replace(rules, scale_origin="none", scales=lambda _: None)
    if settings.perspective_scale == "default":
        return rules
    file = WatchedFile(Path(settings.perspective_scale), read_scales, name="scale")
    return replace(rules, scale_origin="file", scales=lambda _: file.current())


def _warm_libraries() -> None:
    """Import and load what the first text without a language, and the first table, would wait for."""
    table = CsvTable(
        io.BytesIO(b"text\nOur neighbours planted a long row of apple trees.\n"), max_text_bytes=100
    )
    for row in table.rows():
        identify_language(str(row))


def _feedback_full() -> FeedbackFullError:
    return FeedbackFullError(
        "There is no room for more corrections; delete some, or raise INFERENCE_FEEDBACK_SIZE_BYTES.",
        retry_after_seconds=_FULL_RETRY_SECONDS,
    )


def _now() -> datetime:
    return datetime.now(UTC)
