"""The communities' policies, read again when their file changes."""

from collections.abc import Callable
from pathlib import Path

from toxic_inference.adapters.watched_file import WatchedFile
from toxic_inference.events import Emit, PoliciesRead
from toxic_inference.policies.file import Policies, read_policies
from toxic_inference.settings import Settings

ReadPolicies = Callable[[], Policies | None]
"""Returns the policies of now; None if the service has none."""


def make_policies(settings: Settings, *, emit: Emit) -> ReadPolicies:
    """Return what reads the policies.

    Raises:
        ConfigurationError: the file can't be used.
    """

    def read(path: Path) -> Policies:
        known = read_policies(path)
        emit(PoliciesRead(tuple(known.policies)))
        return known

    file = settings.policies_file
    return WatchedFile(file, read, name="policies").current if file else lambda: None
