"""Calibration keeps rankings and follows the contract."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from toxic_core.contract import Calibration, Contract
from toxic_core.contract.calibration import calibrate
from toxic_core.labels import LABELS, Label
from toxic_core.languages import ANY_LANGUAGE

SCORES = st.floats(0, 1, width=32)

# The contract that the examples share is never changed.
sharing_a_contract = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def column(values: list[float]) -> NDArray[np.float32]:
    """Return a batch with `values` in every label's column."""
    return np.repeat(np.array(values, dtype=np.float32)[:, None], len(LABELS), axis=1)


def with_calibration(contract: Contract, calibration: Calibration) -> Contract:
    """Return `contract` with one calibration for every label."""
    return contract.model_copy(
        update={"calibration": {label: {ANY_LANGUAGE: calibration} for label in LABELS}}
    )


@pytest.fixture
def plain(contract: Contract) -> Contract:
    """Return a contract with the identity as calibration."""
    return with_calibration(contract, Calibration())


@given(values=st.lists(SCORES, max_size=20))
@sharing_a_contract
def test_the_default_calibration_changes_nothing(values: list[float], plain: Contract) -> None:
    """Slope 1 and intercept 0 give the scores back, to a millionth."""
    scores = column(values)
    calibrated = calibrate(scores, languages=[None] * len(values), contract=plain)
    assert calibrated.dtype == np.float32
    np.testing.assert_allclose(calibrated, scores, atol=1e-6)


@given(
    values=st.lists(SCORES, min_size=1, max_size=20),
    slope=st.floats(1e-3, 1e3),
    intercept=st.floats(-1e3, 1e3),
)
@sharing_a_contract
def test_calibration_keeps_the_ranking(
    values: list[float], slope: float, intercept: float, plain: Contract
) -> None:
    """Any calibration is monotone, stays a probability and never overflows."""
    contract = with_calibration(plain, Calibration(slope=slope, intercept=intercept))
    calibrated = calibrate(column(sorted(values)), languages=["en"] * len(values), contract=contract)
    assert (np.diff(calibrated, axis=0) >= 0).all()
    assert ((calibrated >= 0) & (calibrated <= 1)).all()


def test_each_row_follows_its_language(contract: Contract) -> None:
    """A row gets its language's calibration if the label has one, else the general one."""
    calibrated = calibrate(column([0.8] * 4), languages=["es", "en", "xx", None], contract=contract)
    expected = 1 / (1 + np.exp(-(2 * np.log(0.8 / 0.2) - 0.5)))
    toxic = LABELS.index(Label.TOXIC)
    np.testing.assert_allclose(calibrated[:, toxic], [expected, 0.8, 0.8, 0.8], atol=1e-6)
    np.testing.assert_allclose(np.delete(calibrated, toxic, axis=1), 0.8, atol=1e-6)


def test_calibration_leaves_its_input_alone(contract: Contract) -> None:
    """The raw scores are still there afterwards."""
    scores = column([0.1, 0.9])
    calibrate(scores, languages=["es", "es"], contract=contract)
    np.testing.assert_array_equal(scores, column([0.1, 0.9]))
