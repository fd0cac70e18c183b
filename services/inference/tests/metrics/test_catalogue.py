from enum import StrEnum
from pathlib import Path
from typing import get_type_hints

import pytest

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
    (label,) = spec.labels
    for trigger in spec.triggers:
        kind = get_type_hints(trigger.event)[label]
        assert not issubclass(kind, StrEnum) or spec.starts == tuple(kind)
