"""Reference traffic."""

import json

import pytest
from pydantic import ValidationError

from toxic_core.contract import CONTRACT_FILE, Bundle, Contract, open_bundle, seal
from toxic_core.contract.reference import LENGTH_EDGES, Distribution, PrecisionCurve, ReferenceTraffic


@pytest.fixture
def traffic() -> ReferenceTraffic:
    """Three comments in two languages."""
    lengths = Distribution(edges=LENGTH_EDGES, counts=(3, *[0] * (len(LENGTH_EDGES) - 2)))
    return ReferenceTraffic(
        languages={"en": 2, "tr": 1}, lengths=lengths, calibration_toxic_share=0.5, deployment_toxic_share=0.1
    )


def test_reference_traffic_comes_back_as_sealed(bundle: Bundle, traffic: ReferenceTraffic) -> None:
    """A round trip keeps the reference traffic."""
    sealed = seal(bundle.path, bundle.contract.model_copy(update={"reference_traffic": traffic}))
    assert open_bundle(bundle.path).contract == sealed.contract
    assert sealed.contract.reference_traffic == traffic


def test_an_older_contract_has_no_reference_traffic(bundle: Bundle) -> None:
    """A contract from before this field existed can be read."""
    content = json.loads((bundle.path / CONTRACT_FILE).read_text())
    del content["reference_traffic"]
    assert Contract.model_validate(content | {"files": {}}).reference_traffic is None


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_an_impossible_share_is_refused(share: float, traffic: ReferenceTraffic) -> None:
    """Odds need toxic and other comments."""
    with pytest.raises(ValidationError):
        ReferenceTraffic.model_validate(traffic.model_dump() | {"deployment_toxic_share": share})


def test_a_precision_has_the_threshold_of_the_next_knot() -> None:
    """So that it is reached; none if it is beyond the curve."""
    curve = PrecisionCurve(knots=((0.5, 0.2), (0.9, 0.7)), rows=100, positives=10)
    assert [curve.threshold(precision) for precision in (0.0, 0.5, 0.6, 0.9, 0.95)] == [
        0.2,
        0.2,
        0.7,
        0.7,
        None,
    ]


@pytest.mark.parametrize("second", [(0.5, 0.7), (0.9, 0.2), (0.9, 1.5)])
def test_a_precision_curve_ascends(second: tuple[float, float]) -> None:
    """Both of its numbers, and within 0 and 1."""
    with pytest.raises(ValidationError):
        PrecisionCurve(knots=((0.5, 0.2), second), rows=100, positives=10)
