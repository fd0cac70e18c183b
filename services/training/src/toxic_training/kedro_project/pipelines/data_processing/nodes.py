"""From raw tables to clean comments: plain functions on tables."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toxic_core.contract import Bundle
from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_model.scoring import ScoringOptions
from toxic_training.data import schemas
from toxic_training.data.comments import LABEL_COLUMNS, LICENCE, SOURCE, Counts, OptionalTables, Tidied
from toxic_training.data.corrections import FEEDBACK, FEEDBACK_TEST, CorrectionParameters, curate
from toxic_training.data.feedback_source import Correction
from toxic_training.data.mixing import TEST, TRAIN, VALIDATION, divide, keep_first_of_each_text, tempered
from toxic_training.data.parameters import DataParameters, SourceParameters, Use
from toxic_training.data.raw_tables import renamed
from toxic_training.data.tidying import join, label_words, tidy
from toxic_training.evaluation.metrics import as_mlflow_metrics

logger = logging.getLogger(__name__)

_TOXIC = LABEL_COLUMNS[0]
_BATCH_TOKENS = 8192

_PRECEDENCE = {Use.TEST: 0, Use.VALIDATION: 1, Use.THRESHOLDS: 1, Use.TRAINING: 2}


def tidy_train(raw: pd.DataFrame, parameters: DataParameters) -> Tidied:
    """Return Jigsaw's train file as comments with all labels."""
    schemas.require_rows(raw, name=TRAIN)
    raw = renamed(raw, parameters.train, name=TRAIN)
    return tidy(raw, schemas.train(raw), name=TRAIN, source=parameters.train, parameters=parameters)


def tidy_validation(raw: pd.DataFrame, parameters: DataParameters) -> Tidied:
    """Return Jigsaw's validation file as comments; it has only the label `toxic`."""
    schemas.require_rows(raw, name=VALIDATION)
    raw = renamed(raw, parameters.validation, name=VALIDATION)
    return tidy(raw, schemas.VALIDATION, name=VALIDATION, source=parameters.validation, parameters=parameters)


def tidy_test(raw: pd.DataFrame, raw_labels: pd.DataFrame, parameters: DataParameters) -> Tidied:
    """Return Jigsaw's test file joined with its labels; it has only the label `toxic`.

    Comments with the label -1, which weren't labelled, are counted and left out. A comment without a label,
    or with two, raises InvalidDataError.
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
    unscored = joined[_TOXIC] == schemas.NOT_SCORED
    source = SourceParameters(use=Use.TEST)
    tidied = tidy(joined[~unscored], schemas.TEST, name=TEST, source=source, parameters=parameters)
    return replace(
        tidied, counts=tidied.counts | {"read.test": len(raw), "dropped.test.unscored": int(unscored.sum())}
    )


def tidy_additional(tables: OptionalTables, parameters: DataParameters) -> Tidied:
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
    parts, counts = [], Counts()
    for name in parameters.additional:
        table = tables[name]
        if table is None:
            logger.info("No file for the optional table %s; training continues without it", name)
            counts[f"read.{name}"] = 0.0
            continue
        source = parameters.additional[name]
        raw = renamed(table.rows, source, name=name)
        schema = schemas.additional(raw, name=name, soft=source.soft_labels)
        withheld = raw[schemas.find_text(raw)].isna()
        labels = [label_words(raw[label]) for label in schemas.find_labels(raw)]
        unlabelled = ~withheld & pd.concat([label == "" for label in labels], axis=1).all(axis=1)
        usable = raw[~(withheld | unlabelled)]
        parts.append(tidy(usable, schema, name=name, source=source, parameters=parameters))
        counts |= parts[-1].counts | {
            f"read.{name}": float(len(raw)),
            f"dropped.{name}.withheld": float(withheld.sum()),
            f"dropped.{name}.unlabelled": float(unlabelled.sum()),
        }
    return replace(join(parts), counts=counts)


def add_corrections(
    tables: OptionalTables,
    corrections: Iterable[Correction],
    *,
    champion: Callable[[], Bundle | None],
    train: Tidied,
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

    curated = curate(corrections, parameters, training_rows=len(train.comments), score=score)
    logger.info("Corrections: %s", curated.report)
    made = {FEEDBACK: curated.table, FEEDBACK_TEST: curated.test}
    used = {name: table if len(table.rows) else None for name, table in made.items()}
    return {**tables, **used}, curated.report, curated.ids


def collect_digests(train: str, validation: str, additional: OptionalTables) -> dict[str, str]:
    """Return the SHA-256 digest of every file used for training, by table."""
    existing = {name: table.digest for name, table in additional.items() if table is not None}
    return {TRAIN: train, VALIDATION: validation, **existing}


def report_counts(counts: Counts) -> tuple[Counts, dict[str, dict[str, float]]]:
    """Return every count, for an artifact, and the numbers of rows per use, for the run's metrics."""
    return counts, as_mlflow_metrics({f"rows.{use}": counts[f"rows.{use}"] for use in Use})


def count_licences(training: pd.DataFrame) -> dict[str, int]:
    """Return the number of training comments by licence, of those that state one."""
    stated = training[LICENCE][training[LICENCE] != ""]
    return {str(licence): int(rows) for licence, rows in stated.value_counts().items()}


def collect_rejected(train: Tidied, validation: Tidied, test: Tidied, additional: Tidied) -> pd.DataFrame:
    """Return every rejected row with its table, line, id, column and reason."""
    rejected = join([train, validation, test, additional]).rejected
    if len(rejected):
        logger.warning("%d rows violate their tables' schemas; see rejected_comments", len(rejected))
    return rejected


def split_comments(
    *, train: Tidied, validation: Tidied, test: Tidied, additional: Tidied, parameters: DataParameters
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, Counts]:
    """Split the comments into those for training, validation, thresholds and tests.

    A text that occurs twice stays once: in the test set first, then in validation, then in training, so that
    no model is measured on a text that it was trained on. Rows that an epoch contains more than once are
    repeated at the end of the training comments.

    Returns:
        The four sets, and the count of every row kept or dropped, by reason.
    """
    tidied = join([test, validation, train, additional])
    uses = {TEST: Use.TEST, VALIDATION: Use.VALIDATION}
    uses |= {name: source.use for name, source in parameters.additional.items()}
    order = tidied.comments[SOURCE].map(lambda name: _PRECEDENCE[uses.get(name, Use.TRAINING)])
    comments, dropped = keep_first_of_each_text(
        tidied.comments.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    )
    counts = tidied.counts | dropped
    sets: dict[Use, list[pd.DataFrame]] = {use: [] for use in Use}
    sets[Use.TEST].append(comments[comments[SOURCE] == TEST])
    for name, source in parameters.sources.items():
        rows = comments[comments[SOURCE] == name]
        if source.use is not Use.TRAINING:
            sets[source.use].append(rows)
            continue
        trained_on, held_out, thinned = divide(rows, source, source=name)
        sets[Use.TRAINING].append(trained_on)
        sets[Use.VALIDATION].append(held_out)
        counts |= thinned
    tables = {use: pd.concat([comments.iloc[:0], *parts], ignore_index=True) for use, parts in sets.items()}
    counts["rows.before_temperature"] = len(tables[Use.TRAINING])
    training = tempered(tables[Use.TRAINING], parameters.temperature)
    repeated = []
    for name, source in parameters.sources.items():
        rows = training[training[SOURCE] == name]
        repeated += [rows] * (source.repeat - 1)
        counts[f"repeated.{name}"] = len(rows) * (source.repeat - 1)
    tables[Use.TRAINING] = pd.concat([training, *repeated], ignore_index=True)
    for use, table in tables.items():
        counts[f"rows.{use}"] = len(table)
        counts |= {f"rows.{use}.{label}": int((table[label] == 1).sum()) for label in LABEL_COLUMNS}
    return tables[Use.TRAINING], tables[Use.VALIDATION], tables[Use.THRESHOLDS], tables[Use.TEST], counts
