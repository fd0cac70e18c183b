"""Tables of comments, by the one rule that everything follows which reads them."""

from toxic_core.tables.columns import (
    LANGUAGE_COLUMNS,
    TEXT_COLUMNS,
    language_code,
    language_column,
    text_column,
)

__all__ = ["LANGUAGE_COLUMNS", "TEXT_COLUMNS", "language_code", "language_column", "text_column"]
