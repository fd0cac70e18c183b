import numpy as np
import pandas as pd
import pytest

from toxic_core.errors import InvalidDataError
from toxic_training.data.comments import RawTable
from toxic_training.data.suites import (
    CASE_COLUMNS,
    HATECHECK,
    TEMPLATES,
    identity_terms,
    leave_out_trained,
    split_identities,
    tidy_suites,
)


def _cases(name: str, **columns: list[str]) -> pd.DataFrame:
    return tidy_suites({name: RawTable(pd.DataFrame(columns), digest="0" * 64)})


def test_templates_have_their_label_and_identities() -> None:
    """A term is found as whole words in any case, also inside a longer term."""
    texts = ["Sam is a kind African American friend", "old and OLDER", "Kim is boldly kind"]
    table = _cases(TEMPLATES, Text=texts, Label=["NOT_BAD", "BAD", "BAD"])
    assert table["toxic"].tolist() == [0.0, 1.0, 1.0]
    assert [split_identities(joined) for joined in table["group"]] == [
        ["african", "african american", "american"],
        ["old", "older"],
        [],
    ]
    assert list(table.columns) == CASE_COLUMNS
    assert set(table["language"]) == {"en"}


def test_hatecheck_cases_keep_their_functionality() -> None:
    """The suite is about hate: its gold label is `identity_hate`."""
    columns = {
        "functionality": ["a_h", "b_nh"],
        "test_case": ["one", "two"],
        "label_gold": ["hateful", "non-hateful"],
    }
    table = _cases(HATECHECK, **columns)
    assert table["group"].tolist() == ["a_h", "b_nh"]
    assert table["identity_hate"].tolist() == [1.0, 0.0]
    assert table["toxic"].isna().all()


def test_a_table_of_any_kind_is_a_suite() -> None:
    """Languages, labels, expected decisions and reference scores are read where a column holds them."""
    everyday = _cases(
        "everyday",
        comment_text=["hello", "Das ist doch kein Grund, wieder zu gehen"],
        lang=["en", "en"],
        kind=["benign", "insult"],
        expected=["ok", "toxic;insult"],
    )
    assert everyday["language"].tolist() == ["en", "de"], "identified, as for a caller who states none"
    assert everyday["expected"].tolist() == ["ok", "toxic;insult"]
    assert everyday["group"].tolist() == ["benign", "insult"]
    assert everyday["id"].tolist() == ["everyday-0", "everyday-1"]
    rated = _cases("rated", text=["a", "b"], lang=["en", "HI-latn"], toxic=["1", ""], TOXICITY=["0.5", ""])
    np.testing.assert_array_equal(rated["toxic"], [1.0, np.nan])
    np.testing.assert_array_equal(rated["TOXICITY"], np.array([0.5, np.nan], np.float32))
    assert rated["language"].tolist() == ["en", "hi-Latn"]


def test_several_suites_are_one_table(caplog: pytest.LogCaptureFixture) -> None:
    """An absent suite is logged; with none, the table is empty and has the same columns and types."""
    suite = RawTable(pd.DataFrame({"text": ["a"], "toxic": ["1"]}), digest="0" * 64)
    with caplog.at_level("INFO"):
        one = tidy_suites({"first": suite, HATECHECK: None, "second": suite})
        none = tidy_suites({})
    assert one["source"].tolist() == ["first", "second"]
    assert none.empty
    assert none.dtypes.equals(one.dtypes)
    assert f"No file for the test suite {HATECHECK}" in caplog.text


def test_cases_that_were_trained_on_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """Also with other spaces; the log has how many."""
    cases = _cases("own", text=["You  again", "never seen"], toxic=["1", "0"])
    with caplog.at_level("WARNING"):
        left = leave_out_trained(cases, pd.DataFrame({"text": ["You again", "else"]}))
    assert left["text"].tolist() == ["never seen"]
    assert "1 cases of the test suite own" in caplog.text


def test_other_columns_labels_or_no_rows_are_errors() -> None:
    """The error names the problem, and never quotes a text."""
    with pytest.raises(InvalidDataError, match=r"no column Label; it has Text\."):
        _cases(TEMPLATES, Text=["a"])
    with pytest.raises(
        InvalidDataError, match=r"1 values in Label other than BAD and NOT_BAD; the first is in row 2"
    ):
        _cases(TEMPLATES, Text=["a", "b"], Label=["BAD", "GOOD"])
    with pytest.raises(InvalidDataError, match="holds no cases"):
        _cases(HATECHECK, functionality=[], test_case=[], label_gold=[])
    with pytest.raises(InvalidDataError, match=r"has 'rude' in expected, row 2: write ok, or labels"):
        _cases("everyday", text=["a", "b"], expected=["ok", "rude"])
    with pytest.raises(
        InvalidDataError, match=r"1 values in toxic other than 0 and 1; the first is in row 1"
    ):
        _cases("own", text=["a"], toxic=["2"])


def test_there_are_fifty_terms() -> None:
    """The terms are the authors' fifty, each once, in lower case."""
    terms = identity_terms()
    assert len(set(terms)) == len(terms) == 50
    assert [term.lower() for term in terms] == terms
