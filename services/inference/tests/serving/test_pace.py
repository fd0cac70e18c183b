import random

import pytest

from toxic_inference.serving.batching.pace import Pace, RunningBatch


def pace_of(*batches: tuple[int, float]) -> Pace:
    """Return what is learnt from batches, each so many tokens in so many seconds."""
    pace = Pace(token_budget=1_000)
    for tokens, seconds in batches:
        batch = start(pace, tokens=tokens, now=0.0)
        pace.ended(batch, seconds=seconds)
    return pace


def start(pace: Pace, *, tokens: int, now: float, share: float = 1.0) -> RunningBatch:
    """Let a batch begin."""
    batch = RunningBatch(tokens, share, since=now)
    pace.started(batch)
    return batch


def test_nothing_is_expected_before_the_first_batch() -> None:
    """Nobody is refused on a guess."""
    assert pace_of().seconds_until(waiting_tokens=10_000, now=0.0) == 0.0


def test_waiting_takes_as_long_as_it_took() -> None:
    """A hundred tokens in a second: three hundred take three."""
    assert pace_of((100, 1.0)).seconds_until(waiting_tokens=300, now=5.0) == pytest.approx(3.0)


def test_what_a_batch_costs_by_itself_is_paid_once_a_batch() -> None:
    """Tenth of a second a batch, a thousandth a token: three full batches, not three hundred small ones."""
    rng = random.Random(1)  # noqa: S311  sizes, not secrets
    small = [(tokens, 0.1 + tokens / 1000) for tokens in rng.choices(range(5, 60), k=50)]
    pace = pace_of(*small)
    assert pace.seconds_until(waiting_tokens=3_000, now=0.0) == pytest.approx(3 * 0.1 + 3.0, rel=0.01)


def test_noise_makes_no_time_negative() -> None:
    """Long batches that happened to be fast don't promise that a longer queue is shorter."""
    pace = pace_of((10, 1.0), (1_000, 0.1), (10, 1.0), (1_000, 0.1))
    one, two = (pace.seconds_until(waiting_tokens=tokens, now=0.0) for tokens in (1_000, 2_000))
    assert 0 < one <= two


def test_what_is_left_of_the_running_batch_counts() -> None:
    """Half of a running second is gone; an overdue batch is expected any moment, never in the past."""
    pace = pace_of((100, 1.0))
    start(pace, tokens=100, now=1.0)
    assert pace.seconds_until(waiting_tokens=100, now=1.5) == pytest.approx(1.5)
    assert pace.seconds_until(waiting_tokens=100, now=9.0) == pytest.approx(1.0)


def test_the_newest_batches_count_most() -> None:
    """A model that became three times slower is known to be within a dozen batches."""
    pace = pace_of(*[(100, 1.0)] * 10, *[(100, 3.0)] * 12)
    assert pace.seconds_until(waiting_tokens=100, now=9.0) == pytest.approx(3.0, rel=0.15)


def test_a_failed_batch_says_nothing() -> None:
    """An input that is refused at once doesn't make the model look fast."""
    pace = pace_of((100, 1.0))
    pace.abandoned(start(pace, tokens=100, now=1.0))
    assert pace.seconds_until(waiting_tokens=100, now=1.0) == pytest.approx(1.0)


def test_batches_side_by_side_take_their_share_of_the_machine_each() -> None:
    """Two seconds of half of it are one of it all, and so is what is left of each that runs."""
    pace = pace_of()
    first, second = (start(pace, tokens=100, share=0.5, now=0.0) for _ in range(2))
    pace.ended(first, seconds=2.0)
    assert pace.seconds_until(waiting_tokens=100, now=1.0) == pytest.approx(0.5 + 1.0)
    pace.ended(second, seconds=2.0)
    assert pace.seconds_until(waiting_tokens=300, now=2.0) == pytest.approx(3.0)
