"""What every door is given: the core it calls and the limits it keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from toxic_inference.corrections.service import FeedbackDesk
from toxic_inference.events import Emit
from toxic_inference.jobs.queue import JobDesk
from toxic_inference.serving.interfaces import Scorer
from toxic_inference.serving.versions.states import VersionStatus

MODEL_VERSION_HEADER = "x-model-version"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may ask for.

    Attributes:
        text_bytes: longest text, in UTF-8 bytes.
        texts: most texts in a JSON request.
        body_bytes: largest body, but for uploads.
        upload_bytes: largest CSV upload.
    """

    text_bytes: int
    texts: int
    body_bytes: int
    upload_bytes: int


class StatusView(Protocol):
    """What the status and health routes read."""

    @property
    def ready(self) -> bool:
        """Whether the default alias is answered."""
        ...

    @property
    def source_error(self) -> Exception | None:
        """Why the source of versions didn't answer the last time; None where it did."""
        ...

    def statuses(self) -> Sequence[VersionStatus]:
        """Return every known version, the most important first."""
        ...


class LanguageIdentifier(Protocol):
    """Says which language a text is in."""

    def identify(self, text: str) -> str | None:
        """Return the most likely language (ISO 639-1); None where there is nothing to tell it by.

        Blocks, the first time for a second: call it off the event loop, from any thread.
        """
        ...


@dataclass(frozen=True, slots=True)
class Doors:
    """What the doors work with.

    Attributes:
        model_name: the one registered model that is served.
        default_alias: whose version answers where none is asked for.
        scorer: scores.
        status: knows the versions.
        languages: identifies the language of texts that come without.
        feedback: takes corrections.
        jobs: scores uploaded files; its `run` is the application's to start.
        limits: what one request may ask for.
        emit: receives the events of requests and rows.
    """

    model_name: str
    default_alias: str
    scorer: Scorer
    status: StatusView
    languages: LanguageIdentifier
    feedback: FeedbackDesk
    jobs: JobDesk
    limits: Limits
    emit: Emit
