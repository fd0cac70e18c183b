"""The errors of the serving core, beside those every service shares.

Invariant: like all of `toxic_core.errors`, they carry facts and a sentence that says what to do, and know
nothing of HTTP.
"""

from toxic_core.errors import InvalidTextError, ToxicError


class RejectedTextError(InvalidTextError):
    """A text that can't be scored as it is.

    Attributes:
        field: where it stood in the caller's input, such as `texts[3]`.
    """

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class TextTooLongError(RejectedTextError):
    """A text over the length limit."""


class DeadlineExceededError(ToxicError):
    """A text whose caller's deadline passed before its turn came."""


class InferenceError(ToxicError):
    """The model failed on a batch, or answered something that isn't a score."""


class IllegalTransitionError(ToxicError):
    """A move that a version's state machine doesn't have; a bug in the manager, never an operator's fault."""
