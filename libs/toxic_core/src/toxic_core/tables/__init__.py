"""Tables of comments, by the one reader and the one rule that everything follows which reads them."""

from toxic_core.tables.columns import (
    LANGUAGE_COLUMNS,
    TEXT_COLUMNS,
    language_code,
    language_column,
    renamed,
    text_column,
)
from toxic_core.tables.encodings import encoding_named, is_bytewise
from toxic_core.tables.reading import NO_OPTIONS, Table, TableOptions, open_lines, open_table
from toxic_core.tables.rows import InvalidTableError, Row, RowProblem, cell_text

__all__ = [
    "LANGUAGE_COLUMNS",
    "NO_OPTIONS",
    "TEXT_COLUMNS",
    "InvalidTableError",
    "Row",
    "RowProblem",
    "Table",
    "TableOptions",
    "cell_text",
    "encoding_named",
    "is_bytewise",
    "language_code",
    "language_column",
    "open_lines",
    "open_table",
    "renamed",
    "text_column",
]
