"""Fine-tuning: the training loop, with checkpoints, selection of weights, and progress.

Invariant: if steps end training, the result depends on the seed alone, however often the run was stopped and
resumed. The learning rate is near zero at the end, whether the steps or the time limit end training.
"""

import logging
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras import ops

from toxic_training.modelling.batches import LengthBatches
from toxic_training.modelling.checkpoints import CheckpointFile, TrainingState, restore, variables_of
from toxic_training.modelling.classifier import Loss, compiles_whole_steps, logits_of
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.modelling.selection import BestWeights, SelectionSet
from toxic_training.modelling.workers import ALONE, JointAdamW, JointClock, Reduction, Workers

logger = logging.getLogger(__name__)

Clock = Callable[[], float]

LOG_EVERY_SECONDS = 15.0
_SECONDS_PER_MINUTE = 60.0
_KIB_PER_GIB = 1024.0**2
_ROWS = "rows"
"""Name of the comments of an epoch in a checkpoint."""
_LOSS_MEMORY = 0.98
"""Weight of the running mean of the loss against the latest step's."""


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
        workers: Workers = ALONE,
    ) -> None:
        self._classifier = classifier
        self._batches = batches
        self._selection = selection
        self._parameters = parameters
        self._checkpoint = checkpoint
        self._workers = workers
        self._clock = JointClock(workers)
        self._best = BestWeights(margin=parameters.selection_margin)
        self._progress = Progress(
            planned_steps=batches.steps_per_epoch * parameters.epochs,
            budget_seconds=parameters.max_train_minutes * _SECONDS_PER_MINUTE,
            clock=self._clock,
        )
        self._loss = math.nan
        self._logged = self._saved = self._progress.seconds

    def fit(self, loss: Loss) -> dict[str, float]:
        """Compile the classifier, then train until steps, time or patience end; keep the best weights.

        Returns:
            Figures of the run. Seconds are wall time, including interrupted runs before; the loss is a
            running mean; the AUC is that of the weights that are kept, NaN if undefined.
        """
        progress, best, parameters = self._progress, self._best, self._parameters
        self._classifier.compile(
            optimizer=optimiser(parameters, self._workers), loss=loss, jit_compile=compiles_whole_steps()
        )
        # A step that makes the optimiser's variables is traced twice.
        self._classifier.optimizer.build(self._classifier.trainable_variables)
        with cpu_bfloat16(wanted=parameters.cpu_bfloat16):
            self._resume()
            self._workers.draw_apart(self._classifier)
            # One line per epoch if stdout isn't a terminal, where the bar would be one line per step.
            verbosity = (1 if sys.stdout.isatty() else 2) if self._workers.is_chief else 0
            bar = keras.utils.Progbar(
                progress.planned_steps, verbose=verbosity, stateful_metrics=["loss"], unit_name="step"
            )
            evaluated = 0
            while not (progress.is_over or best.misses >= parameters.patience):
                self._step()
                bar.update(progress.steps, [("loss", self._loss)])
                if progress.share * parameters.selections >= len(best.scores) + 1:
                    self._evaluate()
                    evaluated = progress.steps
                if parameters.mined_share and progress.steps % self._batches.steps_per_epoch == 0:
                    self._mine()
                self._log_and_save()
            # The time limit may pass anywhere in the loop, also after a step whose weights weren't due.
            if evaluated < progress.steps and best.misses < parameters.patience:
                self._evaluate()
            best.put_back(self._classifier)
            if self._workers.is_chief:
                self._checkpoint.remove()
        stopped_early = best.misses >= parameters.patience
        return {
            "steps": progress.steps,
            "planned_steps": progress.planned_steps,
            "seconds": progress.seconds,
            "comments_per_second": progress.steps * parameters.batch_size / max(progress.seconds, 1e-9),
            "final_loss": self._loss,
            "stopped_by_time": progress.steps < progress.planned_steps and not stopped_early,
            "stopped_early": stopped_early,
            "selections": len(best.scores),
            "selection_auc": best.score,
            "workers": self._workers.count,
            "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_GIB,
        }

    def _resume(self) -> None:
        """Resume from the checkpoint, if there is one."""
        found = self._checkpoint.load()
        self._workers.require_same(found[0].steps if found else 0, what="the checkpoint")
        if found is None:
            return
        state, variables = found
        restore(self._classifier, variables)
        self._best.restore(variables, scores=state.scores, misses=state.misses)
        self._batches.rows = variables[_ROWS].astype(np.int64)
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
        batch = self._workers.share(self._batches.batch(self._progress.steps))
        loss = self._workers.mean(float(self._classifier.train_on_batch(*batch)))
        self._progress.steps += 1
        self._clock.tick()
        before = loss if math.isnan(self._loss) else self._loss
        self._loss = _LOSS_MEMORY * before + (1 - _LOSS_MEMORY) * loss

    def _evaluate(self) -> None:
        """Evaluate the weights, and keep them unless earlier ones were better."""
        with averaged(self._classifier):
            auc = self._workers.of_chief(lambda: self._selection.mean_auc(self._classifier))
            self._best.offer(auc, self._classifier)
        logger.info("step %d, mean AUC over languages %.4f", self._progress.steps, auc)

    def _mine(self) -> None:
        """Let the next pass contain the harmless comments twice that score highest (hard negatives)."""
        batches, parameters = self._batches, self._parameters
        if self._progress.is_over:
            return
        own = slice(self._workers.index, None, self._workers.count)
        logits = np.zeros((len(batches.token_ids), self._classifier.output_shape[-1]), np.float32)
        with averaged(self._classifier):
            logits[own] = logits_of(
                self._classifier,
                batches.token_ids[own],
                pad_id=batches.pad_id,
                batch_size=parameters.batch_size,
            )
        logits = self._workers.total(logits, Reduction.LOGITS)
        labels = batches.targets[:, : logits.shape[1]]
        is_harmless = (labels == 0).any(axis=1) & (labels <= 0).all(axis=1)
        highest = np.where(labels == 0, logits, -np.inf).max(axis=1)
        batches.exchange(np.where(is_harmless, highest, np.nan).astype(np.float32), parameters.mined_share)

    def _log_and_save(self) -> None:
        """Log the progress and write a checkpoint, each if its interval is over; the chief does."""
        progress = self._progress
        if not self._workers.is_chief:
            return
        if progress.seconds - self._logged >= LOG_EVERY_SECONDS:
            self._logged = progress.seconds
            done, planned = progress.steps, progress.planned_steps
            seconds = f"{progress.seconds:.0f} s done, about {progress.seconds_left:.0f} s left"
            logger.info("step %d of %d, loss %.4f, %s", done, planned, self._loss, seconds)
        if progress.seconds - self._saved >= self._parameters.checkpoint_minutes * _SECONDS_PER_MINUTE:
            self._saved = progress.seconds
            state = TrainingState(
                steps=progress.steps,
                seconds=progress.seconds,
                loss=self._loss,
                scores=tuple(self._best.scores),
                misses=self._best.misses,
            )
            rows = {_ROWS: self._batches.rows}
            self._checkpoint.save(state, variables_of(self._classifier) | self._best.weights | rows)


def learning_rate_at(progress: float, *, peak: float, warmup_fraction: float) -> float:
    """Return the rate of linear warm-up and linear decay (Devlin et al., 2019) at `progress`, 0 to 1."""
    if progress < warmup_fraction:
        return peak * progress / warmup_fraction
    return peak * max(0.0, 1.0 - progress) / max(1e-9, 1.0 - warmup_fraction)


@dataclass(slots=True)
class Progress:
    """Steps and monotonic seconds against their limits. A resumed run continues the counts."""

    planned_steps: int
    budget_seconds: float
    clock: Clock = time.monotonic
    steps: int = 0
    seconds_before: float = 0.0
    _started: float = field(init=False)
    _steps_at_start: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def resume(self, *, steps: int, seconds: float) -> None:
        """Continue after `steps` for which earlier runs needed `seconds`."""
        self.steps = self._steps_at_start = steps
        self.seconds_before = seconds
        self._started = self.clock()

    @property
    def seconds(self) -> float:
        """Seconds of training, including earlier runs."""
        return self.seconds_before + self.clock() - self._started

    @property
    def share(self) -> float:
        """The larger of the share of steps taken and the share of time spent, 0 to 1."""
        return min(1.0, max(self.steps / self.planned_steps, self.seconds / self.budget_seconds))

    @property
    def next_share(self) -> float:
        """The share of the next step; neither the first nor the last step has a learning rate of zero."""
        steps = (self.steps + 1) / (self.planned_steps + 1)
        return min(1.0, max(steps, self.seconds / self.budget_seconds))

    @property
    def is_over(self) -> bool:
        """Whether steps or time have run out; the first step is always taken."""
        time_is_up = self.steps > 0 and self.seconds >= self.budget_seconds
        return self.steps >= self.planned_steps or time_is_up

    @property
    def seconds_left(self) -> float:
        """An estimate from the speed of this run."""
        taken = max(1, self.steps - self._steps_at_start)
        by_steps = (self.clock() - self._started) / taken * (self.planned_steps - self.steps)
        return max(0.0, min(by_steps, self.budget_seconds - self.seconds))


def optimiser(parameters: ModellingParameters, workers: Workers = ALONE) -> keras.optimizers.Optimizer:
    """Return AdamW (Loshchilov and Hutter, 2019), without decay on biases and norms."""
    adamw = (keras.optimizers.AdamW if workers.count == 1 else partial(JointAdamW, workers))(
        learning_rate=parameters.peak_learning_rate,
        weight_decay=parameters.weight_decay,
        clipnorm=1.0,
        use_ema=parameters.averaging > 0,
        ema_momentum=parameters.averaging or None,
    )
    adamw.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return adamw


@contextmanager
def averaged(classifier: keras.Model) -> Iterator[None]:
    """Let the classifier have its weights' running mean during the block, if its optimiser keeps one."""
    if not classifier.optimizer.use_ema:
        yield
        return
    latest = [ops.convert_to_numpy(weight).copy() for weight in classifier.trainable_variables]
    classifier.optimizer.finalize_variable_values(classifier.trainable_variables)
    try:
        yield
    finally:
        for weight, value in zip(classifier.trainable_variables, latest, strict=True):
            weight.assign(value)


@contextmanager
def cpu_bfloat16(*, wanted: bool) -> Iterator[None]:
    """Let oneDNN compute in bfloat16 during the block, if `wanted` and if the CPU supports it.

    Weights stay float32. Disabled afterwards, so that evaluation and export compute as serving does.
    """
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text(encoding="ascii", errors="replace") if cpu.is_file() else ""
    supported = "avx512_bf16" in flags or "amx_bf16" in flags
    if not (wanted and keras.backend.backend() == "tensorflow" and supported):
        yield
        return
    import tensorflow as tf  # noqa: PLC0415 - only this backend needs it

    option = "auto_mixed_precision_onednn_bfloat16"
    tf.config.optimizer.set_experimental_options({option: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({option: False})
