"""The errors of the serving core. Like those of `toxic_core.errors`, they are independent of HTTP."""

from toxic_core.errors import InvalidTextError, ToxicError


class RejectedTextError(InvalidTextError):
    """A text that can't be scored as it is.

    Attributes:
        field: its place in the caller's input, such as `texts[3]`.
    """

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class TextTooLongError(RejectedTextError):
    """A text over the length limit."""


class DeadlineExceededError(ToxicError):
    """A text whose deadline passed before it was computed."""


class InferenceError(ToxicError):
    """The model failed on a batch, or returned something that isn't a score."""


class IllegalTransitionError(ToxicError):
    """A transition that a version's state machine lacks: a bug in the manager, not an operator's mistake."""
