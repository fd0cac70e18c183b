import pytest

from toxic_training.modelling.fitting import Progress, learning_rate_at

pytestmark = pytest.mark.slow


class _Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_rises_then_falls_to_zero() -> None:
    """Linear warm-up to the peak is followed by linear decay to zero."""
    rates = [learning_rate_at(share, peak=2.0, warmup_fraction=0.2) for share in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0.0, 1.0, 2.0, 1.0, 0.0])


def test_time_advances_progress_if_steps_are_slow() -> None:
    """A slow machine ends on time, with the schedule at its end."""
    clock = _Clock()
    progress = Progress(planned_steps=1000, budget_seconds=60.0, clock=clock)
    progress.steps = 10
    clock.now += 45.0
    assert progress.share == pytest.approx(0.75)
    assert progress.seconds_left == pytest.approx(15.0)
    assert not progress.is_over
    clock.now += 15.0
    assert progress.is_over


def test_the_first_step_is_always_taken() -> None:
    """A budget that is spent before the first step still gives a classifier."""
    clock = _Clock()
    progress = Progress(planned_steps=5, budget_seconds=1.0, clock=clock)
    clock.now += 10.0
    assert not progress.is_over
    progress.steps += 1
    assert progress.is_over


def test_a_resumed_run_continues_the_counts() -> None:
    """Steps and seconds of the stopped run count; the speed is that of this run."""
    clock = _Clock()
    progress = Progress(planned_steps=100, budget_seconds=1000.0, clock=clock)
    progress.resume(steps=60, seconds=300.0)
    clock.now += 20.0
    progress.steps = 70
    assert progress.seconds == pytest.approx(320.0)
    assert progress.share == pytest.approx(0.7)
    assert progress.seconds_left == pytest.approx(60.0)
