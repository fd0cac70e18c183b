"""The Pandera schemas of the raw tables, and of the comments made from them.

Kedro's own validators accept or refuse a whole table, which suits the comments (`catalog.yml` refers to
`COMMENTS`). In a raw table, single rows may be wrong; `sort_rows` separates them.

Invariant: a row that violates its schema keeps its line number and gets a reason; none is dropped silently.
"""

from collections import Counter
from collections.abc import Collection, Iterable

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from toxic_core.errors import InvalidDataError
from toxic_core.languages import KNOWN_LANGUAGES
from toxic_core.tables import language_column, text_column
from toxic_training.data.comments import ID, LABEL_COLUMNS, LANGUAGE, LICENCE, ORIGIN, SOURCE, TEXT
from toxic_training.data.raw_tables import UNREADABLE

NO_ID = "id_missing"
NO_TEXT = "text_missing"
BAD_LABEL = "label_not_0_or_1"
BAD_SHARE = "label_not_from_0_to_1"
BAD_LANGUAGE = "language_unknown"

NOT_SCORED = "-1"
"""The value of Jigsaw's test labels for a comment that wasn't labelled."""

REJECTED_COLUMNS = ["table", "line", ID, "column", "reason"]

_TOXIC = LABEL_COLUMNS[0]
_HELP = "data/README.md lists the columns of every file."


def _present(reason: str) -> pa.Check:
    return pa.Check(lambda values: values.notna() & (values != ""), error=reason, ignore_na=False)


def _one_of(allowed: Collection[str], reason: str) -> pa.Check:
    return pa.Check(lambda values: values.isin(allowed), error=reason, ignore_na=False)


_id, _text, _language, _label, _optional_label = (
    pa.Column(checks=check, nullable=True)
    for check in (
        _present(NO_ID),
        _present(NO_TEXT),
        _one_of(KNOWN_LANGUAGES | {""}, BAD_LANGUAGE),
        _one_of({"0", "1"}, BAD_LABEL),
        _one_of({"0", "1", ""}, BAD_LABEL),
    )
)

_soft_label = pa.Column(
    checks=pa.Check(
        lambda values: (
            (values == "") | pd.Series(pd.to_numeric(values, errors="coerce"), values.index).between(0, 1)
        ),
        error=BAD_SHARE,
    ),
    nullable=True,
)

VALIDATION = pa.DataFrameSchema({"id": _id, "comment_text": _text, "lang": _language, _TOXIC: _label})
TEST = pa.DataFrameSchema({"id": _id, "content": _text, "lang": _language, _TOXIC: _label})
"""The test file joined with its labels, without the comments that weren't labelled."""

COMMENTS = pa.DataFrameSchema(
    {
        ID: pa.Column(str),
        TEXT: pa.Column(str, _present(NO_TEXT)),
        LANGUAGE: pa.Column(str, _one_of(KNOWN_LANGUAGES, BAD_LANGUAGE)),
        **dict.fromkeys([SOURCE, ORIGIN, LICENCE], pa.Column(str)),
        **{label: pa.Column("float32", pa.Check.in_range(0, 1), nullable=True) for label in LABEL_COLUMNS},
    },
    strict=True,
    ordered=True,
)
"""The schema of every table of comments; see `toxic_training.data.comments`."""


def find_text(table: pd.DataFrame) -> str:
    """Return the name of the only column that can hold the texts, or raise InvalidDataError."""
    return str(table.columns[text_column(table.columns.astype(str).tolist())])


def find_language(table: pd.DataFrame) -> str | None:
    """Return the name of the column that holds the languages, if there is one."""
    index = language_column(table.columns.astype(str).tolist())
    return None if index is None else str(table.columns[index])


def find_labels(table: pd.DataFrame) -> list[str]:
    """Return the labels that have a column."""
    return [label for label in LABEL_COLUMNS if label in table]


def train(table: pd.DataFrame) -> pa.DataFrameSchema:
    """Return the schema of the train file: the main label is required, others may be missing."""
    labels = dict.fromkeys([_TOXIC, *find_labels(table)], _label)
    return pa.DataFrameSchema({"id": _id, "comment_text": _text, **labels})


def additional(table: pd.DataFrame, *, name: str, soft: bool = False) -> pa.DataFrameSchema:
    """Return the schema of a table of any origin: of those of its columns that are known.

    Labels are 0, 1 or empty; `soft` allows every number between.

    A table without a column of texts, with more than one, or without a label raises InvalidDataError.
    """
    try:
        columns = {find_text(table): _text}
    except InvalidDataError as error:
        raise InvalidDataError(f"The table {name} can't be used: {error}") from error
    labels = find_labels(table)
    if not labels:
        raise InvalidDataError(
            f"The table {name} needs a column of labels ({', '.join(LABEL_COLUMNS)}); it has "
            f"{', '.join(table.columns)}."
        )
    columns |= dict.fromkeys(labels, _soft_label if soft else _optional_label)
    if ID in table:
        columns[ID] = _id
    if (language := find_language(table)) is not None:
        columns[language] = _language
    return pa.DataFrameSchema(columns)


def require_rows(table: pd.DataFrame, *, name: str) -> None:
    """Raise InvalidDataError if the table has no rows."""
    if table.empty and not table.attrs.get(UNREADABLE):
        raise InvalidDataError(f"The table {name} holds no rows. {_HELP}")


def require_columns(table: pd.DataFrame, columns: Iterable[str], *, name: str) -> None:
    """Raise InvalidDataError if a column is missing."""
    if missing := [column for column in columns if column not in table]:
        raise InvalidDataError(
            f"The table {name} has no column {', '.join(missing)}; it has {', '.join(table.columns)}. {_HELP}"
        )


def sort_rows(
    table: pd.DataFrame, schema: pa.DataFrameSchema, *, name: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Separate the rows of a chunk of the raw table `name` that satisfy `schema` from those that don't.

    Labels and languages are words; the index is the row's position in the file.

    Returns:
        The valid rows, and the rejected ones with table, line, id, column and reason. The header is line 1,
        as in a spreadsheet. A row with several faults gets the first.
    """
    rejected = no_rejected_rows()
    try:
        schema.validate(table, lazy=True)
    except SchemaErrors as errors:
        first = errors.failure_cases.drop_duplicates("index").set_index("index").sort_index()
        rejected = pd.DataFrame({"column": first["column"].astype(str), "reason": first["check"].astype(str)})
        rejected.index = rejected.index.astype(int)
        ids = table[ID].reindex(rejected.index).fillna("").astype(str) if ID in table else ""
        rejected = rejected.assign(table=name, line=rejected.index + 2, id=ids)[REJECTED_COLUMNS]
    good = table.drop(index=rejected.index)
    if unreadable := table.attrs.get(UNREADABLE):
        lines = pd.DataFrame(
            [(name, line, "", "", code) for line, code in unreadable], columns=REJECTED_COLUMNS
        )
        rejected = pd.concat([rejected, lines])
    return good, rejected.reset_index(drop=True)


class Rejections:
    """What is rejected of the raw table `name`, by column and reason, with the first line of each."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: Counter[tuple[str, str]] = Counter()
        self._lines: dict[tuple[str, str], int] = {}

    def add(self, rejected: pd.DataFrame) -> None:
        """Count the rows that `sort_rows` rejected of the next chunk."""
        for (column, reason), lines in rejected.groupby(["column", "reason"], sort=False)["line"]:
            fault = (str(column), str(reason))
            self._found[fault] += len(lines)
            self._lines.setdefault(fault, int(lines.min()))

    def check(self, good: int, *, most: float) -> None:
        """Raise InvalidDataError if a share of more than `most` is rejected, beside so many good rows.

        The file itself must be wrong then.
        """
        rejected = self._found.total()
        # A row that can't be read has no column and isn't among the table's rows.
        rows = good + sum(count for (column, _), count in self._found.items() if column)
        if rejected <= most * rows:
            return
        listed = "; ".join(
            f"{count:,} times {reason} in {column}, first on line {self._lines[column, reason]}"
            for (column, reason), count in self._found.items()
        )
        raise InvalidDataError(
            f"{rejected:,} of the {rows:,} rows of the table {self._name} can't be used, more than the "
            f"share of {most:g} that data.max_rejected_fraction allows: {listed}."
            " Check those lines: is it the right file, with its columns in place?"
        )


def no_rejected_rows() -> pd.DataFrame:
    """Return an empty table of rejected rows."""
    return pd.DataFrame(
        {column: pd.Series(dtype=int if column == "line" else str) for column in REJECTED_COLUMNS}
    )
