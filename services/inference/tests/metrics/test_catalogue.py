from pathlib import Path

import pytest

from toxic_inference.metrics.catalogue import Kind, Spec, describe, specs
from toxic_inference.metrics.catalogue.spec import LABEL_VALUES, UNITS

DOCUMENT = Path(__file__).parents[4] / "docs" / "metrics.md"


def test_the_document_is_current() -> None:
    """`docs/metrics.md` is what `make metrics` writes."""
    assert DOCUMENT.read_text(encoding="utf-8") == describe()


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: spec.name)
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


def test_no_name_is_taken_twice() -> None:
    """Every metric has a name of its own."""
    names = [spec.name for spec in specs()]
    assert len(names) == len(set(names))
