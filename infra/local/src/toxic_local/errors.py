"""What can go wrong with the stack on this machine.

Each message is one line: what happened and what to do.
"""

from pathlib import Path

from toxic_core.errors import ToxicError


class CheckFailedError(ToxicError):
    """This machine can't run the stack as asked: a taken port, a full disk, an unwritable folder."""


class ProcessFailedError(ToxicError):
    """A process of the stack ended by itself, or didn't come up in time.

    Attributes:
        log: file of its output; None for the terminal.
    """

    def __init__(self, message: str, *, log: Path | None) -> None:
        super().__init__(message)
        self.log = log


class StopRequestedError(ToxicError):
    """A signal asked to stop while something was still under way.

    Attributes:
        signum: that signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__("Stopped.")
        self.signum = signum
