"""What the core shows of itself to operators: its versions, and whether its source answers."""

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
        """Whether the default alias is answered."""
        return self.manager.ready

    @property
    def source_error(self) -> Exception | None:
        """Why the source didn't answer the last poll; None where it did."""
        return self.poller.error

    def statuses(self) -> Sequence[VersionStatus]:
        """Return every known version, the most important first."""
        return self.manager.statuses()
