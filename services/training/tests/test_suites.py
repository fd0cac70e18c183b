import pandas as pd
import pytest

from toxic_core.errors import InvalidDataError
from toxic_training.data.comments import COLUMNS, RawTable
from toxic_training.data.suites import (
    HATECHECK,
    TEMPLATES,
    identity_terms,
    split_identities,
    tidy_hatecheck,
    tidy_templates,
)


def _templates(**columns: list[str]) -> dict[str, RawTable | None]:
    return {TEMPLATES: RawTable(pd.DataFrame(columns), digest="0" * 64)}


def _hatecheck(**columns: list[str]) -> dict[str, RawTable | None]:
    return {HATECHECK: RawTable(pd.DataFrame(columns), digest="0" * 64)}


def test_templates_have_their_label_and_identities() -> None:
    """A term is found as whole words in any case, also inside a longer term."""
    texts = ["Sam is a kind African American friend", "old and OLDER", "Kim is boldly kind"]
    table = tidy_templates(_templates(Text=texts, Label=["NOT_BAD", "BAD", "BAD"]))
    assert table["toxic"].tolist() == [0.0, 1.0, 1.0]
    assert [split_identities(joined) for joined in table["identities"]] == [
        ["african", "african american", "american"],
        ["old", "older"],
        [],
    ]
    assert list(table.columns) == [*COLUMNS, "identities"]
    assert set(table["language"]) == {"en"}


def test_hatecheck_cases_keep_their_functionality() -> None:
    """The column `hateful` is separate from the labels, which the suite doesn't have."""
    columns = {
        "functionality": ["a_h", "b_nh"],
        "test_case": ["one", "two"],
        "label_gold": ["hateful", "non-hateful"],
    }
    table = tidy_hatecheck(_hatecheck(**columns))
    assert table["functionality"].tolist() == ["a_h", "b_nh"]
    assert table["hateful"].tolist() == [1.0, 0.0]
    assert table["toxic"].isna().all()


@pytest.mark.parametrize("suites", [{}, {TEMPLATES: None, HATECHECK: None}])
def test_an_absent_suite_is_empty_and_logged(
    suites: dict[str, RawTable | None], caplog: pytest.LogCaptureFixture
) -> None:
    """Its figures are absent, and the log names the reason."""
    with caplog.at_level("INFO"):
        templates, hatecheck = tidy_templates(suites), tidy_hatecheck(suites)
    assert len(templates) == len(hatecheck) == 0
    assert {"text", "identities"} <= set(templates.columns)
    assert {"text", "functionality", "hateful"} <= set(hatecheck.columns)
    assert f"No file for the test suite {HATECHECK}" in caplog.text


def test_other_columns_labels_or_no_rows_are_errors() -> None:
    """The error names the problem, and never quotes a text."""
    with pytest.raises(InvalidDataError, match=r"no column Label; it has Text\."):
        tidy_templates(_templates(Text=["a"]))
    with pytest.raises(
        InvalidDataError, match=r"1 values in Label other than BAD and NOT_BAD; the first is in row 2"
    ):
        tidy_templates(_templates(Text=["a", "b"], Label=["BAD", "GOOD"]))
    with pytest.raises(InvalidDataError, match="holds no cases"):
        tidy_hatecheck(_hatecheck(functionality=[], test_case=[], label_gold=[]))


def test_there_are_fifty_terms() -> None:
    """The terms are the authors' fifty, each once, in lower case."""
    terms = identity_terms()
    assert len(set(terms)) == len(terms) == 50
    assert [term.lower() for term in terms] == terms
