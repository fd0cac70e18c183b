import hashlib
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError

from toxic_training.kedro_project.failures import explain
from toxic_training.kedro_project.table_datasets import OptionalTablesDataset, TableDataset

pytestmark = pytest.mark.slow

CSV: dict[str, object] = {"type": "pandas.CSVDataset", "load_args": {"dtype": str, "keep_default_na": False}}


def _explained(file: Path, kind: dict[str, object]) -> str:
    catalog = DataCatalog.from_config({"table": {**kind, "filepath": str(file)}})
    with pytest.raises(DatasetError) as caught:
        catalog.load("table")
    return str(explain(caught.value))


def test_optional_tables_are_read_if_they_exist(tmp_path: Path) -> None:
    """An absent file is None; an existing one has its digest."""
    (tmp_path / "forum.csv").write_text("text,toxic\nhello,0\n")
    entries: dict[str, dict[str, object]] = {
        name: {**CSV, "filepath": str(tmp_path / f"{name}.csv")} for name in ("forum", "chat")
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


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "is empty", id="no byte"),
        pytest.param(b"text,toxic\ncaf\xe9,0\n", "isn't UTF-8", id="Latin-1"),
        pytest.param(b"text,toxic\na,0\nb,0,1,2\n", "line 3", id="a row with too many fields"),
        pytest.param(b'text,toxic\n"never closed,0\nb,0\n', "isn't a well-formed CSV", id="an open quote"),
    ],
)
def test_an_unreadable_csv_is_explained(tmp_path: Path, content: bytes, says: str) -> None:
    """The error names the file and the problem, in one line."""
    file = tmp_path / "forum.csv"
    file.write_bytes(content)
    explanation = _explained(file, CSV)
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
