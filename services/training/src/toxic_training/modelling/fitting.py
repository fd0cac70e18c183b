"""Fine-tuning: the training loop, with checkpoints, selection of weights, and progress.

Invariant: if steps end training, the result depends on the seed alone, however often the run was stopped and
resumed.
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
_SECONDS_PER_MINUTE = 60.0
_KIB_PER_GIB = 1024.0**2
_LOSS_MEMORY = 0.98
"""Weight of the running mean of the loss against the latest step's."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """The result of a training run.

    Attributes:
        steps: optimiser steps taken.
        planned_steps: steps of all epochs.
        seconds: wall time, including interrupted runs before.
        comments_per_second: throughput over that time.
        final_loss: running mean of the training loss at the end.
        stopped_by_time: whether `max_train_minutes` ended training.
        stopped_early: whether the patience ended training.
        selections: number of times that weights were evaluated.
        selection_auc: mean AUC over languages of the weights that are kept, NaN if undefined.
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
    """One training run of a classifier, which it changes in place."""

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
            planned_steps=batches.steps_per_epoch * parameters.epochs,
            budget_seconds=parameters.max_train_minutes * _SECONDS_PER_MINUTE,
            clock=clock,
        )
        self._loss = math.nan
        self._logged = self._saved = self._progress.seconds

    def fit(self, loss: Loss) -> FitResult:
        """Compile the classifier, then train until steps, time or patience end; keep the best weights."""
        progress, best, parameters = self._progress, self._best, self._parameters
        self._classifier.compile(
            optimizer=optimiser(parameters), loss=loss, jit_compile=compiles_whole_steps()
        )
        with cpu_bfloat16(wanted=parameters.cpu_bfloat16):
            self._resume()
            # One line per epoch if stdout isn't a terminal, where the bar would be one line per step.
            verbosity = 1 if sys.stdout.isatty() else 2
            bar = keras.utils.Progbar(
                progress.planned_steps, verbose=verbosity, stateful_metrics=["loss"], unit_name="step"
            )
            while not (progress.is_over or best.misses >= parameters.patience):
                self._step()
                bar.update(progress.steps, [("loss", self._loss)])
                if progress.is_over or progress.share * parameters.selections >= len(best.scores) + 1:
                    best.offer(self._selection.mean_auc(self._classifier), self._classifier)
                    logger.info("step %d, mean AUC over languages %.4f", progress.steps, best.scores[-1])
                self._log_and_save()
            best.put_back(self._classifier)
            self._checkpoint.remove()
        stopped_early = best.misses >= parameters.patience
        return FitResult(
            steps=progress.steps,
            planned_steps=progress.planned_steps,
            seconds=progress.seconds,
            comments_per_second=progress.steps * parameters.batch_size / max(progress.seconds, 1e-9),
            final_loss=self._loss,
            stopped_by_time=progress.steps < progress.planned_steps and not stopped_early,
            stopped_early=stopped_early,
            selections=len(best.scores),
            selection_auc=best.score,
            peak_memory_gib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_GIB,
        )

    def _resume(self) -> None:
        """Resume from the checkpoint, if there is one."""
        found = self._checkpoint.load()
        if found is None:
            return
        state, variables = found
        restore(self._classifier, variables)
        self._best.restore(variables, scores=state.scores, misses=state.misses)
        self._progress.resume(steps=state.steps, seconds=state.seconds)
        self._loss = state.loss
        self._logged = self._saved = self._progress.seconds
        logger.info("resuming a stopped run at step %d of %d", state.steps, self._progress.planned_steps)

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

    def _log_and_save(self) -> None:
        """Log the progress and write a checkpoint, each if its interval is over."""
        progress = self._progress
        if progress.seconds - self._logged >= _LOG_EVERY_SECONDS:
            self._logged = progress.seconds
            logger.info(
                "step %d of %d, loss %.4f, %.0f s done, about %.0f s left",
                progress.steps,
                progress.planned_steps,
                self._loss,
                progress.seconds,
                progress.seconds_left,
            )
        if progress.seconds - self._saved >= self._parameters.checkpoint_minutes * _SECONDS_PER_MINUTE:
            self._saved = progress.seconds
            state = TrainingState(
                steps=progress.steps,
                seconds=progress.seconds,
                loss=self._loss,
                scores=tuple(self._best.scores),
                misses=self._best.misses,
            )
            self._checkpoint.save(state, variables_of(self._classifier) | self._best.weights)


def optimiser(parameters: ModellingParameters) -> keras.optimizers.Optimizer:
    """Return AdamW (Loshchilov and Hutter, 2019), without decay on biases and norms."""
    adamw = keras.optimizers.AdamW(
        learning_rate=parameters.peak_learning_rate, weight_decay=parameters.weight_decay, clipnorm=1.0
    )
    adamw.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return adamw


@contextmanager
def cpu_bfloat16(*, wanted: bool) -> Iterator[None]:
    """Let oneDNN compute in bfloat16 during the block, if `wanted` and if the CPU supports it.

    Weights stay float32. Disabled afterwards, so that evaluation and export compute as serving does.
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
