"""From raw tables to clean comments: plain functions on tables."""

import hashlib

import numpy as np
import pandas as pd

from toxic_core.errors import InvalidDataError
from toxic_core.text import normalise
from toxic_training.comments import COLUMNS, ID, LABEL_COLUMNS, LANGUAGE, SOURCE, TEXT, label_counts
from toxic_training.parameters import DataParameters

TOXIC = LABEL_COLUMNS[0]
_TRAIN_COLUMNS = ["id", "comment_text", *LABEL_COLUMNS]
_VALIDATION_COLUMNS = ["id", "comment_text", "lang", TOXIC]
_TEST_COLUMNS = ["id", "content", "lang"]
_TEST_LABEL_COLUMNS = ["id", TOXIC]
_NOT_SCORED = "-1"
"""What Jigsaw's test labels hold where a comment wasn't labelled."""


def tidy_train(raw: pd.DataFrame, parameters: DataParameters) -> pd.DataFrame:
    """Return Jigsaw's train file as comments with six labels."""
    _require_columns(raw, _TRAIN_COLUMNS, table="the train file")
    labels = {label: _parse_label(raw[label], table="the train file") for label in LABEL_COLUMNS}
    language = pd.Series(parameters.train_language, index=raw.index)
    return _comments(raw["id"], raw["comment_text"], language, labels, source="train")


def tidy_validation(raw: pd.DataFrame) -> pd.DataFrame:
    """Return Jigsaw's validation file as comments; only `toxic` is labelled there."""
    _require_columns(raw, _VALIDATION_COLUMNS, table="the validation file")
    labels = {TOXIC: _parse_label(raw[TOXIC], table="the validation file")}
    return _comments(raw["id"], raw["comment_text"], raw["lang"], labels, source="validation")


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
    return _comments(scored["id"], scored["content"], scored["lang"], labels, source="test")


def split_comments(
    *, train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame, parameters: DataParameters
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, float]]:
    """Separate what is trained on, what is validated on and what is tested on.

    A text that occurs twice stays once, in the test set first, then in validation, then in training, so that
    nothing is measured on a text that was trained on. Where a comment goes depends on its text alone.

    Returns:
        Training, validation and test comments, and the count of every row kept or dropped, by reason.
    """
    counts: dict[str, float] = {}
    test = _drop_unusable(test, seen=set(), counts=counts, table="test")
    seen = set(test[TEXT])
    validation = _drop_unusable(validation, seen=seen, counts=counts, table="validation")
    seen |= set(validation[TEXT])
    train = _drop_unusable(train, seen=seen, counts=counts, table="train")

    held_out = _fraction(train[TEXT], salt="holdout") < parameters.holdout_fraction
    trained_on = _fraction(validation[TEXT], salt="validation") < parameters.validation_train_fraction
    thinned = _thin_non_toxic(train[~held_out], parameters)
    counts["dropped.train.thinned"] = int((~held_out).sum()) - len(thinned)
    training = pd.concat([thinned, validation[trained_on]])
    measured = pd.concat([train[held_out], validation[~trained_on]])
    for table, comments in (("training", training), ("validation", measured), ("test", test)):
        counts[f"rows.{table}"] = len(comments)
        counts |= {f"rows.{table}.{label}": count for label, count in label_counts(comments).items()}
    return training.reset_index(drop=True), measured.reset_index(drop=True), test, counts


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


def _drop_unusable(
    comments: pd.DataFrame, *, seen: set[str], counts: dict[str, float], table: str
) -> pd.DataFrame:
    empty = comments[TEXT] == ""
    duplicate = ~empty & comments[TEXT].duplicated()
    leaked = ~empty & ~duplicate & comments[TEXT].isin(seen)
    counts[f"dropped.{table}.empty"] = int(empty.sum())
    counts[f"dropped.{table}.duplicate"] = int(duplicate.sum())
    counts[f"dropped.{table}.leaked"] = int(leaked.sum())
    return comments[~(empty | duplicate | leaked)].reset_index(drop=True)


def _thin_non_toxic(train: pd.DataFrame, parameters: DataParameters) -> pd.DataFrame:
    toxic = train[LABEL_COLUMNS].max(axis=1) > 0
    wanted = int(toxic.sum() * parameters.non_toxic_per_toxic)
    rank = _fraction(train[TEXT], salt="thinning").where(~toxic).rank(method="first")
    return train[toxic | (rank <= wanted)]


def _fraction(texts: pd.Series, *, salt: str) -> pd.Series:
    """Return a number in [0, 1) that depends on the text and `salt` alone, as good as random."""
    return texts.map(lambda text: _hash(f"{salt}\n{text}") / 2**64).astype(float)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
