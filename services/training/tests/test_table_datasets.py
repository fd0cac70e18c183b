import hashlib
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError
from pydantic import ValidationError

from toxic_core.errors import InvalidDataError
from toxic_testing.tables import HEADER, ROWS, files
from toxic_training.data.parameters import SourceParameters
from toxic_training.data.raw_tables import UNREADABLE, renamed
from toxic_training.kedro_project.failures import explain
from toxic_training.kedro_project.table_datasets import OptionalTablesDataset, RawTableDataset, TableDataset

pytestmark = pytest.mark.slow

RAW: dict[str, object] = {"type": "toxic_training.kedro_project.table_datasets.RawTableDataset"}


def _explained(file: Path, kind: dict[str, object]) -> str:
    catalog = DataCatalog.from_config({"table": {**kind, "filepath": str(file)}})
    with pytest.raises(DatasetError) as caught:
        catalog.load("table")
    return str(explain(caught.value))


def test_optional_tables_are_read_if_they_exist(tmp_path: Path) -> None:
    """An absent file is None; an existing one has its digest."""
    (tmp_path / "forum.csv").write_text("text,toxic\nhello,0\n")
    entries: dict[str, dict[str, object]] = {
        name: {**RAW, "filepath": str(tmp_path / f"{name}.csv")} for name in ("forum", "chat")
    }
    tables = OptionalTablesDataset(entries).load()
    assert tables["chat"] is None
    assert tables["forum"] is not None
    assert tables["forum"].rows.to_dict("list") == {"text": ["hello"], "toxic": ["0"]}
    assert tables["forum"].digest == hashlib.sha256(b"text,toxic\nhello,0\n").hexdigest()


def test_a_failed_write_leaves_the_previous_table(tmp_path: Path) -> None:
    """A write that fails half-way doesn't change the table."""
    dataset = TableDataset(filepath=str(tmp_path / "folder" / "table.parquet"))
    dataset.save(pd.DataFrame({"text": ["before"]}))
    with pytest.raises(DatasetError):
        dataset.save(pd.DataFrame({"text": ["after", object()]}))
    assert dataset.load()["text"].tolist() == ["before"]


@pytest.mark.parametrize("name", files())
def test_a_raw_table_is_read_as_people_have_it(tmp_path: Path, name: str) -> None:
    """Every format, dialect and compression; every cell is a string."""
    content, options = files()[name]
    (tmp_path / name).write_bytes(content)
    table = RawTableDataset(filepath=str(tmp_path / name), encoding=options.encoding).load()
    assert list(table.columns) == list(HEADER)
    assert [tuple(row) for row in table.itertuples(index=False)] == list(ROWS)


def test_rows_that_can_t_be_read_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With their lines and reasons; the other rows keep their positions."""
    file = tmp_path / "forum.csv"
    file.write_bytes(b'text,toxic\nNA,0\n"a" b,0\n"two\nlines",1,2\n,1\n')
    table = RawTableDataset(filepath=str(file)).load()
    assert table["toxic"].to_dict() == {0: "0", 3: "1"}
    assert table["text"].tolist() == ["NA", ""]
    assert table.attrs[UNREADABLE] == [(3, "invalid_quoting"), (4, "wrong_cell_count")]
    assert "2 rows" in caplog.text


def test_a_file_that_is_no_table_is_explained(tmp_path: Path) -> None:
    """The error names the file and the problem, in one line."""
    for content, says in (
        (b"", "is empty"),
        (b"text,text\na,b\n", "columns twice"),
        (b"\x1f\x8b", "damaged"),
    ):
        file = tmp_path / "forum.csv"
        file.write_bytes(content)
        explanation = _explained(file, RAW)
        assert str(file) in explanation
        assert says in explanation
        assert "Dataset(" not in explanation


def test_a_damaged_parquet_file_is_explained(tmp_path: Path) -> None:
    """The error names the file."""
    file = tmp_path / "forum.parquet"
    file.write_bytes(b"text,toxic\n")
    explanation = _explained(file, {"type": "toxic_training.kedro_project.table_datasets.TableDataset"})
    assert str(file) in explanation
    assert "isn't a Parquet file" in explanation


def test_a_table_that_violates_its_schema_is_explained(tmp_path: Path) -> None:
    """The error of Kedro's validator names table and column."""
    entry = {
        "type": "toxic_training.kedro_project.table_datasets.TableDataset",
        "filepath": str(tmp_path / "comments.parquet"),
        "validator": "toxic_training.data.schemas.COMMENTS",
    }
    catalog = DataCatalog.from_config({"training_comments": entry})
    with pytest.raises(DatasetError) as caught:
        catalog.save("training_comments", pd.DataFrame({"id": ["1"]}))
    explanation = str(explain(caught.value))
    assert "training_comments" in explanation
    assert "text" in explanation
    assert not (tmp_path / "comments.parquet").exists()


def test_a_table_with_other_names_is_mapped() -> None:
    """Columns get our names, words of labels become 0 and 1, and the schema judges other values."""
    source = SourceParameters(
        columns={"comment_text": "post", "toxic": "verdict"}, label_values={"Abusive": 1, "ok": 0}
    )
    raw = pd.DataFrame(
        {"post": ["a", "b", "c"], "verdict": [" abusive", "OK", "?"], "toxic": "9", "extra": "x"}
    )
    table = renamed(raw, source, name="forum")
    assert table["toxic"].tolist() == ["1", "0", "?"]
    assert table["comment_text"].tolist() == ["a", "b", "c"]
    assert set(table) == {"comment_text", "toxic", "extra"}


def test_a_mapped_column_that_is_absent_is_named() -> None:
    """The error lists the columns that the table has."""
    source = SourceParameters(columns={"comment_text": "posts"})
    with pytest.raises(InvalidDataError, match=r"forum has no column posts.*it has post, toxic"):
        renamed(pd.DataFrame({"post": ["a"], "toxic": ["1"]}), source, name="forum")


def test_a_mapping_to_an_unknown_column_is_refused() -> None:
    """The error lists the names that a mapping can have."""
    with pytest.raises(ValidationError, match="'text' is none of id, comment_text"):
        SourceParameters(columns={"text": "post"})
