"""Events of the queue and of the batches that the model computes."""

from collections.abc import Sequence
from dataclasses import dataclass

from toxic_inference.events.base import Event


@dataclass(frozen=True, slots=True)
class QueueChanged(Event):
    """So many rows more (or, if negative, fewer) are waiting."""

    rows: int


@dataclass(frozen=True, slots=True)
class TracedRows:
    """The rows of one traced request in a batch.

    Attributes:
        trace: the value of `TRACE` at their submission.
        rows: how many they are.
        waited_seconds: from their submission to the batch's start.
        seconds: from their submission to the batch's end.
    """

    trace: object
    rows: int
    waited_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRan(Event):
    """The model computed a batch of callers' rows.

    `tokens` are without padding; `padded_tokens` are rows times the batch's length. The oldest row's wait is
    from its submission to the batch's start. `traced` has the rows of traced requests.
    """

    version: str
    rows: int
    tokens: int
    padded_tokens: int
    compute_seconds: float
    longest_wait_seconds: float
    traced: Sequence[TracedRows] = ()

    @property
    def padding_tokens(self) -> int:
        """Tokens of padding."""
        return self.padded_tokens - self.tokens


@dataclass(frozen=True, slots=True)
class ShapesCompiled(Event):
    """An executable compiled kernels for so many new shapes of batches."""

    shapes: int


@dataclass(frozen=True, slots=True)
class RowsRefused(Event):
    """So many rows were refused because the queue is full."""

    rows: int


@dataclass(frozen=True, slots=True)
class RowsDeparted(Event):
    """So many waiting rows were dropped because their caller left."""

    rows: int


@dataclass(frozen=True, slots=True)
class RowsExpired(Event):
    """So many waiting rows were dropped because their deadline passed."""

    rows: int
