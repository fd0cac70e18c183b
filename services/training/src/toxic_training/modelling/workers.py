"""Data-parallel training: several processes take every step together, each with a share of the batch.

TensorFlow's collective operations sum the gradients: NCCL between GPUs, a ring over gRPC between CPUs. A
model of Keras 3 in `MultiWorkerMirroredStrategy.scope()` would clip gradients before they are summed, and its
`train_on_batch` fails.

Invariant: but for dropout, a step changes the weights as if one worker had computed the whole batch. All
workers make the same decisions, because scores and times are the chief's.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from toxic_core.errors import ConfigurationError
from toxic_training.modelling.batches import MISSING_LABEL, Batch

_MOST_ROWS = 2**20
"""A bound of the tokens of a batch."""


class Reduction(IntEnum):
    """The sums of a step, which TensorFlow matches between workers by these numbers."""

    NUMBER = 1
    LOGITS = 2
    GRADIENTS = 3
    LABELS = 4
    TEACHER_LABELS = 5
    EMBEDDINGS = 6
    """And the numbers after it, two per variable."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The processes of one training, and which of them this one is; number 0 is the chief.

    `clock` returns this process's seconds. `order` is a variable that makes TensorFlow run the operations of
    a step one after the other, as NCCL needs it.
    """

    count: int = 1
    index: int = 0
    clock: Callable[[], float] = time.monotonic
    order: Any = None

    @classmethod
    def connect(cls) -> Self:
        """Wait for the other processes that the variable TF_CONFIG lists. Call it before TensorFlow computes.

        Processes on one machine take its GPUs in turn, one each.
        """
        import tensorflow as tf  # noqa: PLC0415 - only this backend needs it

        cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        jobs = cluster.cluster_spec().as_dict()
        tasks = [(job, task) for job in ("chief", "worker") for task in range(len(jobs.get(job, ())))]
        index = tasks.index((cluster.task_type, cluster.task_id))
        if gpus := tf.config.list_physical_devices("GPU"):
            tf.config.set_visible_devices(gpus[index % len(gpus)], "GPU")
        tf.distribute.MultiWorkerMirroredStrategy(cluster)
        return cls(count=len(tasks), index=index, order=tf.Variable(0.0, trainable=False))

    @property
    def is_chief(self) -> bool:
        """Whether this process saves checkpoints and the result."""
        return self.index == 0

    def share(self, batch: Batch) -> Batch:
        """Return this worker's rows of a batch. Shares are filled up to one size by rows without labels."""
        if self.count == 1:
            return batch
        inputs, targets, weights = batch
        last = len(targets) - 1
        rows = np.arange(self.index, self.count * -(-len(targets) // self.count), self.count)
        known = np.where((rows <= last)[:, np.newaxis], targets[np.minimum(rows, last)], MISSING_LABEL)
        rows = np.minimum(rows, last)
        return {name: ids[rows] for name, ids in inputs.items()}, known.astype(np.float32), weights[rows]

    def draw_apart(self, classifier: keras.Model) -> None:
        """Let dropout draw other units on every worker; the chief's are those of one worker."""
        for state in classifier.variables:
            if state.name == "seed_generator_state":
                state.assign(ops.convert_to_numpy(state) + np.array([self.index, 0], np.uint32))

    def total(self, values: NDArray[Any], reduction: Reduction) -> NDArray[Any]:
        """Return the sum of every worker's `values`; those of one reduction have one shape and type."""
        if self.count == 1:
            return values
        import tensorflow as tf  # noqa: PLC0415 - only this backend needs it

        with tf.device("CPU"):
            return np.asarray(self._sum(tf.constant(values), reduction, order=[]))

    def mean(self, value: float) -> float:
        """Return the mean of every worker's `value`."""
        return float(self.total(np.array([value], np.float64), Reduction.NUMBER)[0]) / self.count

    def require_same(self, value: int, *, what: str) -> None:
        """Raise ConfigurationError on every worker if one's `value`, below 2**53, isn't the chief's."""
        if self.mean(self.of_chief(lambda: value) != value):
            raise ConfigurationError(f"The training's workers differ in {what}; give all of them the same.")

    def of_chief(self, measure: Callable[[], float]) -> float:
        """Return what `measure` returns to the chief; the others wait for it."""
        value = measure() if self.is_chief else 0.0
        return float(self.total(np.array([value], np.float64), Reduction.NUMBER)[0])

    def mean_within_step(self, tensor: keras.KerasTensor, reduction: int) -> keras.KerasTensor:
        """Return the mean of every worker's tensor, as a part of the compiled step."""
        if self.count == 1:
            return tensor
        return self._sum(tensor, reduction, order=[self.order.handle]) / self.count

    def rows_within_step(self, tensor: keras.KerasTensor, reduction: int) -> keras.KerasTensor:
        """Return the rows of every worker's tensor, which have one shape."""
        import tensorflow as tf  # noqa: PLC0415 - only this backend needs it

        return tf.raw_ops.CollectiveGatherV2(
            input=tensor,
            group_size=self.count,
            group_key=reduction,
            # Steps with other lengths have other shapes, and an instance has one.
            instance_key=reduction * _MOST_ROWS + tf.shape(tensor)[0],
            ordering_token=[self.order.handle],
        )

    def _sum(self, tensor: keras.KerasTensor, reduction: int, *, order: list[Any]) -> keras.KerasTensor:
        import tensorflow as tf  # noqa: PLC0415 - only this backend needs it

        return tf.raw_ops.CollectiveReduceV2(
            input=tensor,
            group_size=self.count,
            group_key=reduction,  # one group per sum, since a GPU computes some and the CPU the others
            instance_key=reduction,
            ordering_token=order,
            merge_op="Add",
            final_op="Id",
        )


ALONE = Workers()


class JointAdamW(keras.optimizers.AdamW):
    """AdamW on the mean of the workers' gradients, which it clips after they are averaged."""

    def __init__(self, workers: Workers, **options: Any) -> None:
        super().__init__(**options)
        self._workers = workers

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None
    ) -> None:
        """Average the gradients, the dense ones in one operation, then update the variables."""
        import tensorflow as tf  # noqa: PLC0415 - only this backend needs it

        variables, means = list(trainable_variables or self._trainable_variables), list(grads)
        dense = [index for index, each in enumerate(grads) if not isinstance(each, tf.IndexedSlices)]
        flat = tf.concat([tf.reshape(grads[index], [-1]) for index in dense], 0)
        mean = self._workers.mean_within_step(flat, Reduction.GRADIENTS)
        parts = tf.split(mean, [math.prod(variables[index].shape) for index in dense])
        for index, part in zip(dense, parts, strict=True):
            means[index] = tf.reshape(part, variables[index].shape)
        for index in set(range(len(grads))).difference(dense):
            # As one worker would have them. Keras squares the rows of an embedding before it adds them, so
            # that their sum isn't the same.
            rows, key = grads[index], Reduction.EMBEDDINGS + 2 * index
            values = self._workers.rows_within_step(rows.values, key) / self._workers.count
            indices = self._workers.rows_within_step(tf.cast(rows.indices, tf.int64), key + 1)
            means[index] = tf.IndexedSlices(values, indices, rows.dense_shape)
        super().apply(means, variables)


class JointClock:
    """A clock that has the same time for all workers: the chief's, read after every step."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._now = 0.0
        self.tick()

    def __call__(self) -> float:
        """Return the time, in seconds; one worker has no need to wait for a step."""
        return self._workers.clock() if self._workers.count == 1 else self._now

    def tick(self) -> None:
        """Read the chief's clock."""
        if self._workers.count > 1:
            self._now = self._workers.of_chief(self._workers.clock)
