"""Versions with a reference, and traffic to hold against it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from toxic_core.contract import Contract
from toxic_core.contract.reference import LENGTH_EDGES, Distribution, ReferenceTraffic
from toxic_core.labels import LABELS
from toxic_core.languages import ANY_LANGUAGE
from toxic_inference.events import TextsScored
from toxic_testing.inference.bundles import make_contract

Report = Callable[..., TextsScored]
EDGES = tuple(edge / 10 for edge in range(11))


@pytest.fixture
def contract() -> Contract:
    """A version that was measured on 900 harmless and 100 toxic comments, short and in two languages."""
    scores = Distribution(edges=EDGES, counts=(900, *[0] * 8, 100))
    lengths = Distribution(edges=LENGTH_EDGES, counts=(0, 500, 500, *[0] * (len(LENGTH_EDGES) - 4)))
    traffic = ReferenceTraffic(
        languages={"en": 700, "tr": 300},
        lengths=lengths,
        calibration_toxic_share=0.5,
        deployment_toxic_share=0.1,
    )
    return make_contract().model_copy(
        update={
            "languages": ("en", "tr"),
            "reference_scores": {label: {ANY_LANGUAGE: scores} for label in LABELS},
            "reference_traffic": traffic,
        }
    )


@pytest.fixture
def report() -> Report:
    """Return the function that makes texts with one score for every label."""

    def make(
        scores: Sequence[float],
        *,
        language: str | None = "en",
        tokens: int = 5,
        threshold: float = 0.5,
        version: str = "1",
    ) -> TextsScored:
        column = np.array(scores, dtype=np.float32)
        table = np.repeat(column[:, np.newaxis], len(LABELS), axis=1)
        texts = len(scores)
        return TextsScored(version, [language] * texts, table, table >= threshold, [tokens] * texts)

    return make
