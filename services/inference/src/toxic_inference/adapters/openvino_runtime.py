"""OpenVINO as a runtime: less time and memory for a batch than TensorFlow takes, and seconds less to start.

Invariant: a model is verified in float32, whatever it is served in; and it is served in a lower precision
only where its evaluation shows what that costs, and the CPU really has it and is no slower for it.
"""

from functools import cache

import structlog

from toxic_core.contract import Bundle
from toxic_core.openvino_model import (
    ROUNDING_TOLERANCE,
    OpenVinoModel,
    OpenVinoSession,
    Precision,
    RefusedInputError,
    allowed_precisions,
)
from toxic_core.tokens import EncodedBatch
from toxic_inference.adapters.collector import settle
from toxic_inference.adapters.runtime import Model, Rehearsal
from toxic_inference.serving.errors import InvalidTensorError, WarmupError
from toxic_inference.serving.interfaces import Float32Array

_log = structlog.get_logger(__name__)


class OpenVinoRuntime:
    """Implements `Runtime`.

    Args:
        threads: at most so many compute a batch.
        lower_precision: whether less than float32 may be used at all.
    """

    def __init__(self, *, threads: int, lower_precision: bool) -> None:
        self._threads = threads
        self._lower_precision = lower_precision

    def open(self, bundle: Bundle, rehearsal: Rehearsal) -> Model:
        """Return the model in the fastest precision that is measured to be as good.

        Raises:
            ContractError: OpenVINO can't read the SavedModel, or its signature isn't the contract's.
            WarmupError: its float32 scores aren't the recorded ones.
        """
        read = OpenVinoModel.read(bundle.saved_model, labels=len(bundle.contract.labels))
        _settle_imports()
        exact = self._compile(read, Precision.FLOAT32)
        rehearsal.check(exact)
        exact_seconds = rehearsal.seconds(exact.infer)
        for precision in allowed_precisions(bundle) if self._lower_precision else ():
            rounded = self._compile(read, precision)
            try:
                rehearsal.check(rounded, tolerance=ROUNDING_TOLERANCE)
            except WarmupError as error:
                _log.warning("precision.declined", precision=str(precision), reason=str(error))
                continue
            seconds = rehearsal.seconds(rounded.infer)
            if seconds <= exact_seconds:
                return rounded
            reason = f"it took {seconds / exact_seconds:.2f} times as long as float32"
            _log.info("precision.declined", precision=str(precision), reason=reason)
        return exact

    def _compile(self, read: OpenVinoModel, precision: Precision) -> "_OpenVinoServed":
        return _OpenVinoServed(read.compile(precision, threads=self._threads), precision)


@cache
def _settle_imports() -> None:
    """Once, after OpenVINO was imported to read the first model."""
    settle()


class _OpenVinoServed:
    """Implements `Model`."""

    def __init__(self, session: OpenVinoSession, precision: Precision) -> None:
        self.runtime = f"openvino-{precision}"
        self._session = session

    @property
    def side_by_side(self) -> bool:
        """Whether there are threads to share."""
        return self._session.streams > 1

    def infer(self, batch: EncodedBatch, *, alone: bool = True) -> Float32Array:
        """Return raw scores, float32 [batch, labels].

        Raises:
            InvalidTensorError: the model doesn't know a token id, or reads no texts so long.
        """
        try:
            return self._session.infer(batch) if alone else self._session.infer_beside(batch)
        except RefusedInputError as error:
            raise InvalidTensorError(str(error)) from error

    def close(self) -> None:
        """Free the model, whose memory goes with its last user."""
        del self._session
