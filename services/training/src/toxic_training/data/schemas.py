"""The schema of every raw table, and of the comments made of them (Pandera).

Kedro's own validators accept or refuse a whole table, which fits the comments (`catalog.yml` names `COMMENTS`
there). Of a raw table that people filled in, single rows may be wrong: `sort_rows` sets those aside.

Invariant: a row that breaks its schema is never dropped silently; it keeps its line and gets a reason.
"""

from collections import Counter
from collections.abc import Iterable

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from toxic_core.errors import InvalidDataError
from toxic_model.tables import TEXT_COLUMNS, language_column, text_candidates, text_column
from toxic_training.data.comments import ID, LABEL_COLUMNS, LANGUAGE, SOURCE, TEXT
from toxic_training.data.languages import KNOWN_LANGUAGES

NO_ID = "id_missing"
NO_TEXT = "text_missing"
BAD_LABEL = "label_not_0_or_1"
BAD_LANGUAGE = "language_unknown"

NOT_SCORED = "-1"
"""What Jigsaw's test labels hold where a comment wasn't labelled."""

REJECTED_COLUMNS = ["table", "line", ID, "column", "reason"]

_TOXIC = LABEL_COLUMNS[0]
_HELP = "data/README.md lists the columns of every file."


def _column(allowed: pa.Check) -> pa.Column:
    return pa.Column(checks=allowed, nullable=True)


def _stated(reason: str) -> pa.Check:
    return pa.Check(lambda values: values.notna() & (values != ""), error=reason, ignore_na=False)


def _one_of(allowed: frozenset[str], reason: str) -> pa.Check:
    return pa.Check(lambda values: values.isin(allowed), error=reason, ignore_na=False)


_id = _column(_stated(NO_ID))
_text = _column(_stated(NO_TEXT))
_language = _column(_one_of(KNOWN_LANGUAGES | {""}, BAD_LANGUAGE))
_label = _column(_one_of(frozenset({"0", "1"}), BAD_LABEL))
_optional_label = _column(_one_of(frozenset({"0", "1", ""}), BAD_LABEL))

TRAIN = pa.DataFrameSchema({"id": _id, "comment_text": _text, **dict.fromkeys(LABEL_COLUMNS, _label)})
VALIDATION = pa.DataFrameSchema({"id": _id, "comment_text": _text, "lang": _language, _TOXIC: _label})
TEST = pa.DataFrameSchema({"id": _id, "content": _text, "lang": _language, _TOXIC: _label})
"""The test file joined with its labels, but the comments that nobody labelled."""

COMMENTS = pa.DataFrameSchema(
    {
        ID: pa.Column(str),
        TEXT: pa.Column(str, _stated(NO_TEXT)),
        LANGUAGE: pa.Column(str, _one_of(KNOWN_LANGUAGES, BAD_LANGUAGE)),
        SOURCE: pa.Column(str),
        **{label: pa.Column("float32", pa.Check.isin([0, 1]), nullable=True) for label in LABEL_COLUMNS},
    },
    strict=True,
    ordered=True,
)
"""What `toxic_training.data.comments` promises of every table of comments."""


def find_text(table: pd.DataFrame) -> str | None:
    """Return the name of the column of texts, or None.

    Raises:
        InvalidDataError: more than one column may hold the texts.
    """
    columns = [str(column) for column in table.columns]
    return columns[text_column(columns)] if text_candidates(columns) else None


def find_language(table: pd.DataFrame) -> str | None:
    """Return the name of the column of languages, or None."""
    columns = [str(column) for column in table.columns]
    index = language_column(columns)
    return None if index is None else columns[index]


def additional(table: pd.DataFrame, *, name: str) -> pa.DataFrameSchema:
    """Return the schema of a table of any origin: of those columns that it has and we know.

    Raises:
        InvalidDataError: it has no texts or no labels.
    """
    text, language = find_text(table), find_language(table)
    labels = [label for label in LABEL_COLUMNS if label in table]
    if text is None or not labels:
        raise InvalidDataError(
            f"The table {name} needs a column of texts ({', '.join(TEXT_COLUMNS)}) and one of labels "
            f"({', '.join(LABEL_COLUMNS)}); it has {', '.join(table.columns)}."
        )
    columns = {text: _text, **dict.fromkeys(labels, _optional_label)}
    if ID in table:
        columns[ID] = _id
    if language is not None:
        columns[language] = _language
    return pa.DataFrameSchema(columns)


def require_rows(table: pd.DataFrame, *, name: str) -> None:
    """Refuse a table without rows.

    Raises:
        InvalidDataError: it has none.
    """
    if table.empty:
        raise InvalidDataError(f"The table {name} holds no rows. {_HELP}")


def require_columns(table: pd.DataFrame, columns: Iterable[str], *, name: str) -> None:
    """Refuse a table that lacks a column.

    Raises:
        InvalidDataError: naming those missing and those there.
    """
    if missing := [column for column in columns if column not in table]:
        raise InvalidDataError(
            f"The table {name} has no column {', '.join(missing)}; it has {', '.join(table.columns)}. {_HELP}"
        )


def sort_rows(
    table: pd.DataFrame, schema: pa.DataFrameSchema, *, name: str, max_rejected_fraction: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of `table` that keep `schema`, and those that don't.

    Args:
        table: labels and languages as words; its index is the row's place in the file.
        schema: of the raw table.
        name: of the table, for messages and for the rejected rows.
        max_rejected_fraction: more than this is no stray row but a broken file.

    Returns:
        The good rows, and for each rejected one its table, line, id, column and reason; the header is line 1,
        as in a spreadsheet. A row with several faults gets the first.

    Raises:
        InvalidDataError: the table lacks a column, or too many of its rows are rejected.
    """
    if not pd.api.types.is_integer_dtype(table.index):
        # What pandas can't give a column becomes the index.
        raise InvalidDataError(f"The rows of the table {name} have more fields than its header. {_HELP}")
    require_columns(table, schema.columns, name=name)
    rejected = _rejected(table, schema, name=name)
    if len(rejected) > max_rejected_fraction * len(table):
        raise InvalidDataError(_too_many(rejected, name=name, rows=len(table), allowed=max_rejected_fraction))
    return table.drop(index=rejected.index), rejected.reset_index(drop=True)


def no_rejected_rows() -> pd.DataFrame:
    """Return an empty table of rejected rows."""
    return pd.DataFrame(
        {column: pd.Series(dtype=int if column == "line" else str) for column in REJECTED_COLUMNS}
    )


def _rejected(table: pd.DataFrame, schema: pa.DataFrameSchema, *, name: str) -> pd.DataFrame:
    """Return the rejected rows by their place in `table`."""
    try:
        schema.validate(table, lazy=True)
    except SchemaErrors as errors:
        first = errors.failure_cases.drop_duplicates("index").set_index("index").sort_index()
    else:
        return no_rejected_rows()
    rejected = pd.DataFrame({"column": first["column"].astype(str), "reason": first["check"].astype(str)})
    rejected.index = rejected.index.astype(int)
    ids = table[ID].reindex(rejected.index).fillna("").astype(str) if ID in table else ""
    return rejected.assign(table=name, line=rejected.index + 2, id=ids)[REJECTED_COLUMNS]


def _too_many(rejected: pd.DataFrame, *, name: str, rows: int, allowed: float) -> str:
    first = rejected.drop_duplicates(["column", "reason"])
    counts = Counter(zip(rejected["column"], rejected["reason"], strict=True))
    listed = "; ".join(
        f"{counts[column, reason]:,} times {reason} in {column}, first on line {line}"
        for column, reason, line in zip(first["column"], first["reason"], first["line"], strict=True)
    )
    return (
        f"{len(rejected):,} of the {rows:,} rows of the table {name} can't be used, more than the share of "
        f"{allowed:g} that data.max_rejected_fraction allows: {listed}. Look at those lines: is it the right "
        "file, with its columns in place?"
    )
