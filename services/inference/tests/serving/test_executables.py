"""A model's executables alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from toxic_core.tokens import EncodedBatch
from toxic_inference.serving.batching.executables import Executables, assemble
from toxic_inference.serving.errors import InferenceError
from toxic_model.loaded import Float32Array
from toxic_testing.inference.batches import row
from toxic_testing.inference.fakes import ManualClock


def test_rows_become_one_batch() -> None:
    """The mask is 0 for padding and for masked tokens."""
    batch = assemble([row(1, 2, 3, mask=[1, 0, 1]), row(5)], pad_id=7)
    assert batch.input_ids.tolist() == [[1, 2, 3], [5, 7, 7]]
    assert batch.attention_mask.tolist() == [[1, 0, 1], [1, 0, 0]]


def test_a_stream_computes_one_batch_at_a_time(clock: ManualClock) -> None:
    """Two batches beside each other run on different streams."""
    together = threading.Barrier(2, timeout=10)
    used: list[int] = []

    def stream(number: int, batch: EncodedBatch) -> Float32Array:
        used.append(number)
        together.wait()
        return np.zeros((len(batch.input_ids), 6), np.float32)

    executables = Executables(
        lambda batch: stream(0, batch),
        [lambda batch: stream(1, batch), lambda batch: stream(2, batch)],
        pad_id=0,
        clock=clock,
    )
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(executables.beside_others, [[row(1)], [row(2)]]))
    assert sorted(used) == [1, 2]


def test_the_seconds_are_the_model_s_own(clock: ManualClock) -> None:
    """They are measured around the executable, on the worker thread."""

    def slow(batch: EncodedBatch) -> Float32Array:
        clock.advance(2.5)
        return np.zeros((len(batch.input_ids), 6), np.float32)

    _, seconds = Executables(slow, [], pad_id=0, clock=clock).alone([row(1)])
    assert seconds == pytest.approx(2.5)


def test_an_answer_of_another_length_is_an_error(clock: ManualClock) -> None:
    """Scores of too few rows must not be given to the wrong callers."""
    executables = Executables(lambda _: np.zeros((1, 6), np.float32), [], pad_id=0, clock=clock)
    with pytest.raises(InferenceError, match="1 rows of scores for 2"):
        executables.alone([row(1), row(2)])
