import sys
import tracemalloc

import numpy as np
import pytest

from toxic_core.text import normalise
from toxic_inference.serving.interfaces import RawScore
from toxic_inference.serving.scoring.cache import ENTRY_BYTES, ScoreCache


def score(value: float) -> RawScore:
    """Return a score of that value for every label."""
    return RawScore(scores=np.full(6, value, np.float32), tokens=3, windows=1, truncated=False)


def test_a_text_is_known_however_it_is_spelt() -> None:
    """What normalises to the same text is the same text; another isn't."""
    cache = ScoreCache(10)
    cache.keep({cache.digest(normalise("good  day")): score(0.5)})
    assert cache.find([cache.digest(normalise(" g\u200bood day"))])
    assert not cache.find([cache.digest("good day!")])


def test_the_longest_unused_go_first() -> None:
    """It holds what it may and no more; being asked for counts as use."""
    cache = ScoreCache(3)
    one, two, three, four = (cache.digest(text) for text in ("one", "two", "three", "four"))
    cache.keep({one: score(1), two: score(2), three: score(3)})
    cache.find([one])
    cache.keep({four: score(4)})
    assert len(cache) == 3
    assert set(cache.find([one, two, three, four])) == {one, three, four}


def test_two_caches_know_a_text_by_different_digests() -> None:
    """The key is each cache's own, so that digests tell nothing outside of it."""
    assert ScoreCache(1).digest("good day") != ScoreCache(1).digest("good day")


@pytest.mark.parametrize("text", ["a secret comment", "x" * 10_000])
def test_no_text_is_kept(text: str) -> None:
    """What is held for a text is as small for a long one, and holds none of it."""
    cache = ScoreCache(10)
    cache.keep({cache.digest(text): score(0.5)})
    (digest,) = cache._scores
    assert len(digest) == 16
    assert text.encode() not in digest
    assert sys.getsizeof(digest) < 100


def test_an_entry_takes_what_the_setting_says() -> None:
    """The memory that operators are told of is what is used, within a fifth."""
    cache = ScoreCache(20_000)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(20_000):
        cache.keep({number.to_bytes(16, "big"): score(0.5)})
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(cache) == pytest.approx(ENTRY_BYTES, rel=0.2)
