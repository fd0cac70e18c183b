"""Fine-tuning: the loop, its checkpoints, its choice of weights, its progress.

Invariant: with steps enough time, the result depends on the seed alone, however often the run was stopped and
taken up again.
"""

import logging
import math
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras

from toxic_training.modelling.batches import LengthBatches
from toxic_training.modelling.checkpoints import CheckpointFile, TrainingState, restore, variables_of
from toxic_training.modelling.classifier import Loss, compiles_whole_steps
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.modelling.schedule import Clock, Progress, learning_rate_at
from toxic_training.modelling.selection import BestWeights, SelectionSet

logger = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 15.0
_SECONDS_A_MINUTE = 60.0
_KIB_A_GIB = 1024.0**2
_LOSS_MEMORY = 0.98
"""Weight of the running mean of the loss against the newest step's."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a training run did.

    Attributes:
        steps: optimiser steps taken.
        planned_steps: steps of all passes.
        seconds: wall time, that of runs stopped before included.
        comments_per_second: throughput over that time.
        final_loss: running mean of the training loss at the end.
        stopped_by_time: whether `max_train_minutes` ended it.
        stopped_early: whether the mean AUC had stopped rising.
        selections: how often weights were measured.
        selection_auc: mean AUC over languages of the weights that are kept, NaN where it is undefined.
        peak_memory_gib: the process's largest resident memory so far.
    """

    steps: int
    planned_steps: int
    seconds: float
    comments_per_second: float
    final_loss: float
    stopped_by_time: bool
    stopped_early: bool
    selections: int
    selection_auc: float
    peak_memory_gib: float


class Trainer:
    """One training run over a compiled classifier, which it changes in place. Use `fit`."""

    def __init__(
        self,
        classifier: keras.Model,
        batches: LengthBatches,
        selection: SelectionSet,
        *,
        parameters: ModellingParameters,
        checkpoint: CheckpointFile,
        clock: Clock,
    ) -> None:
        self._classifier = classifier
        self._batches = batches
        self._selection = selection
        self._parameters = parameters
        self._checkpoint = checkpoint
        self._best = BestWeights(margin=parameters.selection_margin)
        self._progress = Progress(
            planned_steps=batches.steps_a_pass * parameters.epochs,
            budget_seconds=parameters.max_train_minutes * _SECONDS_A_MINUTE,
            clock=clock,
        )
        self._loss = math.nan
        self._logged = self._saved = self._progress.seconds

    def run(self) -> FitResult:
        """Train until the steps, the minutes or the patience run out; leave the best weights in place."""
        self._take_up()
        bar = keras.utils.Progbar(
            self._progress.planned_steps,
            verbose=bar_verbosity(),
            stateful_metrics=["loss"],
            unit_name="step",
        )
        while not (self._progress.is_over or self._is_patience_over):
            self._step()
            bar.update(self._progress.steps, [("loss", self._loss)])
            if self._is_selection_due:
                self._select()
            self._log_now_and_then()
            self._save_now_and_then()
        self._best.put_back(self._classifier)
        self._checkpoint.remove()
        return self._result()

    @property
    def _is_selection_due(self) -> bool:
        due = self._progress.share * self._parameters.selections
        return self._progress.is_over or due >= len(self._best.scores) + 1

    @property
    def _is_patience_over(self) -> bool:
        return self._best.misses >= self._parameters.patience

    def _take_up(self) -> None:
        found = self._checkpoint.load()
        if found is None:
            return
        state, variables = found
        restore(self._classifier, variables)
        self._best.restore(variables, scores=state.scores, misses=state.misses)
        self._progress.resume(steps=state.steps, seconds=state.seconds)
        self._loss = state.loss
        self._logged = self._saved = self._progress.seconds
        logger.info("taking up a stopped run at step %d of %d", state.steps, self._progress.planned_steps)

    def _step(self) -> None:
        self._classifier.optimizer.learning_rate = learning_rate_at(
            self._progress.next_share,
            peak=self._parameters.peak_learning_rate,
            warmup_fraction=self._parameters.warmup_fraction,
        )
        loss = float(self._classifier.train_on_batch(*self._batches.batch(self._progress.steps)))
        self._progress.steps += 1
        before = loss if math.isnan(self._loss) else self._loss
        self._loss = _LOSS_MEMORY * before + (1 - _LOSS_MEMORY) * loss

    def _select(self) -> None:
        score = self._selection.mean_auc(self._classifier)
        self._best.offer(score, self._classifier)
        logger.info("step %d, mean AUC over languages %.4f", self._progress.steps, score)

    def _log_now_and_then(self) -> None:
        if self._progress.seconds - self._logged < _LOG_EVERY_SECONDS:
            return
        self._logged = self._progress.seconds
        logger.info(
            "step %d of %d, loss %.4f, %.0f s done, about %.0f s left",
            self._progress.steps,
            self._progress.planned_steps,
            self._loss,
            self._progress.seconds,
            self._progress.seconds_left,
        )

    def _save_now_and_then(self) -> None:
        if self._progress.seconds - self._saved < self._parameters.checkpoint_minutes * _SECONDS_A_MINUTE:
            return
        self._saved = self._progress.seconds
        state = TrainingState(
            steps=self._progress.steps,
            seconds=self._progress.seconds,
            loss=self._loss,
            scores=tuple(self._best.scores),
            misses=self._best.misses,
        )
        self._checkpoint.save(state, variables_of(self._classifier) | self._best.weights)

    def _result(self) -> FitResult:
        comments = self._progress.steps * self._parameters.batch_size
        return FitResult(
            steps=self._progress.steps,
            planned_steps=self._progress.planned_steps,
            seconds=self._progress.seconds,
            comments_per_second=comments / max(self._progress.seconds, 1e-9),
            final_loss=self._loss,
            stopped_by_time=self._progress.steps < self._progress.planned_steps
            and not self._is_patience_over,
            stopped_early=self._is_patience_over,
            selections=len(self._best.scores),
            selection_auc=self._best.score,
            peak_memory_gib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_A_GIB,
        )


def fit(
    trainer: Trainer, classifier: keras.Model, loss: Loss, *, parameters: ModellingParameters
) -> FitResult:
    """Compile `classifier` and run its `trainer`."""
    classifier.compile(optimizer=optimiser(parameters), loss=loss, jit_compile=compiles_whole_steps())
    with cpu_bfloat16(wanted=parameters.cpu_bfloat16):
        return trainer.run()


def optimiser(parameters: ModellingParameters) -> keras.optimizers.Optimizer:
    """Return AdamW (Loshchilov and Hutter, 2019), without decay on biases and norms."""
    adamw = keras.optimizers.AdamW(
        learning_rate=parameters.peak_learning_rate, weight_decay=parameters.weight_decay, clipnorm=1.0
    )
    adamw.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return adamw


def bar_verbosity() -> int:
    """Keras's live bar on a terminal; one line an epoch elsewhere, where a bar is a line a step."""
    return 1 if sys.stdout.isatty() else 2


@contextmanager
def cpu_bfloat16(*, wanted: bool) -> Iterator[None]:
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
