from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from toxic_core.contract import open_bundle
from toxic_core.errors import InvalidDataError
from toxic_model.loaded import LoadedModel
from toxic_model.opening import open_model
from toxic_model.scoring import ScoringOptions
from toxic_model.table_scoring import NO_TEXT, TableScorer, output_names
from toxic_testing.inference.bundles import BundleFactory

OPTIONS = ScoringOptions(batch_tokens=64, max_windows=4)


@pytest.fixture(scope="module")
def model(build_bundle: BundleFactory, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A real, tiny model."""
    path: Path = tmp_path_factory.mktemp("bundles") / "bundle"
    return open_model(open_bundle(build_bundle(path)), threads=1)


def columns(table: dict[str, list[object]], scorer: TableScorer) -> dict[str, list[object]]:
    """Return a table's appended columns, None for missing values."""

    def cells(index: int) -> Iterable[object]:
        return list(table.values())[index]

    return {
        column.name: [
            None if missing else value
            for value, missing in zip(column.cells.tolist(), column.missing, strict=True)
        ]
        for column in scorer.score(list(table), cells)
    }


def test_rows_get_scores_and_decisions(model: LoadedModel) -> None:
    """A row without a text gets an error instead, and disturbs no other row."""
    table: dict[str, list[object]] = {
        "id": [1, 2, 3, 4],
        "Comment": ["you are kind", None, "\u200b ", "you idiot"],
        "lang": ["en", "en", "", "pt-BR"],
    }
    found = columns(table, TableScorer(model, "7", OPTIONS))
    assert tuple(found) == output_names(model.contract)
    assert found["model_version"] == ["7"] * 4
    assert found["error"] == ["", NO_TEXT, NO_TEXT, ""]
    assert found["low_confidence"] == [False, None, None, False]
    expected = model.score(["you are kind", "you idiot"], ["en", "pt"], options=OPTIONS)
    for index, label in enumerate(model.contract.labels):
        scores, decisions = found[f"score_{label}"], found[f"decision_{label}"]
        assert scores[1:3] == decisions[1:3] == [None, None]
        np.testing.assert_array_equal(np.array(scores)[[0, 3]].astype(np.float32), expected.scores[:, index])
        assert [decisions[0], decisions[3]] == expected.decisions[:, index].tolist()


def test_a_text_of_unknown_words_is_marked(model: LoadedModel) -> None:
    """It gets no decision."""
    found = columns({"text": ["something foreign"]}, TableScorer(model, "7", OPTIONS))
    decisions = {found[f"decision_{label}"][0] for label in model.contract.labels}
    assert (found["low_confidence"], decisions) == ([True], {False})


def test_a_table_without_any_text_has_only_errors(model: LoadedModel) -> None:
    """A chunk of empty rows is scored like any other."""
    found = columns({"text": ["", None]}, TableScorer(model, "7", OPTIONS))
    assert found["error"] == [NO_TEXT, NO_TEXT]
    assert found["score_toxic"] == [None, None]


def test_the_text_column_can_be_chosen(model: LoadedModel) -> None:
    """Two candidates are an error that names the option; choosing one of them settles it."""
    table: dict[str, list[object]] = {"text": [""], "body": ["you are kind"]}
    with pytest.raises(InvalidDataError, match="TEXT_COLUMN="):
        columns(table, TableScorer(model, "7", OPTIONS, option="TEXT_COLUMN="))
    assert columns(table, TableScorer(model, "7", OPTIONS, column="body"))["error"] == [""]


def test_a_scored_table_keeps_its_columns(model: LoadedModel) -> None:
    """Columns of an earlier scoring are renamed beside the new ones."""
    scorer = TableScorer(model, "7", OPTIONS)
    names = scorer.kept_names(["text", "error", "error_1", "decision_threat"])
    assert names == ["text", "error_2", "error_1", "decision_threat_1"]


def test_a_language_that_isn_t_stated_is_identified(model: LoadedModel) -> None:
    """As in serving: so a table has the same scores everywhere; a cell such as "English" states none."""
    text = "Seni seviyorum, bugün hava çok güzel olacak."
    given = columns({"text": [text], "lang": ["tr"]}, TableScorer(model, "7", OPTIONS))
    assert columns({"text": [text]}, TableScorer(model, "7", OPTIONS)) == given
    named: dict[str, list[object]] = {"text": [text], "lang": ["N/A"]}
    assert columns(named, TableScorer(model, "7", OPTIONS)) == given


def test_a_problem_of_its_reader_is_a_row_s_error(model: LoadedModel) -> None:
    """Such a row isn't scored, even if its cells are good."""
    cells: dict[str, list[object]] = {"text": ["you are kind", "half a row"]}
    scorer = TableScorer(model, "7", OPTIONS)
    scored = {
        column.name: column
        for column in scorer.score(["text"], lambda _: cells["text"], problems=["", "Line 3 is broken."])
    }
    assert scored["error"].cells.tolist() == ["", "Line 3 is broken."]
    assert scored["score_toxic"].missing.tolist() == [False, True]
