"""From raw tables to clean comments: plain functions on tables."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toxic_core.contract import Bundle
from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_model.scoring import ScoringOptions
from toxic_training.data import schemas
from toxic_training.data.chunks import Chunks, Lazy, chunks_of
from toxic_training.data.comments import LABEL_COLUMNS, LICENCE, Counts, OptionalTables, Tidied, TidiedTable
from toxic_training.data.corrections import (
    FEEDBACK,
    FEEDBACK_TEST,
    FEEDBACK_TRAFFIC,
    CorrectionParameters,
    curate,
)
from toxic_training.data.feedback_source import Correction
from toxic_training.data.mixing import TEST, TRAIN, VALIDATION
from toxic_training.data.parameters import DataParameters, SourceParameters, Use
from toxic_training.data.raw_tables import renamed
from toxic_training.data.splitting import split
from toxic_training.data.tidying import in_chunks, join, label_words, sum_of, tidy
from toxic_training.evaluation.metrics import as_mlflow_metrics

logger = logging.getLogger(__name__)

_TOXIC = LABEL_COLUMNS[0]
_BATCH_TOKENS = 8192


def tidy_train(raw: pd.DataFrame | Chunks, parameters: DataParameters) -> Iterable[Tidied]:
    """Return Jigsaw's train file as comments with all labels."""

    def tidied(chunk: pd.DataFrame) -> Tidied:
        schemas.require_rows(chunk, name=TRAIN)
        chunk = renamed(chunk, parameters.train, name=TRAIN)
        schema = schemas.train(chunk)
        return tidy(chunk, schema, name=TRAIN, source=parameters.train, parameters=parameters)

    return Lazy(partial(in_chunks, tidied, chunks_of(raw), name=TRAIN, parameters=parameters))


def tidy_validation(raw: pd.DataFrame | Chunks, parameters: DataParameters) -> Iterable[Tidied]:
    """Return Jigsaw's validation file as comments; it has only the label `toxic`."""
    source = parameters.validation

    def tidied(chunk: pd.DataFrame) -> Tidied:
        schemas.require_rows(chunk, name=VALIDATION)
        chunk = renamed(chunk, source, name=VALIDATION)
        return tidy(chunk, schemas.VALIDATION, name=VALIDATION, source=source, parameters=parameters)

    return Lazy(partial(in_chunks, tidied, chunks_of(raw), name=VALIDATION, parameters=parameters))


def tidy_test(raw: pd.DataFrame, raw_labels: pd.DataFrame, parameters: DataParameters) -> Iterable[Tidied]:
    """Return Jigsaw's test file joined with its labels, in memory; it has only the label `toxic`.

    Comments with the label -1, which weren't labelled, are counted and left out. A comment without a label,
    or with two, raises InvalidDataError, and so does a file in which no comment is labelled.
    """
    for table, columns, name in ((raw, ["id"], TEST), (raw_labels, ["id", _TOXIC], "test_labels")):
        schemas.require_rows(table, name=name)
        schemas.require_columns(table, columns, name=name)
    joined = raw.merge(raw_labels[["id", _TOXIC]], on="id", how="left")
    if len(joined) != len(raw) or joined[_TOXIC].isna().any():
        raise InvalidDataError(
            "The test file and its labels don't match: every id of the test file must occur exactly once in "
            "the labels."
        )
    # A merge numbers the rows anew and drops what the raw table knows of unreadable ones.
    joined.index, joined.attrs = raw.index, dict(raw.attrs)
    unscored = joined[_TOXIC] == schemas.NOT_SCORED
    if len(joined) and unscored.all():
        raise InvalidDataError(
            "No comment of the test file is labelled: every label in test_labels is -1. Download "
            "test_labels.csv again, or give it labels of 0 and 1."
        )
    source = SourceParameters(use=Use.TEST)

    def tidied(table: pd.DataFrame) -> Tidied:
        found = tidy(table, schemas.TEST, name=TEST, source=source, parameters=parameters)
        counts = {"read.test": len(raw), "dropped.test.unscored": int(unscored.sum())}
        return replace(found, counts=found.counts | counts)

    return Lazy(partial(in_chunks, tidied, (joined[~unscored],), name=TEST, parameters=parameters))


def tidy_additional(tables: OptionalTables, parameters: DataParameters) -> Iterable[Tidied]:
    """Return every additional table that exists as comments, one after another.

    A table has one column of texts and at least one of labels; `id` and `lang` or `language` are optional. An
    empty label is unknown. Rows without any label, and those with a withheld text (null), are counted and
    left out. Raises ConfigurationError if the catalog and the parameters don't name the same tables.
    """
    if tables.keys() != parameters.additional.keys():
        raise ConfigurationError(
            "Each additional table needs an entry in raw_additional (catalog.yml), which has "
            f"{', '.join(sorted(tables)) or 'none'}, and in data.additional (parameters.yml), which has "
            f"{', '.join(sorted(parameters.additional)) or 'none'}."
        )

    def tidied(chunk: pd.DataFrame, name: str, source: SourceParameters) -> Tidied:
        raw = renamed(chunk, source, name=name)
        schema = schemas.additional(raw, name=name, soft=source.soft_labels)
        withheld = raw[schemas.find_text(raw)].isna()
        labels = [label_words(raw[label]) for label in schemas.find_labels(raw)]
        unlabelled = ~withheld & pd.concat([label == "" for label in labels], axis=1).all(axis=1)
        usable = raw[~(withheld | unlabelled)]
        found = tidy(usable, schema, name=name, source=source, parameters=parameters)
        counts = {
            f"read.{name}": float(len(raw)),
            f"dropped.{name}.withheld": float(withheld.sum()),
            f"dropped.{name}.unlabelled": float(unlabelled.sum()),
        }
        return replace(found, counts=found.counts | counts)

    def parts() -> Iterator[Tidied]:
        for name, source in parameters.additional.items():
            if (table := tables[name]) is None:
                logger.info("No file for the optional table %s; training continues without it", name)
                yield replace(join([]), counts={f"read.{name}": 0.0})
            else:
                of_table = partial(tidied, name=name, source=source)
                yield from in_chunks(of_table, table.chunks, name=name, parameters=parameters)

    return Lazy(parts)


def add_corrections(
    tables: OptionalTables,
    corrections: Iterable[Correction],
    *,
    champion: Callable[[], Bundle | None],
    train: TidiedTable,
    parameters: CorrectionParameters,
) -> tuple[OptionalTables, dict[str, object], list[str]]:
    """Return the additional tables with the corrections, the report on those, and the ids of those used."""

    def score(texts: Sequence[str]) -> NDArray[np.float32] | None:
        # Imported late: TensorFlow takes seconds, and there may be no corrections.
        from toxic_training.scoring.exported import ExportedModel  # noqa: PLC0415
        from toxic_training.scoring.texts import open_scorer  # noqa: PLC0415

        if (bundle := champion()) is None:
            return None
        scored = open_scorer(ExportedModel.of(bundle), ScoringOptions(_BATCH_TOKENS))(texts).scores
        return scored[:, bundle.contract.labels.index(_TOXIC)]

    curated = curate(corrections, parameters, training_rows=train.rows, score=score)
    logger.info("Corrections: %s", curated.report)
    made = {FEEDBACK: curated.table, FEEDBACK_TEST: curated.test, FEEDBACK_TRAFFIC: curated.traffic}
    used = {name: table if len(table.rows) else None for name, table in made.items()}
    return {**tables, **used}, curated.report, curated.ids


def collect_digests(train: str, validation: str, additional: OptionalTables) -> dict[str, str]:
    """Return the SHA-256 digest of every file used for training, by table."""
    existing = {name: table.digest for name, table in additional.items() if table is not None}
    return {TRAIN: train, VALIDATION: validation, **existing}


def report_counts(counts: Counts) -> tuple[Counts, dict[str, dict[str, float]]]:
    """Return every count, for an artifact, and the numbers of rows per use, for the run's metrics."""
    return counts, as_mlflow_metrics({f"rows.{use}": counts[f"rows.{use}"] for use in Use})


def count_licences(counts: Counts) -> dict[str, int]:
    """Return the number of training comments by licence, of those that state one."""
    prefix = f"{LICENCE}."
    return {name.removeprefix(prefix): int(n) for name, n in counts.items() if name.startswith(prefix)}


def collect_rejected(
    train: TidiedTable, validation: TidiedTable, test: TidiedTable, additional: TidiedTable
) -> Chunks:
    """Return every rejected row with its table, line, id, column and reason."""
    tables = (train, validation, test, additional)
    if rejected := sum(n for t in tables for name, n in t.counts.items() if name.startswith("rejected.")):
        logger.warning("%d rows violate their tables' schemas; see rejected_comments", rejected)
    return Lazy(lambda: chain([schemas.no_rejected_rows()], *(table.rejected for table in tables)))


def split_comments(
    *,
    train: TidiedTable,
    validation: TidiedTable,
    test: TidiedTable,
    additional: TidiedTable,
    parameters: DataParameters,
    scratch: Path,
) -> tuple[Chunks, Chunks, Chunks, Chunks, Chunks, Counts]:
    """Split the comments into those for training, validation, thresholds, tests, and the reference alone.

    A text that occurs twice stays once: in the test set first, then in validation, then in training, so that
    no model is measured on a text that it was trained on. Rows that an epoch contains more than once are
    repeated at the end of the training comments.

    Returns:
        The five sets, which are in the folder `scratch` until they are saved, and the count of every row kept
        or dropped, by reason.
    """
    tables = (test, validation, train, additional)
    sets, counts = split(chain.from_iterable(table.comments for table in tables), parameters, folder=scratch)
    counts = sum_of(table.counts for table in tables) | counts
    of_training, of_validation, of_thresholds, of_test, of_traffic = (sets[use] for use in Use)
    return of_training, of_validation, of_thresholds, of_test, of_traffic, counts
