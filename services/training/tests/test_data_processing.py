from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_core.text import normalise
from toxic_testing.training.tables import (
    ALL_OF_IT,
    raw_table,
    split_comments,
    tidied_test,
    tidied_validation,
    tidy_additional,
    tidy_train,
    with_table,
)
from toxic_training.data import schemas
from toxic_training.data.comments import Counts, OptionalTables, RawTable, Tidied
from toxic_training.data.parameters import DataParameters, SourceParameters
from toxic_training.kedro_project.pipelines.data_processing.nodes import collect_digests

pytestmark = pytest.mark.slow

MakeTable = Callable[[list[str], list[str]], pd.DataFrame]
Sets = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, Counts]
Split = Callable[..., Sets]

HELD_OUT = [
    *("comment 4", "comment 5", "comment 9", "comment 21"),
    *("commento 2", "commento 3", "commento 5", "commento 8"),
]
"""Of 40 and 10 numbered comments, a tenth and a half, since the first release."""


def _read(counts: Counts) -> float:
    return sum(rows for name, rows in counts.items() if name.startswith("read."))


def _gone(counts: Counts) -> float:
    return sum(rows for name, rows in counts.items() if name.startswith(("dropped.", "rejected.")))


def _kept(counts: Counts) -> float:
    return counts["rows.training"] + counts["rows.validation"] + counts["rows.test"]


@pytest.fixture
def split(data_parameters: DataParameters) -> Split:
    """Split tables; those that a test doesn't name contain one comment or none."""

    def run(
        train: Tidied,
        *,
        validation: Tidied | None = None,
        test: Tidied | None = None,
        tables: OptionalTables | None = None,
        parameters: DataParameters = data_parameters,
    ) -> Sets:
        return split_comments(
            train=train,
            validation=tidied_validation(["in validation alone"]) if validation is None else validation,
            test=tidied_test(["in test alone"]) if test is None else test,
            additional=tidy_additional(tables or {}, parameters),
            parameters=parameters,
        )

    return run


def test_no_text_is_both_measured_and_trained_on(
    raw_train: MakeTable, split: Split, data_parameters: DataParameters
) -> None:
    """A text in several files stays in the test set, or else in validation."""
    train = tidy_train(
        raw_train(["in  test", "in validation", "own", "own"], ["0", "1", "1", "1"]), data_parameters
    )
    training, validation, _, test, _, counts = split(
        train, validation=tidied_validation(["in validation"]), test=tidied_test(["in test"])
    )
    assert test["text"].tolist() == ["in test"]
    texts = training["text"].tolist() + validation["text"].tolist()
    assert sorted(texts) == ["in validation", "own"]
    assert counts["dropped.train.leaked"] == 2
    assert counts["dropped.train.duplicate"] == 1


def test_every_row_is_kept_or_counted_as_dropped(raw_train: MakeTable, split: Split) -> None:
    """Kept, rejected and dropped rows add up to the rows that were read."""
    texts = ["", "\u200b", "a", "a", *(f"comment {i}" for i in range(50))]
    train = tidy_train(raw_train(texts, ["0", "1"] * 27), ALL_OF_IT)
    tables = {"forum": raw_table(text=["a", "b", None, "c"], toxic=["1", "0", "1", ""])}
    validation = tidied_validation(["v1", "v2", "a"])
    *_, counts = split(train, validation=validation, tables=tables, parameters=with_table("forum"))
    assert _kept(counts) + _gone(counts) == _read(counts)
    assert counts["rejected.train.text_missing"] == 2
    assert counts["dropped.forum.withheld"] == 1
    assert counts["dropped.forum.unlabelled"] == 1


def test_a_comments_set_depends_on_its_text_alone(
    raw_train: MakeTable, split: Split, data_parameters: DataParameters
) -> None:
    """More rows, or another order, move no comment from one set to another."""
    texts = [f"comment {i}" for i in range(100)]
    raw = raw_train(texts, ["0", "1"] * 50)
    first, *_ = split(tidy_train(raw, data_parameters))
    second, *_ = split(tidy_train(raw.iloc[::-1].reset_index(drop=True), data_parameters))
    assert set(first["text"]) == set(second["text"])


def test_the_sets_do_not_change_with_the_code(raw_train: MakeTable, split: Split) -> None:
    """Figures are compared over years, so that the held-out comments must stay the same."""
    parameters = DataParameters(
        train=SourceParameters(language="en", train_fraction=0.9),
        validation=SourceParameters(train_fraction=0.5),
    )
    train = tidy_train(raw_train([f"comment {i}" for i in range(40)], ["0"] * 40), parameters)
    validation = tidied_validation([f"commento {i}" for i in range(10)])
    _, measured, *_ = split(train, validation=validation, parameters=parameters)
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


def test_repeated_rows_are_at_the_end_of_the_training_comments(raw_train: MakeTable, split: Split) -> None:
    """A source with `repeat: 3` occurs three times, and is counted."""
    parameters = DataParameters(train=SourceParameters(language="en"), validation=SourceParameters(repeat=3))
    train = tidy_train(raw_train(["a", "b"], ["0", "1"]), parameters)
    training, *_, counts = split(train, validation=tidied_validation(["v", "w"]), parameters=parameters)
    assert training["text"].tolist() == ["a", "b", "v", "w", "v", "w", "v", "w"]
    assert counts["repeated.validation"] == 4
    assert counts["rows.training"] == 8


def test_an_additional_table_needs_only_configuration(raw_train: MakeTable, split: Split) -> None:
    """Its texts are trained on with its own labels and language; other labels are unknown."""
    parameters = with_table("forum")
    table = raw_table(content=["ciao", "salve"], language=["it", "it"], toxic=["1", ""], insult=[None, "0"])
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
def test_labels_of_every_type_are_read(label: object) -> None:
    """CSV contains words, a database or Parquet numbers or booleans."""
    parameters = with_table("forum")
    table = raw_table(
        text=["a", "b"],
        toxic=pd.Series([label, None], dtype=object),
        insult=pd.Series([0, label], dtype=object),
    )
    comments = tidy_additional({"forum": table}, parameters).comments
    np.testing.assert_array_equal(comments["toxic"], [1.0, np.nan])


def test_a_text_of_an_earlier_table_is_dropped(raw_train: MakeTable, split: Split) -> None:
    """The order is test, validation, train, then additional tables in their order."""
    parameters = ALL_OF_IT.model_copy(
        update={"additional": {"first": SourceParameters(), "second": SourceParameters()}}
    )
    tables = {
        "first": raw_table(text=["tested", "trained", "new"], toxic=["1", "1", "1"]),
        "second": raw_table(text=["new", "newer"], toxic=["0", "0"]),
    }
    train = tidy_train(raw_train(["trained"], ["0"]), parameters)
    training, *_, counts = split(train, test=tidied_test(["tested"]), tables=tables, parameters=parameters)
    assert training["text"].tolist() == ["trained", "in validation alone", "new", "newer"]
    assert training["toxic"].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert (counts["dropped.first.leaked"], counts["dropped.second.leaked"]) == (2, 1)


def test_an_absent_table_is_counted_and_logged(
    raw_train: MakeTable, split: Split, caplog: pytest.LogCaptureFixture
) -> None:
    """An optional table may be absent; the log names it."""
    parameters = with_table("forum")
    train = tidy_train(raw_train(["a"], ["0"]), parameters)
    with caplog.at_level("INFO"):
        training, *_, counts = split(train, tables={"forum": None}, parameters=parameters)
    assert counts["read.forum"] == 0
    assert set(training["source"]) == {"train", "validation"}
    assert "No file for the optional table forum" in caplog.text


@pytest.mark.parametrize("tables", [{}, {"forum": None, "chat": None}])
def test_a_table_needs_an_entry_in_catalog_and_parameters(tables: OptionalTables) -> None:
    """A name in only one of the two is an error that shows both."""
    parameters = with_table("forum")
    with pytest.raises(ConfigurationError, match=r"data.additional \(parameters.yml\), which has forum"):
        tidy_additional(tables, parameters)


@pytest.mark.parametrize("name", ["test", "validation", "train", "My Table"])
def test_a_table_needs_an_unreserved_name(name: str) -> None:
    """A table named `test` would be used for testing."""
    with pytest.raises(ValidationError):
        DataParameters(
            train=SourceParameters(), validation=SourceParameters(), additional={name: SourceParameters()}
        )


def test_a_configured_language_is_a_code() -> None:
    """`english` is refused before any file is read."""
    with pytest.raises(ValidationError, match="neither an ISO 639-1 code"):
        SourceParameters(language="english")


@pytest.mark.parametrize("name", ["train", "validation"])
def test_soft_labels_are_of_additional_tables(name: str) -> None:
    """Jigsaw's files have labels of 0 and 1; the error names the parameter."""
    sources = {"train": SourceParameters(), "validation": SourceParameters()}
    with pytest.raises(ValidationError, match=rf"remove {name}\.soft_labels"):
        DataParameters.model_validate(sources | {name: SourceParameters(soft_labels=True)})


def test_an_additional_table_needs_texts_and_labels() -> None:
    """The error lists the possible columns and the table's own."""
    parameters = with_table("forum")
    with pytest.raises(
        InvalidDataError, match=r"table forum needs a column of labels .*; it has text, label\."
    ):
        tidy_additional({"forum": raw_table(text=["a"], label=["1"])}, parameters)


def test_the_digests_of_training_files_are_recorded() -> None:
    """Lineage contains each file that was read, and no absent one."""
    tables = {"forum": RawTable(pd.DataFrame(), digest="f"), "chat": None}
    assert collect_digests("t", "v", tables) == {"train": "t", "validation": "v", "forum": "f"}


def test_the_majority_decides_between_duplicates(raw_train: MakeTable, split: Split) -> None:
    """Texts with conflicting labels are counted; a tie gives 1."""
    raw = raw_train(["twice 1", "twice 1", "once 1", "twice 1", "tie", "tie"], ["1", "1", "0", "0", "0", "1"])
    training, *_, counts = split(tidy_train(raw, ALL_OF_IT), parameters=ALL_OF_IT)
    labels = dict(zip(training["text"], training["toxic"], strict=True))
    assert (labels["twice 1"], labels["tie"], labels["once 1"]) == (1.0, 1.0, 0.0)
    assert counts["conflicting.train"] == 2


def test_labels_of_a_later_source_are_ignored(raw_train: MakeTable, split: Split) -> None:
    """A conflicting label in another file is counted and changes nothing."""
    tables = {"forum": raw_table(text=["a", "a", "a"], toxic=["1", "1", "1"])}
    train = tidy_train(raw_train(["a"], ["0"]), ALL_OF_IT)
    training, *_, counts = split(train, tables=tables, parameters=with_table("forum"))
    assert training.loc[training["text"] == "a", "toxic"].tolist() == [0.0]
    assert counts["conflicting.forum"] == 1


@settings(deadline=None, max_examples=30)  # a tenth of a second each
@given(
    train=st.lists(st.tuples(st.text(), st.sampled_from("012")), min_size=1),
    validation=st.lists(st.text(), min_size=1),
    test=st.lists(st.text(), min_size=1),
    forum=st.lists(st.tuples(st.none() | st.text(), st.sampled_from(["0", "1", "", "2"]))),
)
def test_for_any_texts_the_sets_are_disjoint_and_every_row_is_counted(
    raw_train: MakeTable,
    train: list[tuple[str, str]],
    validation: list[str],
    test: list[str],
    forum: list[tuple[str | None, str]],
) -> None:
    """The split's properties hold for any spacing, repetition or composition of texts."""
    parameters = DataParameters(
        train=SourceParameters(language="en", train_fraction=0.5, non_toxic_per_toxic=1.0),
        validation=SourceParameters(train_fraction=0.5),
        additional={"forum": SourceParameters(language="en", train_fraction=0.5)},
        max_rejected_fraction=1.0,
    )
    table = raw_table(text=[text for text, _ in forum], toxic=[label for _, label in forum])
    *sets, counts = split_comments(
        train=tidy_train(raw_train([text for text, _ in train], [label for _, label in train]), parameters),
        validation=tidied_validation(validation, parameters=parameters),
        test=tidied_test(test, parameters=parameters),
        additional=tidy_additional({"forum": table}, parameters),
        parameters=parameters,
    )
    visible = [normalise(text, 1) for comments in sets for text in comments["text"]]
    assert len(visible) == len(set(visible))
    assert "" not in visible
    assert _kept(counts) + _gone(counts) == _read(counts) == len(train + forum) + len(validation + test)
    schemas.COMMENTS.validate(pd.concat(sets))
