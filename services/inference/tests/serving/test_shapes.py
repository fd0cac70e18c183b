"""The shapes that batches are computed in."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest

from toxic_core.tokens import EncodedBatch
from toxic_inference.events import BatchRan, ShapesCompiled
from toxic_inference.serving.batching.admission import BatchLimits
from toxic_inference.serving.batching.executables import Executables
from toxic_inference.serving.batching.scheduler import BatchScheduler, SchedulerResources
from toxic_inference.serving.batching.shapes import Shapes, frequent_shapes
from toxic_inference.serving.batching.slots import Slots
from toxic_inference.serving.interfaces import Lane
from toxic_model.loaded import Float32Array
from toxic_testing.inference.batches import row
from toxic_testing.inference.fakes import EventLog, ManualClock


def test_a_batch_takes_the_smallest_compiled_shape_that_is_little_larger() -> None:
    """An eighth more is computed faster than a shape is compiled; twice as much isn't."""
    shapes = Shapes(10)
    assert shapes.fit(9, 40) == ((9, 40), True)
    assert shapes.fit(10, 40) == ((10, 40), True)
    assert shapes.fit(9, 38) == ((9, 40), False)
    assert shapes.fit(9, 20) == ((9, 20), True)
    assert shapes.fit(11, 30) == ((11, 30), True)


def test_a_small_batch_is_padded_freely() -> None:
    """Its time is the time to read the weights."""
    shapes = Shapes(10)
    assert shapes.fit(2, 32) == ((2, 32), True)
    assert shapes.fit(1, 5) == ((2, 32), False)


def test_the_least_recently_used_shape_is_forgotten() -> None:
    """As the runtime's own cache of kernels does, so that its memory stays bounded."""
    shapes = Shapes(2)
    for tokens in (100, 200, 100, 400):
        shapes.fit(1, tokens)
    assert [shapes.fit(1, tokens)[1] for tokens in (100, 400, 200)] == [False, False, True]


@pytest.mark.parametrize("longest", [16, 160, 512])
def test_the_frequent_shapes_fit_every_short_text(longest: int) -> None:
    """Once they are compiled, no single text needs another one."""
    shapes = Shapes(1_000)
    warmed = list(frequent_shapes(budget=2_048, longest=longest))
    assert len(set(warmed)) == len(warmed) < 200
    for rows, tokens in warmed:
        shapes.fit(rows, tokens)
    assert not any(shapes.fit(1, tokens)[1] for tokens in range(1, longest + 1))


class Recorder:
    """A model that records shapes, and gives each row the sum of its tokens."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, batch: EncodedBatch) -> Float32Array:
        """Return float32 [batch, 6]."""
        assert batch.attention_mask.any(axis=1).all()
        self.shapes.append(batch.input_ids.shape)
        sums = (batch.input_ids * batch.attention_mask).sum(axis=1, keepdims=True)
        return np.repeat(sums, 6, axis=1).astype(np.float32)


def test_padded_rows_and_tokens_change_no_score(clock: ManualClock) -> None:
    """Callers get their own rows only."""
    model = Recorder()
    executables = Executables(model, [], pad_id=7, clock=clock, shapes=10)
    executables.alone([row(*range(8))] * 8)
    scores, _ = executables.alone([row(1, 2, 3), row(4)])
    assert model.shapes == [(8, 8), (8, 8)]
    assert scores[:, 0].tolist() == [6, 4]


@pytest.mark.anyio
async def test_a_warm_version_compiles_in_no_request(clock: ManualClock, log: EventLog) -> None:
    """Each executable is warmed alone; later batches find their shapes, and the metric stands still."""
    model = Recorder()
    executables = Executables(model, [model, model], pad_id=0, clock=clock, shapes=40)
    with ThreadPoolExecutor(2) as executor:
        resources = SchedulerResources(
            limits=BatchLimits(token_budget=128, queue_rows=200, queue_seconds=60.0),
            slots=Slots(2),
            executor=executor,
            clock=clock,
            emit=log,
        )
        scheduler = BatchScheduler(executables, version="1", resources=resources)
        scheduler.warm(longest=16)
        assert scheduler._warming is not None
        await scheduler._warming
        warmed = len(log.of(ShapesCompiled))
        assert warmed == len(model.shapes) > 0
        assert {shape for shape in model.shapes if model.shapes.count(shape) != 3} == set()
        for rows, tokens in product((1, 2, 3), (3, 9, 16)):
            await scheduler.submit([row(*range(1, tokens + 1))] * rows, lane=Lane.INTERACTIVE)
        await scheduler.close()
    assert log.of(BatchRan)
    assert len(log.of(ShapesCompiled)) == warmed


@pytest.mark.anyio
async def test_closing_ends_the_warm_up(clock: ManualClock, log: EventLog) -> None:
    """A model is freed only after its last batch, warm-ups included."""
    model = Recorder()
    with ThreadPoolExecutor(1) as executor:
        resources = SchedulerResources(
            limits=BatchLimits(token_budget=128, queue_rows=200, queue_seconds=60.0),
            slots=Slots(2),
            executor=executor,
            clock=clock,
            emit=log,
        )
        executables = Executables(model, [], pad_id=0, clock=clock, shapes=40)
        scheduler = BatchScheduler(executables, version="1", resources=resources)
        scheduler.warm(longest=16)
        await scheduler.close()
    assert len(model.shapes) <= 1
