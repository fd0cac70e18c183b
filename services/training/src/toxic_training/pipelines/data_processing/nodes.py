"""From raw tables to clean comments: plain functions on tables."""

import logging

import numpy as np
import pandas as pd

from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_core.text import normalise
from toxic_training.comments import (
    COLUMNS,
    ID,
    LABEL_COLUMNS,
    LANGUAGE,
    SOURCE,
    TEXT,
    UNDETERMINED,
    label_counts,
)
from toxic_training.mixing import TEST, TRAIN, VALIDATION, Counts, divide, keep_first_of_each_text
from toxic_training.parameters import DataParameters, SourceParameters
from toxic_training.tables import OptionalTables

logger = logging.getLogger(__name__)

TOXIC = LABEL_COLUMNS[0]
_TRAIN_COLUMNS = ["id", "comment_text", *LABEL_COLUMNS]
_VALIDATION_COLUMNS = ["id", "comment_text", "lang", TOXIC]
_TEST_COLUMNS = ["id", "content", "lang"]
_TEST_LABEL_COLUMNS = ["id", TOXIC]
_TEXT_COLUMNS = ["comment_text", "content", "text"]
_LANGUAGE_COLUMNS = ["lang", "language"]
_NOT_SCORED = "-1"
"""What Jigsaw's test labels hold where a comment wasn't labelled."""


def tidy_train(raw: pd.DataFrame, parameters: DataParameters) -> pd.DataFrame:
    """Return Jigsaw's train file as comments with six labels."""
    _require_columns(raw, _TRAIN_COLUMNS, table="the train file")
    labels = {label: _parse_label(raw[label], table="the train file") for label in LABEL_COLUMNS}
    language = _language_of(raw, parameters.train)
    return _comments(raw["id"], raw["comment_text"], language, labels, source=TRAIN)


def tidy_validation(raw: pd.DataFrame, parameters: DataParameters) -> pd.DataFrame:
    """Return Jigsaw's validation file as comments; only `toxic` is labelled there."""
    _require_columns(raw, _VALIDATION_COLUMNS, table="the validation file")
    labels = {TOXIC: _parse_label(raw[TOXIC], table="the validation file")}
    language = _language_of(raw, parameters.validation)
    return _comments(raw["id"], raw["comment_text"], language, labels, source=VALIDATION)


def tidy_test(raw: pd.DataFrame, raw_labels: pd.DataFrame) -> pd.DataFrame:
    """Return Jigsaw's test file joined with its labels; only `toxic` is labelled there.

    Raises:
        InvalidDataError: a comment has no label, or two.
    """
    _require_columns(raw, _TEST_COLUMNS, table="the test file")
    _require_columns(raw_labels, _TEST_LABEL_COLUMNS, table="the test labels file")
    joined = raw.merge(raw_labels[_TEST_LABEL_COLUMNS], on="id", how="left")
    if len(joined) != len(raw) or joined[TOXIC].isna().any():
        raise InvalidDataError(
            "The test file and its labels don't fit: every id of the one must stand once in the other."
        )
    scored = joined[joined[TOXIC] != _NOT_SCORED]
    labels = {TOXIC: _parse_label(scored[TOXIC], table="the test labels file")}
    return _comments(scored["id"], scored["content"], scored["lang"], labels, source=TEST)


def tidy_additional(tables: OptionalTables, parameters: DataParameters) -> tuple[pd.DataFrame, Counts]:
    """Return every additional table that is there as comments, one after another.

    A table has a column of texts (`comment_text`, `content` or `text`) and at least one label's; it may have
    `id` and `lang` or `language`. An empty label is one that nobody judged.

    Returns:
        The comments, and how many rows each table has; 0 where its file isn't there.

    Raises:
        ConfigurationError: the catalog and the parameters don't name the same tables.
        InvalidDataError: a table that is there can't be used.
    """
    if tables.keys() != parameters.additional.keys():
        raise ConfigurationError(
            "Each additional table needs an entry in raw_additional (catalog.yml), which has "
            f"{', '.join(sorted(tables)) or 'none'}, and in data.additional (parameters.yml), which has "
            f"{', '.join(sorted(parameters.additional)) or 'none'}."
        )
    counts: Counts = {}
    comments = [_empty_comments()]
    for name, source in parameters.additional.items():
        table = tables[name]
        counts[f"read.{name}"] = 0 if table is None else len(table.rows)
        if table is None:
            logger.info("No file for the optional table %s; training goes on without it", name)
        else:
            comments.append(_tidy_one(table.rows, source, name=name))
    return pd.concat(comments, ignore_index=True), counts


def collect_digests(train: str, validation: str, additional: OptionalTables) -> dict[str, str]:
    """Return the SHA-256 of every file that is trained on, by table."""
    there = {name: table.digest for name, table in additional.items() if table is not None}
    return {TRAIN: train, VALIDATION: validation, **there}


def split_comments(
    *,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    additional: pd.DataFrame,
    additional_counts: Counts,
    parameters: DataParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Counts]:
    """Separate what is trained on, what is validated on and what is tested on.

    A text that occurs twice stays once, in the test set first, then in validation, then in training, so that
    nothing is measured on a text that was trained on. Where a comment goes depends on its text alone.

    Returns:
        Training, validation and test comments, and the count of every row kept or dropped, by reason. Rows
        that a pass shows more than once are repeated at the end of the training comments.
    """
    comments, counts = keep_first_of_each_text([test, validation, train, additional])
    counts |= additional_counts
    sources = {TRAIN: parameters.train, VALIDATION: parameters.validation, **parameters.additional}
    training, measured, repeated = [], [], []
    for name, source in sources.items():
        own = comments[comments[SOURCE] == name]
        trained_on, held_out, thinned = divide(own, source, source=name)
        training.append(trained_on)
        measured.append(held_out)
        repeated += [trained_on] * (source.repeat - 1)
        counts |= thinned | {f"repeated.{name}": len(trained_on) * (source.repeat - 1)}
    tables = {
        "training": pd.concat([*training, *repeated], ignore_index=True),
        "validation": pd.concat(measured, ignore_index=True),
        "test": comments[comments[SOURCE] == TEST].reset_index(drop=True),
    }
    for name, table in tables.items():
        counts[f"rows.{name}"] = len(table)
        counts |= {f"rows.{name}.{label}": count for label, count in label_counts(table).items()}
    return tables["training"], tables["validation"], tables["test"], counts


def _tidy_one(raw: pd.DataFrame, source: SourceParameters, *, name: str) -> pd.DataFrame:
    title = f"the table {name}"
    text = next((column for column in _TEXT_COLUMNS if column in raw), None)
    labelled = [label for label in LABEL_COLUMNS if label in raw]
    if text is None or not labelled:
        raise InvalidDataError(
            f"{title.capitalize()} needs a column of texts ({', '.join(_TEXT_COLUMNS)}) and one of labels "
            f"({', '.join(LABEL_COLUMNS)}); it has {', '.join(raw.columns)}."
        )
    labels = {label: _parse_optional_label(raw[label], table=title) for label in labelled}
    ids = raw["id"] if "id" in raw else name + "-" + pd.Series(range(len(raw)), index=raw.index).astype(str)
    return _comments(ids, raw[text], _language_of(raw, source), labels, source=name)


def _language_of(raw: pd.DataFrame, source: SourceParameters) -> pd.Series:
    """Return the language that is configured, or else the one each row states."""
    stated = next((column for column in _LANGUAGE_COLUMNS if column in raw), None)
    if source.language is not None or stated is None:
        return pd.Series(source.language or UNDETERMINED, index=raw.index)
    return raw[stated]


def _empty_comments() -> pd.DataFrame:
    none = pd.Series([], dtype=str)
    return _comments(none, none, none, {}, source="")


def _comments(
    ids: pd.Series, texts: pd.Series, languages: pd.Series, labels: dict[str, pd.Series], *, source: str
) -> pd.DataFrame:
    table = pd.DataFrame({ID: ids.astype(str), TEXT: texts.map(normalise), LANGUAGE: languages})
    table[SOURCE] = source
    for label in LABEL_COLUMNS:
        table[label] = labels.get(label, np.nan)
    return table[COLUMNS].astype(dict.fromkeys(LABEL_COLUMNS, np.float32)).reset_index(drop=True)


def _require_columns(raw: pd.DataFrame, columns: list[str], *, table: str) -> None:
    if missing := [column for column in columns if column not in raw.columns]:
        raise InvalidDataError(
            f"{table.capitalize()} has no column {', '.join(missing)}; it has {', '.join(raw.columns)}."
        )
    if raw.empty:
        raise InvalidDataError(f"{table.capitalize()} holds no rows.")


def _parse_label(column: pd.Series, *, table: str) -> pd.Series:
    wrong = ~column.isin(["0", "1"])
    if wrong.any():
        values = ", ".join(sorted({repr(value) for value in column[wrong]})[:5])
        raise InvalidDataError(
            f"{table.capitalize()} has {int(wrong.sum())} values in {column.name} that are neither 0 nor 1: "
            f"{values}."
        )
    return column.astype(np.float32)


def _parse_optional_label(column: pd.Series, *, table: str) -> pd.Series:
    """Read labels as CSV, Parquet and databases hold them: `0`, 0.0, False; nothing where nobody judged."""
    words = column.map(_label_word)
    judged = words != ""
    return _parse_label(words[judged], table=table).reindex(column.index)


def _label_word(value: object) -> str:
    if value is None or value is pd.NA or value != value:  # noqa: PLR0124 - NaN
        return ""
    return str(int(value)) if isinstance(value, bool | int | float | np.generic) else str(value)
