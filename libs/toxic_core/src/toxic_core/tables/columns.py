"""Columns of a table of comments: which one holds the texts, which one the languages.

Everything that reads a table follows this one rule, so that the same file gets the same scores everywhere.
"""

from collections.abc import Collection, Sequence
from itertools import count

from toxic_core.errors import InvalidDataError
from toxic_core.languages import primary_language

TEXT_COLUMNS = ("comment_text", "content", "text", "comment", "message", "body")
"""Names of a text column, in any case."""

LINES_COLUMN = TEXT_COLUMNS[2]
"""The column of texts that have none: lines, and a JSON list of texts."""

LANGUAGE_COLUMNS = ("lang", "language")
"""Names of a language column, in any case."""

_SHOWN_COLUMNS = 20
_SHOWN_CHARACTERS = 40


def text_column(columns: Sequence[str], *, chosen: str | None = None, option: str = "text_column") -> int:
    """Return the index of the column that holds the texts.

    Args:
        columns: the table's column names.
        chosen: the name of the text column; None to find the only column named as in `TEXT_COLUMNS`.
        option: how the caller's users choose a column, for error messages; such as `--text-column`.

    Raises:
        InvalidDataError: no column fits, or more than one does.
    """
    # An exact name first: it can choose between columns that differ only in case.
    found = [index for index, column in enumerate(columns) if column == chosen]
    if not found:
        names = TEXT_COLUMNS if chosen is None else (chosen.strip().lower(),)
        found = [index for index, column in enumerate(columns) if column.strip().lower() in names]
    if len(found) > 1:
        raise InvalidDataError(
            f"The table has {len(found)} columns that may hold the texts: {_listed(columns, found)}. "
            f"Name one of them with {option}, or rename the others."
        )
    if found:
        return found[0]
    missing = f"named {chosen!r}" if chosen is not None else f"of texts ({', '.join(TEXT_COLUMNS)})"
    raise InvalidDataError(
        f"The table has no column {missing}. Name the text column with {option}. "
        f"The table's columns are {_listed(columns, range(len(columns))) or 'none'}."
    )


def language_column(columns: Sequence[str]) -> int | None:
    """Return the index of the column that holds the texts' languages, or None.

    Raises:
        InvalidDataError: there are two.
    """
    found = [index for index, column in enumerate(columns) if column.strip().lower() in LANGUAGE_COLUMNS]
    if len(found) > 1:
        raise InvalidDataError(
            f"The table has {len(found)} columns of languages: {_listed(columns, found)}. Rename one of them."
        )
    return found[0] if found else None


def check_unique(columns: Sequence[str]) -> None:
    """Refuse a table that has a column twice; columns without a name don't count.

    Raises:
        InvalidDataError: the message names the columns.
    """
    first = {name: index for index, name in reversed([*enumerate(columns)])}
    if twice := [index for index, name in enumerate(columns) if name.strip() and first[name] != index]:
        raise InvalidDataError(f"The table has columns twice: {_listed(columns, twice)}. Rename one of each.")


def renamed(columns: Sequence[str], appended: Collection[str]) -> list[str]:
    """Return the names of a table's columns beside those that are appended to it.

    A column of the same name, such as `score_toxic` in a table that was scored before, becomes
    `score_toxic_1`.
    """
    taken = {*columns, *appended}
    names: list[str] = []
    for column in columns:
        name = column
        if column in appended:
            name = next(new for number in count(1) if (new := f"{column}_{number}") not in taken)
            taken.add(name)
        names.append(name)
    return names


def language_code(stated: object) -> str:
    """Return a cell's language as models know it: `pt` for `pt-BR`, ` PT` or `pt_br`; empty if none is given.

    A cell that is no language code is returned in lower case.
    """
    if not isinstance(stated, str):
        return ""
    return primary_language(stated.strip()) or stated.strip().lower()


def _listed(columns: Sequence[str], indices: Sequence[int]) -> str:
    shown = ", ".join(repr(columns[index][:_SHOWN_CHARACTERS]) for index in indices[:_SHOWN_COLUMNS])
    more = len(indices) - _SHOWN_COLUMNS
    return f"{shown} and {more} more" if more > 0 else shown
