from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from toxic_core.errors import InvalidDataError
from toxic_training.comments import LABEL_COLUMNS
from toxic_training.parameters import DataParameters
from toxic_training.pipelines.data_processing.nodes import (
    split_comments,
    tidy_test,
    tidy_train,
    tidy_validation,
)

RawTable = Callable[[list[str], list[str]], pd.DataFrame]


def _validation(texts: list[str], toxic: str = "0") -> pd.DataFrame:
    return tidy_validation(
        pd.DataFrame(
            {"id": [str(i) for i in range(len(texts))], "comment_text": texts, "lang": "es", "toxic": toxic}
        )
    )


def _test(texts: list[str]) -> pd.DataFrame:
    ids = [str(i) for i in range(len(texts))]
    return tidy_test(
        pd.DataFrame({"id": ids, "content": texts, "lang": "tr"}), pd.DataFrame({"id": ids, "toxic": "1"})
    )


def test_tidy_train_normalises_text_and_keeps_every_label(
    raw_train: RawTable, data_parameters: DataParameters
) -> None:
    """Texts are cleaned as serving cleans them, and labels become numbers."""
    tidied = tidy_train(raw_train(["  two\n\nlines ", "null"], ["0", "1"]), data_parameters)
    assert tidied["text"].tolist() == ["two lines", "null"]
    assert tidied["toxic"].tolist() == [0.0, 1.0]
    assert tidied["language"].tolist() == ["en", "en"]


def test_missing_labels_are_nan_not_zero() -> None:
    """A file that carries only `toxic` says nothing about the other five labels."""
    tidied = _validation(["hola"])
    assert tidied["toxic"].tolist() == [0.0]
    assert tidied[LABEL_COLUMNS[1:]].isna().all(axis=None)


def test_a_missing_column_is_named(raw_train: RawTable, data_parameters: DataParameters) -> None:
    """A table without a column is refused with the column's name and those there are."""
    with pytest.raises(InvalidDataError, match="no column insult; it has id, comment_text"):
        tidy_train(raw_train(["a"], ["0"]).drop(columns="insult"), data_parameters)


def test_an_empty_file_is_refused(raw_train: RawTable, data_parameters: DataParameters) -> None:
    """A table with a header alone is refused."""
    with pytest.raises(InvalidDataError, match="holds no rows"):
        tidy_train(raw_train([], []), data_parameters)


@pytest.mark.parametrize("label", ["2", "", "yes", "0.5"])
def test_a_label_other_than_0_and_1_is_refused(
    raw_train: RawTable, data_parameters: DataParameters, label: str
) -> None:
    """A wrong label is shown, with its column and how many there are."""
    with pytest.raises(InvalidDataError, match="1 values in toxic that are neither 0 nor 1"):
        tidy_train(raw_train(["a", "b"], ["0", label]), data_parameters)


def test_test_comments_without_labels_are_refused() -> None:
    """A test file and a labels file that don't fit are refused rather than joined in part."""
    comments = pd.DataFrame({"id": ["0", "1"], "content": ["a", "b"], "lang": "it"})
    with pytest.raises(InvalidDataError, match="every id of the one"):
        tidy_test(comments, pd.DataFrame({"id": ["0"], "toxic": ["1"]}))


def test_unscored_test_comments_are_left_out() -> None:
    """Jigsaw marks test comments that nobody labelled with -1; they measure nothing."""
    comments = pd.DataFrame({"id": ["0", "1"], "content": ["a", "b"], "lang": "it"})
    tidied = tidy_test(comments, pd.DataFrame({"id": ["0", "1"], "toxic": ["-1", "1"]}))
    assert tidied["id"].tolist() == ["1"]


def test_nothing_is_measured_on_a_text_that_was_trained_on(
    raw_train: RawTable, data_parameters: DataParameters
) -> None:
    """A text that stands in several files stays in the test set, or else in validation."""
    train = tidy_train(
        raw_train(["in  test", "in validation", "own", "own"], ["0", "1", "1", "1"]), data_parameters
    )
    training, validation, test, counts = split_comments(
        train=train,
        validation=_validation(["in validation"]),
        test=_test(["in test"]),
        parameters=data_parameters,
    )
    assert test["text"].tolist() == ["in test"]
    texts = training["text"].tolist() + validation["text"].tolist()
    assert sorted(texts) == ["in validation", "own"]
    assert counts["dropped.train.leaked"] == 2
    assert counts["dropped.train.duplicate"] == 1


def test_every_row_is_kept_or_counted_as_dropped(
    raw_train: RawTable, data_parameters: DataParameters
) -> None:
    """Kept and dropped rows add up to the rows that came in."""
    texts = ["", "\u200b", "a", "a", *(f"comment {i}" for i in range(50))]
    train = tidy_train(raw_train(texts, ["0", "1"] * 27), data_parameters)
    *_, counts = split_comments(
        train=train, validation=_validation(["v1", "v2", "a"]), test=_test(["t1"]), parameters=data_parameters
    )
    kept = counts["rows.training"] + counts["rows.validation"] + counts["rows.test"]
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped."))
    assert kept + dropped == len(texts) + 3 + 1
    assert counts["dropped.train.empty"] == 2


def test_where_a_comment_goes_depends_on_its_text_alone(
    raw_train: RawTable, data_parameters: DataParameters
) -> None:
    """More rows, or another order, move no comment from one set to another."""
    texts = [f"comment {i}" for i in range(100)]
    train = tidy_train(raw_train(texts, ["0", "1"] * 50), data_parameters)
    first, *_ = split_comments(
        train=train, validation=_validation(["v"]), test=_test(["t"]), parameters=data_parameters
    )
    second, *_ = split_comments(
        train=train.iloc[::-1], validation=_validation(["v"]), test=_test(["t"]), parameters=data_parameters
    )
    assert set(first["text"]) == set(second["text"])


def test_non_toxic_comments_are_thinned_to_the_wanted_ratio(raw_train: RawTable) -> None:
    """All toxic comments are trained on, and the wanted number of others."""
    parameters = DataParameters(
        train_language="en", holdout_fraction=0, validation_train_fraction=0, non_toxic_per_toxic=1.5
    )
    train = tidy_train(raw_train([f"c{i}" for i in range(100)], ["1"] * 20 + ["0"] * 80), parameters)
    training, *_, counts = split_comments(
        train=train, validation=_validation(["v"]), test=_test(["t"]), parameters=parameters
    )
    assert counts["dropped.train.thinned"] == 50
    assert np.bincount(training["toxic"].astype(int)).tolist() == [30, 20]
