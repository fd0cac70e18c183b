"""What every door calls: scoring, versions, background work, limits."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from starlette.types import ASGIApp

from toxic_core.contract.reference import RecentTraffic
from toxic_core.contract.scales import Scales
from toxic_core.errors import NoVersionReadyError, UnknownModelError
from toxic_core.labels import KNOWN_LABELS, LabelName
from toxic_inference.corrections.review import ReviewService
from toxic_inference.corrections.service import CorrectionService
from toxic_inference.events import Emit
from toxic_inference.jobs.owner import JobsOwner
from toxic_inference.jobs.queue import JobQueue
from toxic_inference.policies.file import Policies
from toxic_inference.serving.interfaces import Scorer, Session, Target
from toxic_inference.serving.versions.states import VersionStatus
from toxic_inference.threads import Threads
from toxic_inference.webhooks import WebhookReceiver
from toxic_model.identification import Identified

MODEL_VERSION_HEADER = "x-model-version"
UNSUPPORTED_ATTRIBUTES_HEADER = "x-unsupported-attributes"
"""The requested attributes that the answer lacks because the model doesn't score them."""
UNEVALUATED_LANGUAGES_HEADER = "x-unevaluated-languages"
"""The languages of a text that was scored although the model wasn't evaluated for them."""


@dataclass(frozen=True, slots=True)
class PerspectiveRules:
    """What the Perspective API leaves to the service.

    Attributes:
        drop_attributes: whether attributes that the model lacks are left out if a request doesn't choose.
        score_any_language: whether texts in languages that the model wasn't evaluated for are scored.
        scale_origin: where the scale comes from.
        scales: returns the scale of a session's scores; None for calibrated scores.
    """

    drop_attributes: bool = True
    score_any_language: bool = False
    scale_origin: Literal["none", "bundle", "file"] = "bundle"
    scales: Callable[[Session], Scales | None] = attrgetter("scales")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request.

    Attributes:
        text_bytes: longest text, in UTF-8 bytes.
        texts: most texts in a JSON request.
        body_bytes: largest body, except uploads and of operations with their own limit.
        upload_bytes: largest upload of a table, also after decompression.
        bodies_bytes: memory for all bodies in progress; a caller has half of it at most.
        spools_bytes: disk space for all uploads in progress; a caller has half of it at most.
    """

    text_bytes: int
    texts: int
    body_bytes: int
    upload_bytes: int
    bodies_bytes: int = 128 * 1024 * 1024
    spools_bytes: int = 2 * 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DoorThreads:
    """The doors' threads.

    Attributes:
        read: parse large bodies and identify languages.
        files: write and read uploads.
    """

    read: Threads
    files: Threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What the doors' handlers work with.

    Attributes:
        model_name: the one registered model that is served.
        default_alias: the alias that answers if a request names no version.
        scorer: scores texts.
        statuses: returns every known version, the most important first.
        ready: whether the default alias has a version that answers.
        source_error: why the source of versions failed the last time; None if it answered.
        identify_language: returns a text's most likely language, or `und`, and the confidence.
        corrections: files and exports corrections.
        review: the texts that moderators judge.
        jobs: scores uploaded files in the background, or knows which service does.
        webhooks: takes the registry's messages; None if no secret is shared with the registry.
        render_metrics: returns the text of `/metrics`.
        totals: returns a version's totals by metric, as `Metrics.totals`; None if metrics are off.
        traffic: returns what a version saw lately; None if that isn't counted, or is too little.
        limits: limits of one request.
        threads: the doors' threads.
        emit: takes events.
        perspective: what the Perspective API leaves to the service.
        policies: returns the communities' policies; None if there are none.
        policy: the name of the policy that `scorer` follows, if any.
        trace: adds spans of requests to an application, given its doors; None if they aren't traced.
        public_url: the address at which clients reach the service; None for that of each request.
    """

    model_name: str
    default_alias: str
    scorer: Scorer
    statuses: Callable[[], Sequence[VersionStatus]]
    ready: Callable[[], bool]
    source_error: Callable[[], Exception | None]
    identify_language: Callable[[str], Identified]
    corrections: CorrectionService
    review: ReviewService
    jobs: JobQueue | JobsOwner
    webhooks: WebhookReceiver | None
    render_metrics: Callable[[], bytes]
    totals: Callable[[str], Mapping[str, float]] | None = None
    traffic: Callable[[str], RecentTraffic | None] = lambda _: None
    limits: Limits
    threads: DoorThreads
    emit: Emit
    perspective: PerspectiveRules = PerspectiveRules()
    public_url: str | None = None
    policies: Callable[[], Policies | None] = lambda: None
    policy: str | None = None
    trace: Callable[..., ASGIApp] | None = None

    def served_labels(self) -> tuple[LabelName, ...]:
        """Return the labels of every version that answers, those of the most important one first."""
        labels: dict[LabelName, None] = {}
        for status in self.statuses():
            # A version that is listed may be unloaded before it is asked.
            with (
                suppress(UnknownModelError, NoVersionReadyError),
                self.scorer.session(Target(version=status.version)) as session,
            ):
                labels |= dict.fromkeys(session.contract.labels)
        return tuple(labels)

    def correctable_labels(self) -> tuple[LabelName, ...]:
        """Return the labels that a correction may judge: those served, or those known if none is."""
        return self.served_labels() or tuple(label.name for label in KNOWN_LABELS)
