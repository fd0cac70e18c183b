"""The composition root: creates the objects of the service from its settings, and runs them.

`composition` has a module per concern; `adapters.origin` composes the source of versions, and `watching`
metrics and monitor. Every object is created once, and passed down.
"""

from dataclasses import replace

import structlog
from starlette.applications import Starlette

from toxic_inference.adapters.origin import open_origin
from toxic_inference.composition.access import check_guarded, make_rules
from toxic_inference.composition.backend import make_backend, make_review
from toxic_inference.composition.executors import Executors, warm_libraries
from toxic_inference.composition.jobs import make_jobs
from toxic_inference.composition.otel import open_otel
from toxic_inference.composition.policies import make_policies
from toxic_inference.composition.running import make_grpc, make_lifespan
from toxic_inference.composition.scoring import make_service, make_shadowing, with_canary, with_review
from toxic_inference.composition.versions import make_manager, make_poller
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.doors.listing import DOORS
from toxic_inference.doors.openai.categories import NOT_JUDGED
from toxic_inference.http.application import create_api
from toxic_inference.otel.settings import OtelSettings
from toxic_inference.serving.clock import SystemClock
from toxic_inference.settings import Settings
from toxic_inference.threads import Threads
from toxic_inference.watching import start_watching

_log = structlog.get_logger(__name__)


def create_app(settings: Settings, otel_settings: OtelSettings | None = None) -> Starlette:
    """Return the whole service as one ASGI application; its lifespan runs the core.

    Without `otel_settings`, OpenTelemetry is off.

    Raises:
        ConfigurationError: the cache, the model folder, the state folder, the feedback file or the policies
            can't be used, other machines could use the service without keys, or OpenTelemetry can't be used.
        InvalidDataError: the file of scales can't be used.
    """
    check_guarded(settings)
    otel = open_otel(otel_settings)
    tracing = otel.tracing if otel else None
    origin, threads = open_origin(settings, tracing), Executors(settings)
    threads.load.submit(warm_libraries)  # before the first version is loaded, and so before the first text
    feedback = DatabaseFeedbackStore(settings.feedback_url or f"sqlite:///{settings.state_dir}/feedback.db")
    watching = start_watching(settings, feedback, otel)
    emit, closing = watching.emit, [watching.close, feedback.close, *([otel.close] if otel else [])]
    policies = make_policies(settings, emit=emit)
    manager = make_manager(settings, origin, policies, emit=emit, threads=threads)
    poller = make_poller(settings, origin, manager, emit=emit, threads=threads)
    scorer = make_service(settings, manager, emit=emit, threads=threads)
    review = make_review(settings, feedback, emit=emit, threads=threads)
    shadowing = make_shadowing(settings, scorer, manager, emit=emit, review=review)
    jobs = make_jobs(settings, scorer, policies, emit=emit, threads=Threads(threads.jobs), closing=closing)
    backend = make_backend(
        settings,
        scorer=with_review(settings, with_canary(settings, shadowing or scorer), review),
        manager=manager,
        poller=poller,
        review=review,
        jobs=jobs,
        watching=watching,
        threads=threads,
    )
    backend = replace(backend, policies=policies, trace=tracing.layer if tracing else None)
    runs = [manager.run, poller.run, jobs.run, review.run, *watching.runs]
    runs += [shadowing.run] if shadowing else []
    rules, admission = make_rules(settings, manager)
    _log.info("openai.not_judged", categories=NOT_JUDGED)
    grpc = make_grpc(settings, backend, rules, admission)
    return create_api(
        backend,
        DOORS,
        rules=rules,
        cors_origins=settings.cors_origins,
        allowed_hosts=settings.allowed_hosts,
        trusted_proxies=settings.trusted_proxies,
        admission=admission,
        lifespan=make_lifespan(runs, manager, threads, grpc=grpc, closing=closing, clock=SystemClock()),
    )
