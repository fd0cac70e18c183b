"""The two tables of a migration: comments, and comments with the scores of a reference.

A table of scores has a column of texts, optionally `lang`, and one column per attribute, such as `TOXICITY`,
with a number from 0 to 1, or empty cells. `toxic_migrate.recording` adds the columns `key` and `error`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toxic_core.errors import InvalidDataError, MissingDataError
from toxic_core.tables import TableOptions, language_code, language_column, open_table, text_column

KEY, TEXT, LANGUAGE, ERROR = "key", "comment_text", "lang", "error"
TEXT_COLUMN_OPTION = "--text-column"

Floats = NDArray[np.float64]

_ATTRIBUTE = re.compile(r"[A-Z][A-Z0-9_]{3,63}")


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment to ask about: its key in the table of scores, its text, and its language or an empty text."""

    key: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Scored:
    """Comments with a score of the reference.

    Attributes:
        texts: the comments.
        languages: of each, as models know it; empty if the table has none.
        theirs: the reference's scores by attribute, float64 [comments], NaN if unknown.
    """

    texts: tuple[str, ...]
    languages: tuple[str, ...]
    theirs: dict[str, Floats]


def read_comments(path: Path, *, column: str | None = None) -> list[Comment]:
    """Return the comments of a table; rows without a text are left out.

    Raises:
        MissingDataError: the file doesn't exist.
        InvalidDataError: it has no column of texts, or isn't a table.
    """
    columns, rows = read_rows(path, column)
    at, language = text_column(columns, chosen=column, option=TEXT_COLUMN_OPTION), language_column(columns)
    comments = []
    for number, cells in enumerate(rows, start=1):
        stated = language_code(cells[language]) if language is not None else ""
        if cells[at].strip():
            digest = sha256(f"{stated}\0{cells[at]}".encode()).hexdigest()
            comments.append(Comment(f"{number}-{digest[:12]}", cells[at], stated))
    return comments


def read_scores(path: Path, *, column: str | None = None) -> Scored:
    """Return the comments of a table of scores that have one.

    Raises:
        MissingDataError: the file doesn't exist.
        InvalidDataError: it has no column of texts or of scores, or a cell is no score; the message has the
            row's number.
    """
    columns, rows = read_rows(path, column)
    at, language = text_column(columns, chosen=column, option=TEXT_COLUMN_OPTION), language_column(columns)
    attributes = {name: index for index, name in enumerate(columns) if _ATTRIBUTE.fullmatch(name)}
    attributes = {name: index for name, index in attributes.items() if index != at}
    if not attributes:
        raise InvalidDataError(f"{path} has no column of scores, such as TOXICITY; record one.")
    texts: list[str] = []
    languages: list[str] = []
    scores: list[list[float]] = []
    for number, cells in enumerate(rows, start=2):
        found = [_score(cells[index], path, number) for index in attributes.values()]
        if cells[at].strip() and not np.isnan(found).all():
            texts.append(cells[at])
            languages.append(language_code(cells[language]) if language is not None else "")
            scores.append(found)
    columns_of = np.array(scores, dtype=np.float64).reshape(-1, len(attributes)).T
    theirs = dict(zip(attributes, columns_of, strict=True))
    return Scored(tuple(texts), tuple(languages), theirs)


def read_rows(path: Path, column: str | None) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return a table's columns and its rows.

    Raises:
        MissingDataError: the file doesn't exist.
        InvalidDataError: it isn't a table, or a row can't be read; the message has its line.
    """
    try:
        with path.open("rb") as stream:
            table = open_table(stream, TableOptions(text_column=column))
            rows = list(table.rows())
    except FileNotFoundError as error:
        raise MissingDataError(f"There is no file {path}; check its name.") from error
    except InvalidDataError as error:
        raise InvalidDataError(f"{path} can't be read. {error}") from error
    if problems := [row.problem.message for row in rows if row.problem]:
        raise InvalidDataError(f"{path} has {len(problems):,} rows that can't be read. {problems[0]}")
    return table.header, [row.cells for row in rows]


def score_row(comment: Comment, scores: dict[str, float], attributes: Sequence[str], error: str) -> list[str]:
    """Return a row of a table of scores."""
    found = [f"{scores[name]:.6g}" if name in scores else "" for name in attributes]
    return [comment.key, comment.text, comment.language, *found, error]


def _score(cell: str, path: Path, number: int) -> float:
    try:
        score = float(cell) if cell.strip() else np.nan
    except ValueError:
        score = -1.0
    if score < 0 or score > 1:
        raise InvalidDataError(
            f"Row {number} of {path} has a score that is no number from 0 to 1. Correct it or empty the cell."
        )
    return score
