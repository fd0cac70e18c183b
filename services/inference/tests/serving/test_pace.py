import pytest

from toxic_inference.serving.pace import Pace


def test_nothing_is_expected_before_the_first_batch() -> None:
    """Nobody is refused on a guess."""
    assert Pace().seconds_until(waiting_tokens=10_000, now=0.0) == 0.0


def test_waiting_takes_as_long_as_it_took() -> None:
    """A hundred tokens in a second: three hundred take three."""
    pace = Pace()
    pace.started(tokens=100, now=0.0)
    pace.ended(now=1.0)
    assert pace.seconds_until(waiting_tokens=300, now=5.0) == pytest.approx(3.0)


def test_what_is_left_of_the_running_batch_counts() -> None:
    """Half of a running second is gone; an overdue batch is expected any moment, never in the past."""
    pace = Pace()
    pace.started(tokens=100, now=0.0)
    pace.ended(now=1.0)
    pace.started(tokens=100, now=1.0)
    assert pace.seconds_until(waiting_tokens=100, now=1.5) == pytest.approx(1.5)
    assert pace.seconds_until(waiting_tokens=100, now=9.0) == pytest.approx(1.0)


def test_the_newest_batches_count_most() -> None:
    """A model that became three times slower is known to be within a few batches."""
    pace = Pace()
    for batch in range(20):
        pace.started(tokens=100, now=0.0)
        pace.ended(now=1.0 if batch < 10 else 3.0)
    assert pace.seconds_until(waiting_tokens=100, now=9.0) == pytest.approx(3.0, rel=0.1)


def test_a_failed_batch_says_nothing() -> None:
    """An input that is refused at once doesn't make the model look fast."""
    pace = Pace()
    pace.started(tokens=100, now=0.0)
    pace.ended(now=1.0)
    pace.started(tokens=100, now=1.0)
    pace.abandoned()
    assert pace.seconds_until(waiting_tokens=100, now=1.0) == pytest.approx(1.0)
