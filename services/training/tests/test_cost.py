from collections.abc import Sequence

import numpy as np
import pytest

from toxic_model.scoring import RawScores
from toxic_training.evaluation.cost import measure_latency

pytestmark = pytest.mark.slow


class SlowToStart:
    """A scorer on a clock of its own: its first text takes a second, each after it ten milliseconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls = 0

    def __call__(self, texts: Sequence[str]) -> RawScores:
        """Let time pass."""
        self.now += 0.01 if self.calls else 1.0
        self.calls += 1
        return RawScores(
            scores=np.zeros((len(texts), 6), np.float32),
            tokens=np.ones(len(texts), np.int32),
            low_confidence=np.zeros(len(texts), bool),
        )


def test_latency_is_that_of_a_warm_model() -> None:
    """The first calls, which trace and allocate, don't count; the threads are stated."""
    scorer = SlowToStart()
    figures = measure_latency(scorer, "a text", clock=lambda: scorer.now)
    assert figures["serving.latency_ms"] == pytest.approx(10)
    assert figures["serving.threads"] >= 1
