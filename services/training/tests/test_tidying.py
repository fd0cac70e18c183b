from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from toxic_core.errors import InvalidDataError
from toxic_testing.training.tables import (
    ALL_OF_IT,
    collect_rejected,
    raw_table,
    tidied_test,
    tidied_validation,
    tidy_additional,
    tidy_test,
    tidy_train,
    tidy_validation,
    with_table,
)
from toxic_training.data.comments import LABEL_COLUMNS
from toxic_training.data.parameters import DataParameters, SourceParameters
from toxic_training.data.raw_tables import UNREADABLE, read_raw
from toxic_training.data.tidying import label_words

MakeTable = Callable[[list[str], list[str]], pd.DataFrame]


def test_tidy_train_keeps_text_and_every_label(raw_train: MakeTable, data_parameters: DataParameters) -> None:
    """Texts stay as they are, for the tokeniser to normalise, and labels become numbers."""
    tidied = tidy_train(raw_train(["  two\n\nlines ", "null"], ["0", "1"]), data_parameters).comments
    assert tidied["text"].tolist() == ["  two\n\nlines ", "null"]
    assert tidied["toxic"].tolist() == [0.0, 1.0]
    assert tidied["language"].tolist() == ["en", "en"]


def test_missing_labels_are_nan_not_zero() -> None:
    """In a file with only `toxic`, the other labels are unknown."""
    tidied = tidied_validation(["hola"]).comments
    assert tidied["toxic"].tolist() == [0.0]
    assert tidied[LABEL_COLUMNS[1:]].isna().all(axis=None)


def test_a_missing_column_is_named(raw_train: MakeTable, data_parameters: DataParameters) -> None:
    """The error names the missing column and the table's own."""
    with pytest.raises(InvalidDataError, match="train has no column toxic; it has id, comment_text"):
        tidy_train(raw_train(["a"], ["0"]).drop(columns="toxic"), data_parameters)


def test_a_label_that_the_train_file_lacks_is_unknown(
    raw_train: MakeTable, data_parameters: DataParameters
) -> None:
    """Training masks such a label, as it does for tables with `toxic` alone."""
    tidied = tidy_train(raw_train(["a"], ["0"]).drop(columns="insult"), data_parameters).comments
    assert tidied["insult"].isna().all()


def test_an_empty_file_is_refused(raw_train: MakeTable, data_parameters: DataParameters) -> None:
    """A table with only a header is refused."""
    with pytest.raises(InvalidDataError, match="holds no rows"):
        tidy_train(raw_train([], []), data_parameters)


def test_rows_that_could_not_be_read_are_rejected(raw_train: MakeTable) -> None:
    """With the line and the reason of their reader; they count as any other rejected row."""
    raw = raw_train(["a", "b"], ["0", "1"])
    raw.attrs[UNREADABLE] = [(4, "wrong_cell_count")]
    tidied = tidy_train(raw, ALL_OF_IT.model_copy(update={"max_rejected_fraction": 0.5}))
    assert tidied.rejected.to_dict("records") == [
        {"table": "train", "line": 4, "id": "", "column": "", "reason": "wrong_cell_count"}
    ]
    assert len(tidied.comments) == 2
    with pytest.raises(InvalidDataError, match="1 times wrong_cell_count"):
        tidy_train(raw, ALL_OF_IT.model_copy(update={"max_rejected_fraction": 0.1}))


@pytest.mark.parametrize(
    ("words", "label"),
    [(("1", "1.0", "1.", "true", "TRUE", " yes", "Y"), "1"), (("0", "0.00", "False", "no", "n"), "0")],
)
def test_labels_are_read_alike(words: tuple[str, ...], label: str) -> None:
    """However people and programs write them; missing ones are empty, and others stay."""
    assert label_words(pd.Series(words)).tolist() == [label] * len(words)
    assert label_words(pd.Series(["null", None, "0.5", "10.0"])).tolist() == ["", "", "0.5", "10.0"]


@pytest.mark.parametrize("label", ["2", "", "maybe", "0.5", None])
def test_a_row_with_an_invalid_label_is_rejected(raw_train: MakeTable, label: str) -> None:
    """It is listed with line and reason and counted, and the other rows are used."""
    texts = [f"comment {i}" for i in range(40)]
    tidied = tidy_train(raw_train(texts, ["0"] * 20 + [label] + ["1"] * 19), ALL_OF_IT)
    assert tidied.rejected.to_dict("records") == [
        {"table": "train", "line": 22, "id": "t20", "column": "toxic", "reason": "label_not_0_or_1"}
    ]
    assert len(tidied.comments) == 39
    assert tidied.counts["rejected.train.label_not_0_or_1"] == 1


def test_a_table_with_many_invalid_rows_is_refused(raw_train: MakeTable) -> None:
    """The error contains how many rows, why, and where to look."""
    raw = raw_train(["a", "b", "", "c"], ["0", "2", "0", "2"])
    with pytest.raises(InvalidDataError) as caught:
        tidy_train(raw, ALL_OF_IT)
    message = str(caught.value)
    assert "3 of the 4 rows of the table train can't be used" in message
    assert "2 times label_not_0_or_1 in toxic, first on line 3" in message
    assert "1 times text_missing in comment_text, first on line 4" in message
    assert "data.max_rejected_fraction" in message


def test_a_row_with_several_faults_is_rejected_once(raw_train: MakeTable) -> None:
    """Counts are of rows, not of cells."""
    raw = raw_train([*(f"c{i}" for i in range(39)), ""], ["0"] * 39 + ["2"])
    tidied = tidy_train(raw, ALL_OF_IT)
    assert tidied.rejected["reason"].tolist() == ["text_missing"]


def test_an_unknown_language_is_rejected() -> None:
    """A word that isn't an ISO 639-1 code is rejected; region and case don't matter."""
    texts = [f"olá {i}" for i in range(40)]
    raw = pd.DataFrame(
        {"id": texts, "comment_text": texts, "lang": ["pt-BR", " PT", *["pt"] * 37, "klingon"]}
    )
    tidied = tidy_validation(raw.assign(toxic="0"), ALL_OF_IT)
    assert set(tidied.comments["language"]) == {"pt"}
    rejected = tidied.rejected[["line", "column", "reason"]].to_numpy().tolist()
    assert rejected == [[41, "lang", "language_unknown"]]


def test_a_very_long_comment_is_kept(raw_train: MakeTable) -> None:
    """A comment of a million characters is kept; training cuts it to its maximum of tokens."""
    tidied = tidy_train(raw_train(["word " * 200_000], ["1"]), ALL_OF_IT)
    assert tidied.comments["text"].str.len().tolist() == [1_000_000]


def test_a_missing_language_is_identified() -> None:
    """Only rows without a language are identified; a text without evidence stays undetermined."""
    texts = [
        "Grazie mille per la spiegazione, sei stato gentilissimo.",
        "Thanks, that was kind.",
        "12345 !!!",
    ]
    table = raw_table(text=texts, language=["", "fr", None], toxic=["0", "0", "0"])
    tidied = tidy_additional({"forum": table}, with_table("forum"))
    assert tidied.comments["language"].tolist() == ["it", "fr", "und"]
    assert tidied.counts["identified.forum"] == 1


def test_a_configured_language_applies_to_every_row() -> None:
    """No text of such a file is identified."""
    table = raw_table(text=["Grazie mille per la spiegazione."], language=["it"], toxic=["0"])
    tidied = tidy_additional({"forum": table}, with_table("forum", SourceParameters(language="en")))
    assert tidied.comments["language"].tolist() == ["en"]


def test_test_comments_without_labels_are_refused() -> None:
    """A test file and a labels file that don't match are refused."""
    comments = pd.DataFrame({"id": ["0", "1"], "content": ["a", "b"], "lang": "it"})
    with pytest.raises(InvalidDataError, match="every id of the test file"):
        tidy_test(comments, pd.DataFrame({"id": ["0"], "toxic": ["1"]}), ALL_OF_IT)


def test_unscored_test_comments_are_left_out() -> None:
    """Jigsaw's label -1 marks unlabelled comments, which are counted and left out."""
    comments = pd.DataFrame({"id": ["0", "1"], "content": ["a", "b"], "lang": "it"})
    tidied = tidy_test(comments, pd.DataFrame({"id": ["0", "1"], "toxic": ["-1", "1"]}), ALL_OF_IT)
    assert tidied.comments["id"].tolist() == ["1"]
    assert tidied.counts["dropped.test.unscored"] == 1


def test_test_comments_of_which_none_is_scored_are_refused() -> None:
    """Nothing could be measured on them after the training."""
    comments = pd.DataFrame({"id": ["0", "1"], "content": ["a", "b"], "lang": "it"})
    with pytest.raises(InvalidDataError, match="every label in test_labels is -1"):
        tidy_test(comments, pd.DataFrame({"id": ["0", "1"], "toxic": "-1"}), ALL_OF_IT)


def test_rejected_test_rows_have_their_lines_in_the_file(tmp_path: Path) -> None:
    """Unreadable rows are rejected too, and count against the share that is allowed."""
    rows = "".join(f"{n},comment {n},it\n" for n in range(3))
    (tmp_path / "test.csv").write_text(f"id,content,lang\n{rows}broken\n3,never mind,klingon\n", "utf-8")
    raw = read_raw(tmp_path / "test.csv")
    labels = pd.DataFrame({"id": list("3210"), "toxic": ["0", "-1", "1", "0"]})
    tidied = tidy_test(raw, labels, ALL_OF_IT.model_copy(update={"max_rejected_fraction": 0.8}))
    rejected = tidied.rejected[["line", "reason"]].to_numpy().tolist()
    assert sorted(rejected) == [[5, "wrong_cell_count"], [6, "language_unknown"]]
    with pytest.raises(InvalidDataError, match="1 times wrong_cell_count"):
        tidy_test(raw.head(3), labels, ALL_OF_IT)


def test_a_feedback_file_without_corrections_is_accepted() -> None:
    """An export with only a header contains no corrections yet."""
    tidied = tidy_additional({"forum": raw_table(text=[], toxic=[])}, with_table("forum"))
    assert tidied.comments.empty
    assert tidied.counts["read.forum"] == 0


def test_rejected_rows_of_every_table_are_collected(raw_train: MakeTable) -> None:
    """One table lists all of them."""
    good = [f"c{i}" for i in range(39)]
    train = tidy_train(raw_train([*good, ""], ["0"] * 40), ALL_OF_IT)
    forum = tidy_additional(
        {"forum": raw_table(text=[*good, "x"], toxic=["1"] * 39 + ["7"])}, with_table("forum")
    )
    rejected = collect_rejected(train, tidied_validation(["v"]), tidied_test(["t"]), forum)
    assert rejected["table"].tolist() == ["train", "forum"]
    assert rejected["line"].tolist() == [41, 41]
