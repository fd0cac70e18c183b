import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from toxic_inference.monitoring.distance import js_distance, psi

COUNTS = st.lists(st.integers(0, 10_000), min_size=4, max_size=4).filter(any)


def test_psi_is_what_it_is_by_hand() -> None:
    """Shares of 0.5 and 0.5 against 0.9 and 0.1: 0.4 ln(0.9/0.5) + 0.4 ln(0.5/0.1)."""
    found = psi(np.array([5e6, 5e6]), np.array([9e6, 1e6]))
    assert found == pytest.approx(0.4 * np.log(1.8) + 0.4 * np.log(5), abs=1e-3)


@given(COUNTS, COUNTS)
def test_both_are_finite_and_symmetric(found: list[int], reference: list[int]) -> None:
    """Empty bins on either side make neither infinite; the distance is scipy's, from 0 to 1."""
    p, q = np.array(found, np.float64), np.array(reference, np.float64)
    assert 0.0 <= psi(p, q) < np.inf
    assert psi(p, q) == pytest.approx(psi(q, p))
    assert js_distance(p, q) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-6)


def test_like_shapes_are_no_distance_apart() -> None:
    """However many there are of each."""
    assert js_distance(np.array([1.0, 2.0]), np.array([100.0, 200.0])) == pytest.approx(0.0, abs=1e-7)
    assert psi(np.array([1e4, 2e4]), np.array([1e6, 2e6])) == pytest.approx(0.0, abs=1e-6)
    assert js_distance(np.array([1.0, 0.0]), np.array([0.0, 3.0])) == pytest.approx(1.0)
