"""The core's status for operators: its versions, and whether their source answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from toxic_inference.serving.versions.manager import Manager
from toxic_inference.serving.versions.poller import Poller
from toxic_inference.serving.versions.states import VersionStatus


@dataclass(frozen=True, slots=True)
class CoreStatus:
    """The manager's and the poller's view in one."""

    manager: Manager
    poller: Poller

    @property
    def ready(self) -> bool:
        """Whether the default alias routes to an available version."""
        return self.manager.ready

    @property
    def source_error(self) -> Exception | None:
        """Why the last poll of the source failed; None if it didn't."""
        return self.poller.error

    def statuses(self) -> Sequence[VersionStatus]:
        """Return every known version, the most important first."""
        return self.manager.statuses()
