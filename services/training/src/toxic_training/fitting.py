"""Fine-tuning: optimiser, schedule, time budget, progress.

Invariant: training ends with a learning rate near zero, whether the steps or the minutes run out first, and
its result depends on the seed alone where the steps do.
"""

import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras

from toxic_training.batches import LengthBatches
from toxic_training.classifier import masked_binary_crossentropy
from toxic_training.parameters import ModellingParameters

logger = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 15.0
_SECONDS_A_MINUTE = 60.0
_KIB_A_GIB = 1024.0**2

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a training run did.

    Attributes:
        steps: optimiser steps taken.
        planned_steps: steps of all epochs.
        seconds: wall time.
        comments_per_second: throughput over the whole run.
        final_loss: mean training loss of the last epoch.
        stopped_by_time: whether `max_train_minutes` ended it.
        peak_memory_gib: the process's largest resident memory so far.
    """

    steps: int
    planned_steps: int
    seconds: float
    comments_per_second: float
    final_loss: float
    stopped_by_time: bool
    peak_memory_gib: float


def learning_rate_at(progress: float, *, peak: float, warmup_fraction: float) -> float:
    """Return the rate of linear warm-up followed by linear decay (Devlin et al., 2019).

    Args:
        progress: share of training that is done, 0 to 1.
        peak: the highest rate.
        warmup_fraction: share of training that warms up.
    """
    if progress < warmup_fraction:
        return peak * progress / warmup_fraction
    return peak * max(0.0, 1.0 - progress) / max(1e-9, 1.0 - warmup_fraction)


class Pace(keras.callbacks.Callback):
    """Sets the learning rate from progress, ends training when the time is up, and logs the time left.

    Progress is the larger share of the steps taken and the minutes spent.
    """

    def __init__(self, parameters: ModellingParameters, *, planned_steps: int, clock: Clock) -> None:
        super().__init__()
        self._parameters = parameters
        self._planned_steps = planned_steps
        self._budget_seconds = parameters.max_train_minutes * _SECONDS_A_MINUTE
        self._clock = clock
        self._started = self._logged = clock()
        self.steps = 0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    @property
    def time_is_up(self) -> bool:
        """Whether the budget is spent."""
        return self.seconds >= self._budget_seconds

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras's names
        """Set this step's learning rate."""
        steps_done = (self.steps + 1) / (self._planned_steps + 1)
        progress = min(1.0, max(steps_done, self.seconds / self._budget_seconds))
        self.model.optimizer.learning_rate = learning_rate_at(
            progress,
            peak=self._parameters.peak_learning_rate,
            warmup_fraction=self._parameters.warmup_fraction,
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Count the step, log now and then, stop when the time is up."""
        self.steps += 1
        if self._clock() - self._logged >= _LOG_EVERY_SECONDS:
            self._logged = self._clock()
            self._log((logs or {}).get("loss", float("nan")))
        if self.time_is_up:
            self.model.stop_training = True

    def _log(self, loss: float) -> None:
        left = self.seconds / self.steps * (self._planned_steps - self.steps)
        logger.info(
            "step %d of %d, loss %.4f, %.0f s done, about %.0f s left",
            self.steps,
            self._planned_steps,
            loss,
            self.seconds,
            min(left, self._budget_seconds - self.seconds),
        )


def fit(
    classifier: keras.Model,
    batches: LengthBatches,
    parameters: ModellingParameters,
    *,
    clock: Clock = time.monotonic,
) -> FitResult:
    """Fine-tune `classifier` in place.

    Args:
        classifier: from `build_classifier`.
        batches: training batches.
        parameters: of the optimiser and the schedule.
        clock: seconds, never falling.
    """
    planned = len(batches) * parameters.epochs
    pace = Pace(parameters, planned_steps=planned, clock=clock)
    # XLA compiles every batch length anew, and computes in float32 where oneDNN would in bfloat16.
    classifier.compile(optimizer=_optimiser(parameters), loss=masked_binary_crossentropy, jit_compile=False)
    with _cpu_bfloat16(wanted=parameters.cpu_bfloat16):
        history = classifier.fit(
            batches, epochs=parameters.epochs, shuffle=False, callbacks=[pace], verbose=bar_verbosity()
        )
    return FitResult(
        steps=pace.steps,
        planned_steps=planned,
        seconds=pace.seconds,
        comments_per_second=pace.steps * parameters.batch_size / max(pace.seconds, 1e-9),
        final_loss=float(history.history["loss"][-1]),
        stopped_by_time=pace.steps < planned,
        peak_memory_gib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_A_GIB,
    )


def _optimiser(parameters: ModellingParameters) -> keras.optimizers.Optimizer:
    optimiser = keras.optimizers.AdamW(
        learning_rate=parameters.peak_learning_rate, weight_decay=parameters.weight_decay, clipnorm=1.0
    )
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimiser


def bar_verbosity() -> int:
    """Keras's live bar on a terminal; one line an epoch elsewhere, where a bar is a line a step."""
    return 1 if sys.stdout.isatty() else 2


@contextmanager
def _cpu_bfloat16(*, wanted: bool) -> Iterator[None]:
    """Let oneDNN compute in bfloat16 for the time of the block, where it can and `wanted`.

    Weights stay float32. Off again afterwards, so that evaluation and export compute as serving does.
    """
    if not (wanted and keras.backend.backend() == "tensorflow" and _cpu_has_bfloat16()):
        yield
        return
    import tensorflow as tf  # noqa: PLC0415 - only this backend needs it

    option = "auto_mixed_precision_onednn_bfloat16"
    tf.config.optimizer.set_experimental_options({option: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({option: False})


def _cpu_has_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
