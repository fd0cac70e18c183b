import pytest

from toxic_core.errors import InvalidDataError
from toxic_core.tables import TEXT_COLUMNS, language_code, language_column, renamed, text_column


@pytest.mark.parametrize("name", [*TEXT_COLUMNS, "Text", " BODY "])
def test_a_text_column_is_found_by_its_name(name: str) -> None:
    """Case and surrounding spaces don't matter."""
    assert text_column(["id", name, "lang"]) == 1


def test_two_candidates_are_refused() -> None:
    """The error names both columns and the option that chooses one."""
    with pytest.raises(InvalidDataError, match=r"2 columns.*'content', 'Text'.*--text-column"):
        text_column(["content", "id", "Text"], option="--text-column")


def test_a_chosen_column_decides() -> None:
    """A chosen column may have any name, and settles which of several columns is read."""
    assert text_column(["content", "id", "text"], chosen="text") == 2
    assert text_column(["content", "Review"], chosen="review") == 1
    assert text_column(["review", "Review"], chosen="Review") == 1
    with pytest.raises(InvalidDataError, match=r"2 columns.*'review', 'Review'"):
        text_column(["review", "Review"], chosen="REVIEW")


def test_a_table_without_texts_is_refused() -> None:
    """The error lists the columns that the table has, cut if they are long or many."""
    with pytest.raises(InvalidDataError, match=r"no column of texts \(comment_text, .*'name', 'id'"):
        text_column(["name", "id"])
    with pytest.raises(InvalidDataError, match=r"no column named 'review'.*'name', 'id'"):
        text_column(["name", "id"], chosen="review")
    with pytest.raises(InvalidDataError, match="columns are none"):
        text_column([])
    with pytest.raises(InvalidDataError, match="'a', 'a' and 5 more") as caught:
        text_column(["a"] * 24 + ["b" * 100])
    assert "b" * 41 not in str(caught.value)


def test_a_language_column_is_optional() -> None:
    """Two of them are an error that names both."""
    assert language_column(["text", "Language"]) == 1
    assert language_column(["text"]) is None
    with pytest.raises(InvalidDataError, match="2 columns of languages: 'language', 'LANG'"):
        language_column(["language", "LANG"])


def test_appended_columns_rename_those_of_the_table() -> None:
    """With the first number that is free."""
    assert renamed(["text", "line", "line_1"], ("line", "error")) == ["text", "line_2", "line_1"]


def test_a_language_tag_becomes_its_code() -> None:
    """Regions, case and spaces are dropped; a missing cell has no code."""
    stated = ["pt-BR", " PT_br ", "en", "hi_latn", "Not one", "", None, float("nan")]
    assert [*map(language_code, stated)] == ["pt", "pt", "en", "hi-Latn", "not one", "", "", ""]
