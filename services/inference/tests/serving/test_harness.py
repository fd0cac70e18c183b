import asyncio
from collections.abc import Callable

import pytest

from toxic_inference.serving.errors import IllegalTransitionError
from toxic_inference.serving.interfaces import ServableId
from toxic_inference.serving.versions.harness import ActiveServable, Harness
from toxic_inference.serving.versions.states import State
from toxic_testing.inference.fakes import ManualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def harness() -> Harness:
    """A harness that has done nothing yet."""
    return Harness(ServableId("1", "f"))


def test_the_usual_life(harness: Harness, active_servable: ActiveServable) -> None:
    """A version loads, serves, and drains."""
    harness.start_loading()
    harness.loaded(active_servable)
    harness.start_draining()
    assert harness.state is State.DRAINING


def test_a_failure_can_be_tried_again(harness: Harness, active_servable: ActiveServable) -> None:
    """A load that fails and then succeeds leaves no error behind."""
    harness.start_loading()
    harness.failed(ValueError("broken"), retry_at=5.0)
    assert (harness.failures, harness.retry_at, str(harness.error)) == (1, 5.0, "broken")
    harness.start_loading()
    harness.loaded(active_servable)
    assert (harness.failures, harness.error) == (0, None)


@pytest.mark.parametrize(
    "move",
    [
        pytest.param(lambda h: h.start_draining(), id="drain what never loaded"),
        pytest.param(lambda h: h.ended(), id="end what never loaded"),
        pytest.param(lambda h: h.take_lease(), id="lease what never loaded"),
        pytest.param(lambda h: h.return_lease(), id="return what was never taken"),
        pytest.param(lambda h: h.failed(ValueError(), retry_at=0.0), id="fail without loading"),
        pytest.param(lambda h: (h.start_loading(), h.start_loading()), id="load twice"),
        pytest.param(lambda h: h.active, id="ask for what isn't there"),
    ],
)
def test_illegal_moves_fail_loudly(harness: Harness, move: Callable[[Harness], object]) -> None:
    """A move that the state machine doesn't have raises instead of doing something."""
    with pytest.raises(IllegalTransitionError):
        move(harness)


async def test_draining_waits_for_the_last_lease(
    harness: Harness, active_servable: ActiveServable, clock: ManualClock
) -> None:
    """A version is handed over for closing only when every lease is back, and gives no new one."""
    harness.start_loading()
    harness.loaded(active_servable)
    harness.take_lease()
    harness.take_lease()
    harness.start_draining()
    with pytest.raises(IllegalTransitionError):
        harness.take_lease()
    draining = asyncio.ensure_future(harness.drained(clock, at_most_seconds=10))
    harness.return_lease()
    await asyncio.sleep(0)
    assert not draining.done()
    harness.return_lease()
    assert await draining is active_servable
    assert harness.state is State.UNLOADING


async def test_draining_ends_without_the_last_lease(
    harness: Harness, active_servable: ActiveServable, clock: ManualClock
) -> None:
    """When its time is over; the lease may be returned later."""
    harness.start_loading()
    harness.loaded(active_servable)
    harness.take_lease()
    harness.start_draining()
    draining = asyncio.ensure_future(harness.drained(clock, at_most_seconds=10))
    await asyncio.sleep(0)
    clock.advance(10)
    assert await draining is active_servable
    assert (harness.state, harness.leases) == (State.UNLOADING, 1)
    harness.return_lease()
    harness.ended()
