import numpy as np
import pytest
from numpy.typing import NDArray

from toxic_model.packed import Floats
from toxic_training.modelling.length import take_length_off

pytestmark = pytest.mark.slow

COMMENTS, WIDTH = 4_000, 24


@pytest.fixture
def comments() -> dict[str, NDArray[np.generic]]:
    """Vectors that tell the length, in which long comments of one group are more often toxic."""
    dice = np.random.default_rng(3)
    groups = dice.choice(["en", "es"], COMMENTS).astype(object)
    tokens = np.exp(dice.normal(3.5, 0.8, COMMENTS) + (groups == "es")).astype(np.int64) + 1
    vectors = dice.normal(size=(COMMENTS, WIDTH)).astype(np.float32)
    vectors[:, 1] += np.log(tokens)
    toxic = (vectors[:, 0] > 1).astype(np.float32)
    toxic[::10] = np.nan
    return {"groups": groups, "tokens": tokens, "vectors": vectors, "toxic": toxic}


def _slope(logits: Floats, comments: dict[str, NDArray[np.generic]]) -> float:
    rows = (comments["toxic"] == 0) & (comments["groups"] == "en")
    return float(np.polyfit(np.log(comments["tokens"][rows].astype(float)), logits[rows], 1)[0])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_dependence_on_length_is_taken_off(
    share: float, comments: dict[str, NDArray[np.generic]]
) -> None:
    """Harmless comments of a language depend that much less on it; other labels and the mean logit stay."""
    kernel = np.zeros((WIDTH, 6), np.float32)
    kernel[0], kernel[1, 0] = 1.0, -0.4
    bias = np.full(6, -2.0, np.float32)
    changed, moved = take_length_off(kernel, bias, share=share, **comments)  # type: ignore[arg-type]
    np.testing.assert_array_equal(changed[:, 1:], kernel[:, 1:])
    np.testing.assert_array_equal(moved[1:], bias[1:])
    vectors = comments["vectors"].astype(np.float32)
    before, after = vectors @ kernel[:, 0] + bias[0], vectors @ changed[:, 0] + moved[0]
    assert after.mean() == pytest.approx(before.mean(), abs=1e-4)
    assert _slope(after, comments) == pytest.approx((1 - share) * _slope(before, comments), abs=0.03)
    assert np.corrcoef(vectors[:, 0], after)[0, 1] >= np.corrcoef(vectors[:, 0], before)[0, 1] - 1e-3
