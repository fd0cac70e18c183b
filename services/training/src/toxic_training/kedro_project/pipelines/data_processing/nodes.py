"""From raw tables to clean comments: plain functions on tables."""

import logging
from dataclasses import replace

import pandas as pd

from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_training.data import schemas
from toxic_training.data.comments import LABEL_COLUMNS, SOURCE, label_counts
from toxic_training.data.mixing import TEST, TRAIN, VALIDATION, divide, keep_first_of_each_text
from toxic_training.data.parameters import DataParameters, SourceParameters
from toxic_training.data.tables import Counts, OptionalTables, Tidied
from toxic_training.data.tidying import join, label_words, tidy

logger = logging.getLogger(__name__)

_TOXIC = LABEL_COLUMNS[0]


def tidy_train(raw: pd.DataFrame, parameters: DataParameters) -> Tidied:
    """Return Jigsaw's train file as comments with six labels."""
    schemas.require_rows(raw, name=TRAIN)
    return tidy(raw, schemas.TRAIN, name=TRAIN, source=parameters.train, parameters=parameters)


def tidy_validation(raw: pd.DataFrame, parameters: DataParameters) -> Tidied:
    """Return Jigsaw's validation file as comments; only `toxic` is labelled there."""
    schemas.require_rows(raw, name=VALIDATION)
    return tidy(raw, schemas.VALIDATION, name=VALIDATION, source=parameters.validation, parameters=parameters)


def tidy_test(raw: pd.DataFrame, raw_labels: pd.DataFrame, parameters: DataParameters) -> Tidied:
    """Return Jigsaw's test file joined with its labels; only `toxic` is labelled there.

    Comments that Jigsaw marks with -1, which nobody labelled, are counted and left out.

    Raises:
        InvalidDataError: a comment has no label, or two; or a file is empty or lacks a column.
    """
    schemas.require_rows(raw, name=TEST)
    schemas.require_rows(raw_labels, name="test_labels")
    schemas.require_columns(raw, ["id"], name=TEST)
    schemas.require_columns(raw_labels, ["id", _TOXIC], name="test_labels")
    joined = raw.merge(raw_labels[["id", _TOXIC]], on="id", how="left")
    if len(joined) != len(raw) or joined[_TOXIC].isna().any():
        raise InvalidDataError(
            "The test file and its labels don't fit: every id of the one must stand once in the other."
        )
    unscored = joined[_TOXIC] == schemas.NOT_SCORED
    tidied = tidy(
        joined[~unscored], schemas.TEST, name=TEST, source=SourceParameters(), parameters=parameters
    )
    return replace(
        tidied, counts=tidied.counts | {"read.test": len(raw), "dropped.test.unscored": int(unscored.sum())}
    )


def tidy_additional(tables: OptionalTables, parameters: DataParameters) -> Tidied:
    """Return every additional table that is there as comments, one after another.

    A table has a column of texts (`comment_text`, `content` or `text`) and at least one label's; it may have
    `id` and `lang` or `language`. An empty label is one that nobody judged. Rows without a single label, and
    those whose text was withheld (it is null), are counted and left out.

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
    there = {name: table for name, table in tables.items() if table is not None}
    absent = {f"read.{name}": 0.0 for name in tables if name not in there}
    for name in tables.keys() - there.keys():
        logger.info("No file for the optional table %s; training goes on without it", name)
    tidied = join(
        [_tidy_one(there[name].rows, name, parameters) for name in parameters.additional if name in there]
    )
    return replace(tidied, counts=absent | tidied.counts)


def collect_digests(train: str, validation: str, additional: OptionalTables) -> dict[str, str]:
    """Return the SHA-256 of every file that is trained on, by table."""
    there = {name: table.digest for name, table in additional.items() if table is not None}
    return {TRAIN: train, VALIDATION: validation, **there}


def collect_rejected(train: Tidied, validation: Tidied, test: Tidied, additional: Tidied) -> pd.DataFrame:
    """Return every rejected row with its table, line, id, column and reason."""
    rejected = join([train, validation, test, additional]).rejected
    if len(rejected):
        logger.warning("%d rows break their tables' schemas; rejected_comments lists them", len(rejected))
    return rejected


def split_comments(
    *, train: Tidied, validation: Tidied, test: Tidied, additional: Tidied, parameters: DataParameters
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Counts]:
    """Separate what is trained on, what is validated on and what is tested on.

    A text that occurs twice stays once, in the test set first, then in validation, then in training, so that
    nothing is measured on a text that was trained on. Where a comment goes depends on its text alone.

    Returns:
        Training, validation and test comments, and the count of every row kept or dropped, by reason. Rows
        that a pass shows more than once are repeated at the end of the training comments.
    """
    tidied = join([test, validation, train, additional])
    comments, dropped = keep_first_of_each_text(tidied.comments)
    counts = tidied.counts | dropped
    sources = {TRAIN: parameters.train, VALIDATION: parameters.validation, **parameters.additional}
    training, measured, repeated = [], [], []
    for name, source in sources.items():
        trained_on, held_out, thinned = divide(comments[comments[SOURCE] == name], source, source=name)
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


def _tidy_one(raw: pd.DataFrame, name: str, parameters: DataParameters) -> Tidied:
    schema = schemas.additional(raw, name=name)
    withheld = raw[schemas.find_text(raw)].isna()
    labels = [label_words(raw[label]) for label in LABEL_COLUMNS if label in raw]
    unlabelled = ~withheld & pd.concat([label == "" for label in labels], axis=1).all(axis=1)
    tidied = tidy(
        raw[~(withheld | unlabelled)],
        schema,
        name=name,
        source=parameters.additional[name],
        parameters=parameters,
    )
    counts = {
        f"read.{name}": float(len(raw)),
        f"dropped.{name}.withheld": float(withheld.sum()),
        f"dropped.{name}.unlabelled": float(unlabelled.sum()),
    }
    return replace(tidied, counts=tidied.counts | counts)
