from enum import StrEnum
from pathlib import Path
from typing import get_type_hints

import pytest

from toxic_inference.doors.perspective.attributes import KNOWN_ATTRIBUTES
from toxic_inference.metrics.catalogue import LABEL_VALUES, SPECS, UNITS, Kind, Spec
from toxic_inference.metrics.catalogue.__main__ import describe

DOCUMENT = Path(__file__).parents[4] / "docs" / "metrics.md"


def test_the_document_is_current() -> None:
    """`docs/metrics.md` is what `make metrics` writes."""
    assert DOCUMENT.read_text(encoding="utf-8") == describe()


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.name)
def test_a_metric_says_its_unit_its_meaning_and_what_to_do(spec: Spec) -> None:
    """Names end in a unit that is known, or in `_total`; labels are bounded; nothing is left unsaid."""
    if spec.kind is Kind.COUNTER:
        assert spec.name.endswith("_total")
        assert spec.unit
    else:
        assert spec.name.endswith(f"_{spec.unit}")
        assert spec.unit in UNITS
    assert set(spec.labels) <= LABEL_VALUES.keys()
    assert spec.means.endswith((".", "no."))
    assert len(spec.todo) > 10
    assert bool(spec.buckets) is (spec.kind is Kind.HISTOGRAM)


@pytest.mark.parametrize("spec", [spec for spec in SPECS.values() if spec.starts], ids=lambda spec: spec.name)
def test_every_value_of_an_enumeration_exists_from_the_start(spec: Spec) -> None:
    """If a metric opens series at the start, it opens one per value of the event's enumeration."""
    for label, values in spec.starts.items():
        for trigger in spec.triggers:
            kind = get_type_hints(trigger.event)[label]
            assert not issubclass(kind, StrEnum) or values == tuple(kind)


@pytest.mark.parametrize(
    "spec",
    [spec for spec in SPECS.values() if spec.labels and spec.kind is Kind.COUNTER and spec.triggers],
    ids=lambda spec: spec.name,
)
def test_every_label_of_a_counter_is_an_enumeration_or_is_known_before_its_first_event(spec: Spec) -> None:
    """A series that is born above 0 hides its first burst from every rate."""
    known = [{"door", "route", "method"}, {"version"}, {"label"}, {"policy"}, set()]
    assert set(spec.labels) - spec.starts.keys() in known


def test_every_attribute_that_google_had_is_counted_from_the_start() -> None:
    """The catalogue lists what the Perspective door knows."""
    assert set(SPECS["unsupported_attributes_total"].starts["attribute"]) == KNOWN_ATTRIBUTES
