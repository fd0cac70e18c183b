"""The versions that are served: which ones, how they are loaded, and how each schedules its batches."""

import structlog

from toxic_inference.adapters.loader import BundleLoader, model_opener
from toxic_inference.adapters.origin import Origin
from toxic_inference.composition.executors import Executors
from toxic_inference.composition.policies import ReadPolicies
from toxic_inference.events import Emit
from toxic_inference.serving.batching.admission import BatchLimits
from toxic_inference.serving.batching.executables import Executables
from toxic_inference.serving.batching.scheduler import BatchScheduler, SchedulerResources
from toxic_inference.serving.batching.slots import Slots
from toxic_inference.serving.clock import SystemClock
from toxic_inference.serving.interfaces import ServableId
from toxic_inference.serving.scoring.cache import ScoreCache
from toxic_inference.serving.versions.harness import ActiveServable
from toxic_inference.serving.versions.manager import Manager
from toxic_inference.serving.versions.policy import Backoff
from toxic_inference.serving.versions.poller import Poller
from toxic_inference.settings import Settings
from toxic_model.loaded import LoadedModel
from toxic_model.runtime import streams_of

_SHAPES = 40
"""Shapes of batches per executable: on a CPU with AMX each took 2.5 MB of kernels."""

_log = structlog.get_logger(__name__)


def make_manager(
    settings: Settings, origin: Origin, policies: ReadPolicies, *, emit: Emit, threads: Executors
) -> Manager:
    """Return the manager of the versions, which loads and activates them."""
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
        freeing=threads.free,
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


def make_poller(
    settings: Settings, origin: Origin, manager: Manager, *, emit: Emit, threads: Executors
) -> Poller:
    """Return what asks for the versions that are wanted."""
    return Poller(
        origin.source,
        recall=origin.recall,
        aspire=manager.set_aspired,
        settled=manager.settled,
        executor=threads.poll,
        clock=SystemClock(),
        emit=emit,
        interval_seconds=settings.poll_interval_seconds,
    )
