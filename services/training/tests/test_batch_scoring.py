from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError

from toxic_core.errors import InvalidDataError
from toxic_core.labels import LABELS
from toxic_core.tokens import Tokeniser
from toxic_model.loaded import LoadedModel
from toxic_model.scoring import ScoringOptions
from toxic_model.table_scoring import NO_TEXT, TableScorer
from toxic_testing.inference.bundles import make_contract, make_tokenizer
from toxic_testing.tables import HEADER, ROWS, files
from toxic_training.kedro_project.chunked_tables import ChunkedTableDataset, read_chunks
from toxic_training.kedro_project.failures import explain
from toxic_training.paths import STARTED_IN_VARIABLE
from toxic_training.scoring.table_scoring import ScoredChunks, append_scores

pytestmark = pytest.mark.slow


@pytest.fixture
def scorer() -> TableScorer:
    """Return a scorer that scores 0.3, 0.6 with a second word; in Turkish it decides at 0.8, not at 0.5."""
    contract = make_contract().model_copy(
        update={"thresholds": {label: {"*": 0.5, "tr": 0.8} for label in LABELS}}
    )
    model = LoadedModel(
        contract=contract,
        tokenizer=Tokeniser(make_tokenizer(), max_tokens=contract.max_tokens, pad_id=0),
        runtime="test",
        whole=lambda batch: np.repeat(
            np.where(batch.attention_mask.sum(axis=1, keepdims=True) > 3, 0.6, 0.3), len(LABELS), axis=1
        ).astype(np.float32),
        streams=(),
        close=lambda: None,
    )
    return TableScorer(model, "7", ScoringOptions(batch_tokens=64))


def _dataset(path: Path, *, chunk_rows: int = 2) -> ChunkedTableDataset:
    return ChunkedTableDataset(file=str(path), option="IN", chunk_rows=chunk_rows)


def test_every_row_comes_back_with_scores_decisions_and_the_version(scorer: TableScorer) -> None:
    """The caller's columns come first, unchanged; a row's language chooses its thresholds."""
    table = pd.DataFrame(
        {"key": ["a", "b", "c"], "content": ["day", "lovely day", "lovely day"], "lang": ["", "en", "tr"]}
    )
    scored = append_scores(table, scorer)
    pd.testing.assert_frame_equal(scored[["key", "content", "lang"]], table)
    np.testing.assert_allclose(scored["score_insult"], [0.3, 0.6, 0.6], atol=1e-6)
    assert scored["decision_insult"].tolist() == [False, True, False]
    assert set(scored["model_version"]) == {"7"}
    assert set(scored["error"]) == {""}
    assert "score_toxic" not in table


@pytest.mark.parametrize("text", ["", "\u200b ", None])
def test_a_row_without_text_gets_an_error_for_scores(scorer: TableScorer, text: str | None) -> None:
    """The other rows are scored as if that row were missing."""
    scored = append_scores(pd.DataFrame({"text": ["day", text]}, index=[7, 8]), scorer)
    assert scored["error"].tolist() == ["", NO_TEXT]
    assert scored["score_toxic"].isna().tolist() == [False, True]
    assert scored["decision_toxic"].isna().tolist() == [False, True]


@pytest.mark.parametrize("source", ["table.csv", "table.parquet"])
@pytest.mark.parametrize("target", ["scored.csv", "scored.parquet"])
def test_chunks_make_the_same_table_as_the_whole(
    tmp_path: Path, scorer: TableScorer, source: str, target: str
) -> None:
    """From either format to either, whatever the chunks, with rows in their order."""
    table = pd.DataFrame(
        {"text": ["day", 'a "quoted"\nline', "", "lovely day", "\u00e9t\u00e9"], "key": list("abcde")}
    )
    if source.endswith("csv"):
        table.to_csv(tmp_path / source, index=False)
    else:
        table.to_parquet(tmp_path / source)
    _dataset(tmp_path / target).save(ScoredChunks(_dataset(tmp_path / source).load(), scorer))
    scored = (
        pd.read_csv(tmp_path / target, dtype={"key": str}, keep_default_na=False)
        if target.endswith("csv")
        else pd.read_parquet(tmp_path / target)
    )
    expected = append_scores(table, scorer)
    assert list(scored.columns) == list(expected.columns)
    assert scored["key"].tolist() == list("abcde")
    assert scored["error"].tolist() == expected["error"].tolist()
    read = pd.to_numeric(scored["score_toxic"])
    np.testing.assert_allclose(read, expected["score_toxic"], atol=1e-6)


def test_only_a_chunk_is_read_before_it_is_written(tmp_path: Path) -> None:
    """A table is never held whole: the second chunk is asked for after the first was written."""
    written: list[int] = []

    def chunks() -> Iterator[pd.DataFrame]:
        for number in range(3):
            written.append(sum(file.stat().st_size for file in tmp_path.iterdir()))
            yield pd.DataFrame({"text": ["x" * 20_000], "number": [number]})

    _dataset(tmp_path / "scored.csv").save(chunks())
    assert written[0] == 0
    assert written[1] < written[2]


@pytest.mark.parametrize("name", ["scored.csv", "scored.parquet"])
def test_a_failure_half_way_leaves_no_output(tmp_path: Path, name: str) -> None:
    """Neither under its name nor under a temporary one; what was there before stays."""

    def chunks() -> Iterator[pd.DataFrame]:
        yield pd.DataFrame({"text": ["x"]})
        raise InvalidDataError("broken")

    (tmp_path / name).write_text("before")
    with pytest.raises(DatasetError):
        _dataset(tmp_path / name).save(chunks())
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("table.csv", b"text\n", "holds no rows"),
        ("table.csv", b"", "is empty"),
        ("table.parquet", b"text\nx\n", "isn't a Parquet file"),
    ],
)
def test_a_table_that_cannot_be_read_is_explained(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    """The error names the file that is read, not the one that was to be written."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidDataError, match=says) as caught:
        list(read_chunks(tmp_path / name, rows=10))
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "says"),
    [(None, "Name a file: IN="), ("no.csv", "IN names the table")],
)
def test_a_path_that_will_not_do_is_explained(path: str | None, says: str) -> None:
    """None at all, and a file that isn't there."""
    with pytest.raises(DatasetError) as caught:
        ChunkedTableDataset(file=path, option="IN").load()
    assert says in str(explain(caught.value))


def test_a_relative_table_is_in_the_caller_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the project's, in which Kedro runs."""
    monkeypatch.setenv(STARTED_IN_VARIABLE, str(tmp_path))
    (tmp_path / "table.csv").write_text("text\nday\n")
    assert len(list(ChunkedTableDataset(file="table.csv", option="IN").load())) == 1


def test_a_table_is_written_as_csv_or_parquet(tmp_path: Path) -> None:
    """Another ending is explained before anything is scored."""
    with pytest.raises(DatasetError) as caught:
        _dataset(tmp_path / "scored.xlsx").save(iter(()))
    assert "neither .csv nor .parquet" in str(explain(caught.value))


@pytest.mark.parametrize("name", files())
def test_a_table_is_read_as_people_have_it(tmp_path: Path, name: str) -> None:
    """Every format, dialect and compression, in chunks; the content decides."""
    content, options = files()[name]
    (tmp_path / name).write_bytes(content)
    chunks = list(read_chunks(tmp_path / name, rows=3, options=options))
    assert [len(chunk.rows) for chunk in chunks] == [3, 1]
    found = pd.concat([chunk.rows for chunk in chunks])
    assert list(found.columns) == list(HEADER)
    assert [tuple(row) for row in found.itertuples(index=False)] == list(ROWS)


def test_rows_that_can_t_be_read_have_their_reason(tmp_path: Path, scorer: TableScorer) -> None:
    """As at the service: the other rows are scored, and a scored table can be scored again."""
    content = b'id,text,error\n1,day,x\n2,"a" b,\n3,caf\xe9,\n4,day,,,5\n'
    (tmp_path / "table.csv").write_bytes(content)
    _dataset(tmp_path / "scored.csv").save(ScoredChunks(_dataset(tmp_path / "table.csv").load(), scorer))
    scored = pd.read_csv(tmp_path / "scored.csv", keep_default_na=False)
    assert list(scored.columns[:4]) == ["id", "text", "error_1", "score_toxic"]
    assert [error[:6] for error in scored["error"]] == ["", "Line 3", "Line 4", "Line 5"]
