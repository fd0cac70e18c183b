"""Events of versions: loads, states and routes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from toxic_core.contract import Contract
from toxic_inference.events.base import Event
from toxic_inference.serving.versions.states import State


class LoadFailure(StrEnum):
    """Why a version couldn't be loaded."""

    DIGEST = "digest"
    NOT_APPROVED = "not_approved"
    CONTRACT = "contract"
    SIGNATURE = "signature"
    WARMUP = "warmup"
    REGISTRY = "registry"
    DISK = "disk"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class StateChanged(Event):
    """A version moved to `state`; None if it was forgotten."""

    version: str
    state: State | None


@dataclass(frozen=True, slots=True)
class VersionAvailable(Event):
    """A version is about to become available; `runtime` includes the precision, such as `openvino-int8`.

    `approved` is whether the ledger approves its content; None if no approval is needed. `rates` are the
    tokens per second that were measured, by precision.
    """

    version: str
    contract: Contract
    runtime: str
    approved: bool | None = None
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadSucceeded(Event):
    """A version became available after so many seconds of loading."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LoadFailed(Event):
    """A version couldn't be loaded."""

    reason: LoadFailure


@dataclass(frozen=True, slots=True)
class AliasRouted(Event):
    """An alias now routes to `version`, or nowhere."""

    alias: str
    version: str | None


@dataclass(frozen=True, slots=True)
class SourcePolled(Event):
    """A poll of the source ended; `answered` is False if the source failed."""

    answered: bool
