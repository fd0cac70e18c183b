"""The seam between a SavedModel and the library that computes it.

A runtime is one module in `toxic_model.runtimes` that defines one `Runtime`, and one entry in `RUNTIMES`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from toxic_core.tokens import EncodedBatch
from toxic_model.precision import Precision

Float32Array = NDArray[np.float32]

Infer = Callable[[EncodedBatch], Float32Array]
"""Computes one batch: raw scores, float32 [batch, labels]. Blocks; raises `InvalidTensorError`."""

_LEAST_STREAMS, _MOST_STREAMS = 2, 8
_THREADS_PER_STREAM = 4


def streams_of(threads: int) -> int:
    """Return how many batches a model computes at the same time with so many threads.

    Two at least: one is computed while another is answered. With more threads than eight a batch of its share
    of the token budget is too small for all of them.
    """
    return min(max(threads // _THREADS_PER_STREAM, _LEAST_STREAMS), _MOST_STREAMS)


def any_of(executables: Sequence[Infer]) -> Infer:
    """Return a thread-safe function that computes on an idle executable, and waits while all are busy."""
    idle: SimpleQueue[Infer] = SimpleQueue()
    for executable in executables:
        idle.put(executable)

    def infer(batch: EncodedBatch) -> Float32Array:
        executable = idle.get()
        try:
            return executable(batch)
        finally:
            idle.put(executable)

    return infer


@dataclass(frozen=True, slots=True)
class Executable:
    """A model, compiled for one precision and a number of threads.

    Attributes:
        name: the runtime and the precision, such as `openvino-int8`.
        whole: computes a batch with all threads; no other batch may run at the same time.
        streams: `streams_of` executables that may run at the same time, one batch each, with an equal share
            of the threads; empty if the model computes one batch at a time.
        close: frees the model; called once, after the last batch.
    """

    name: str
    whole: Infer
    streams: tuple[Infer, ...]
    close: Callable[[], None]


Compile = Callable[[Precision, int], Executable]
"""Compiles a model for a precision and at most so many threads; 0 for as many as the process may use."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A library that computes models.

    Attributes:
        name: what settings call it.
        package: the Python package to install, for messages.
        uses_gpus: whether it computes on this machine's GPUs.
        reads_packed: whether it reads packed models, and not SavedModels alone.
        installed: returns whether the library can be imported, without importing it.
        prepare: imports the library, once per process.
        lower_precisions: returns the precisions below float32 that this machine has instructions for.
        read: reads the model of a bundle's folder, which gives so many scores per text. Raises
            `SignatureError`.
    """

    name: str
    package: str
    uses_gpus: bool
    reads_packed: bool
    installed: Callable[[], bool]
    prepare: Callable[[], None]
    lower_precisions: Callable[[], tuple[Precision, ...]]
    read: Callable[[Path, int], Compile]
