from pathlib import Path

import pytest

from toxic_core.contract.evidence import EVALUATION_FILE, read_evaluation, write_evaluation
from toxic_core.errors import ContractError


def test_figures_survive_the_file(tmp_path: Path) -> None:
    """A round trip keeps every figure."""
    figures = {"test.toxic.en.auc": 0.97, "test.toxic.en.rows": 5000.0}
    write_evaluation(tmp_path, figures)
    assert read_evaluation(tmp_path) == figures


def test_missing_evidence_is_an_error_of_its_own(tmp_path: Path) -> None:
    """A bundle without figures isn't one without faults."""
    with pytest.raises(ContractError, match="no evaluation evidence"):
        read_evaluation(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"auc": "high"}', '{"auc": NaN}', '{"auc": null}', "{"])
def test_unreadable_evidence_is_refused(tmp_path: Path, content: str) -> None:
    """Anything but a non-empty object of finite numbers is refused."""
    (tmp_path / EVALUATION_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(ContractError):
        read_evaluation(tmp_path)


def test_a_figure_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    """NaN can't become evidence."""
    with pytest.raises(ValueError, match="JSON compliant"):
        write_evaluation(tmp_path, {"auc": float("nan")})
