from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_training.comments import LABEL_COLUMNS
from toxic_training.parameters import DataParameters, SourceParameters
from toxic_training.pipelines.data_processing.nodes import (
    collect_digests,
    split_comments,
    tidy_additional,
    tidy_test,
    tidy_train,
    tidy_validation,
)
from toxic_training.tables import OptionalTables, RawTable

MakeTable = Callable[[list[str], list[str]], pd.DataFrame]
Split = Callable[..., tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, float]]]

ALL_OF_IT = DataParameters(train=SourceParameters(language="en"), validation=SourceParameters())


HELD_OUT = [
    *("comment 4", "comment 5", "comment 9", "comment 21"),
    *("commento 2", "commento 3", "commento 5", "commento 8"),
]
"""Of 40 and 10 numbered comments, a tenth and a half, since the first release."""


def _validation(texts: list[str], toxic: str = "0") -> pd.DataFrame:
    ids = [str(i) for i in range(len(texts))]
    table = pd.DataFrame({"id": ids, "comment_text": texts, "lang": "es", "toxic": toxic})
    return tidy_validation(table, ALL_OF_IT)


def _test(texts: list[str]) -> pd.DataFrame:
    ids = [str(i) for i in range(len(texts))]
    return tidy_test(
        pd.DataFrame({"id": ids, "content": texts, "lang": "tr"}), pd.DataFrame({"id": ids, "toxic": "1"})
    )


def test_tidy_train_normalises_text_and_keeps_every_label(
    raw_train: MakeTable, data_parameters: DataParameters
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


def test_a_missing_column_is_named(raw_train: MakeTable, data_parameters: DataParameters) -> None:
    """A table without a column is refused with the column's name and those there are."""
    with pytest.raises(InvalidDataError, match="no column insult; it has id, comment_text"):
        tidy_train(raw_train(["a"], ["0"]).drop(columns="insult"), data_parameters)


def test_an_empty_file_is_refused(raw_train: MakeTable, data_parameters: DataParameters) -> None:
    """A table with a header alone is refused."""
    with pytest.raises(InvalidDataError, match="holds no rows"):
        tidy_train(raw_train([], []), data_parameters)


@pytest.mark.parametrize("label", ["2", "", "yes", "0.5"])
def test_a_label_other_than_0_and_1_is_refused(
    raw_train: MakeTable, data_parameters: DataParameters, label: str
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


@pytest.fixture
def split(data_parameters: DataParameters) -> Split:
    """Split tables, of which those that a test doesn't name hold one comment or none."""

    def run(
        train: pd.DataFrame,
        *,
        validation: pd.DataFrame | None = None,
        test: pd.DataFrame | None = None,
        tables: OptionalTables | None = None,
        parameters: DataParameters = data_parameters,
    ) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, float]]:
        additional, counts = tidy_additional(tables or {}, parameters)
        return split_comments(
            train=train,
            validation=_validation(["in validation alone"]) if validation is None else validation,
            test=_test(["in test alone"]) if test is None else test,
            additional=additional,
            additional_counts=counts,
            parameters=parameters,
        )

    return run


def _table(**columns: object) -> RawTable:
    return RawTable(pd.DataFrame(columns), digest="0" * 64)


def test_nothing_is_measured_on_a_text_that_was_trained_on(
    raw_train: MakeTable, split: Split, data_parameters: DataParameters
) -> None:
    """A text that stands in several files stays in the test set, or else in validation."""
    train = tidy_train(
        raw_train(["in  test", "in validation", "own", "own"], ["0", "1", "1", "1"]), data_parameters
    )
    training, validation, test, counts = split(
        train, validation=_validation(["in validation"]), test=_test(["in test"])
    )
    assert test["text"].tolist() == ["in test"]
    texts = training["text"].tolist() + validation["text"].tolist()
    assert sorted(texts) == ["in validation", "own"]
    assert counts["dropped.train.leaked"] == 2
    assert counts["dropped.train.duplicate"] == 1


def test_every_row_is_kept_or_counted_as_dropped(
    raw_train: MakeTable, split: Split, data_parameters: DataParameters
) -> None:
    """Kept and dropped rows add up to the rows that came in."""
    texts = ["", "\u200b", "a", "a", *(f"comment {i}" for i in range(50))]
    train = tidy_train(raw_train(texts, ["0", "1"] * 27), data_parameters)
    *_, counts = split(train, validation=_validation(["v1", "v2", "a"]), test=_test(["t1"]))
    kept = counts["rows.training"] + counts["rows.validation"] + counts["rows.test"]
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped."))
    assert kept + dropped == len(texts) + 3 + 1
    assert counts["dropped.train.empty"] == 2


def test_where_a_comment_goes_depends_on_its_text_alone(
    raw_train: MakeTable, split: Split, data_parameters: DataParameters
) -> None:
    """More rows, or another order, move no comment from one set to another."""
    texts = [f"comment {i}" for i in range(100)]
    train = tidy_train(raw_train(texts, ["0", "1"] * 50), data_parameters)
    first, *_ = split(train)
    second, *_ = split(train.iloc[::-1])
    assert set(first["text"]) == set(second["text"])


def test_the_sets_stay_what_they_were(raw_train: MakeTable, split: Split) -> None:
    """Figures are compared over years: which comments are held out doesn't change with the code."""
    parameters = DataParameters(
        train=SourceParameters(language="en", train_fraction=0.9),
        validation=SourceParameters(train_fraction=0.5),
    )
    train = tidy_train(raw_train([f"comment {i}" for i in range(40)], ["0"] * 40), parameters)
    validation = _validation([f"commento {i}" for i in range(10)])
    _, measured, _, _ = split(train, validation=validation, parameters=parameters)
    assert measured["text"].tolist() == HELD_OUT


def test_non_toxic_comments_are_thinned_to_the_wanted_ratio(raw_train: MakeTable, split: Split) -> None:
    """All toxic comments are trained on, and the wanted number of others."""
    parameters = DataParameters(
        train=SourceParameters(language="en", non_toxic_per_toxic=1.5),
        validation=SourceParameters(train_fraction=0),
    )
    train = tidy_train(raw_train([f"c{i}" for i in range(100)], ["1"] * 20 + ["0"] * 80), parameters)
    training, *_, counts = split(train, parameters=parameters)
    assert counts["dropped.train.thinned"] == 50
    assert np.bincount(training["toxic"].astype(int)).tolist() == [30, 20]


def test_repeated_rows_stand_at_the_end_of_the_training_comments(raw_train: MakeTable, split: Split) -> None:
    """A source that a pass shows three times is there three times, and counted."""
    parameters = DataParameters(train=SourceParameters(language="en"), validation=SourceParameters(repeat=3))
    train = tidy_train(raw_train(["a", "b"], ["0", "1"]), parameters)
    training, *_, counts = split(train, validation=_validation(["v", "w"]), parameters=parameters)
    assert training["text"].tolist() == ["a", "b", "v", "w", "v", "w", "v", "w"]
    assert counts["repeated.validation"] == 4
    assert counts["rows.training"] == 8


def test_an_additional_table_joins_by_configuration_alone(raw_train: MakeTable, split: Split) -> None:
    """Its texts are trained on with the labels and the language it states; the others are unknown."""
    parameters = ALL_OF_IT.model_copy(update={"additional": {"forum": SourceParameters()}})
    table = _table(content=["ciao", "salve"], language=["it", "it"], toxic=["1", ""], insult=[None, "0"])
    train = tidy_train(raw_train(["a"], ["0"]), parameters)
    training, *_ = split(train, tables={"forum": table}, parameters=parameters)
    forum = training[training["source"] == "forum"]
    assert forum["text"].tolist() == ["ciao", "salve"]
    assert forum["language"].tolist() == ["it", "it"]
    assert forum["id"].tolist() == ["forum-0", "forum-1"]
    np.testing.assert_array_equal(forum["toxic"], [1.0, np.nan])
    np.testing.assert_array_equal(forum["insult"], [np.nan, 0.0])
    assert forum["threat"].isna().all()


@pytest.mark.parametrize("label", ["1", 1, 1.0, True, np.int64(1), np.float32(1)])
def test_labels_are_read_however_a_table_holds_them(label: object) -> None:
    """CSV gives words, a database or Parquet numbers or truth values."""
    parameters = ALL_OF_IT.model_copy(update={"additional": {"forum": SourceParameters()}})
    table = _table(text=["a", "b"], toxic=pd.Series([label, None], dtype=object))
    comments, _ = tidy_additional({"forum": table}, parameters)
    np.testing.assert_array_equal(comments["toxic"], [1.0, np.nan])


def test_a_text_of_an_earlier_table_is_not_taken_again(raw_train: MakeTable, split: Split) -> None:
    """Test wins over validation, that over train, and that over additional tables in their order."""
    parameters = ALL_OF_IT.model_copy(
        update={"additional": {"first": SourceParameters(), "second": SourceParameters()}}
    )
    tables = {
        "first": _table(text=["tested", "trained", "new"], toxic=["1", "1", "1"]),
        "second": _table(text=["new", "newer"], toxic=["0", "0"]),
    }
    train = tidy_train(raw_train(["trained"], ["0"]), parameters)
    training, *_, counts = split(train, test=_test(["tested"]), tables=tables, parameters=parameters)
    assert training["text"].tolist() == ["trained", "in validation alone", "new", "newer"]
    assert training["toxic"].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert (counts["dropped.first.leaked"], counts["dropped.second.leaked"]) == (2, 1)


def test_a_table_that_is_not_there_is_counted_and_said(
    raw_train: MakeTable, split: Split, caplog: pytest.LogCaptureFixture
) -> None:
    """An optional table's absence is no error and no secret."""
    parameters = ALL_OF_IT.model_copy(update={"additional": {"forum": SourceParameters()}})
    train = tidy_train(raw_train(["a"], ["0"]), parameters)
    with caplog.at_level("INFO"):
        training, *_, counts = split(train, tables={"forum": None}, parameters=parameters)
    assert counts["read.forum"] == 0
    assert set(training["source"]) == {"train", "validation"}
    assert "No file for the optional table forum" in caplog.text


@pytest.mark.parametrize("tables", [{}, {"forum": None, "chat": None}])
def test_a_table_needs_an_entry_in_catalog_and_parameters(tables: OptionalTables) -> None:
    """A name in one of the two alone is an error that shows both."""
    parameters = ALL_OF_IT.model_copy(update={"additional": {"forum": SourceParameters()}})
    with pytest.raises(ConfigurationError, match=r"data.additional \(parameters.yml\), which has forum"):
        tidy_additional(tables, parameters)


def test_an_additional_table_needs_texts_and_labels() -> None:
    """What could be there, and what is, stands in the error."""
    parameters = ALL_OF_IT.model_copy(update={"additional": {"forum": SourceParameters()}})
    with pytest.raises(
        InvalidDataError, match=r"table forum needs a column of texts .*; it has text, label\."
    ):
        tidy_additional({"forum": _table(text=["a"], label=["1"])}, parameters)


def test_the_digests_of_what_is_trained_on_are_kept() -> None:
    """Lineage names each file that was read, and none that wasn't there."""
    tables = {"forum": RawTable(pd.DataFrame(), digest="f"), "chat": None}
    assert collect_digests("t", "v", tables) == {"train": "t", "validation": "v", "forum": "f"}
