import errno
import os
from pathlib import Path

import duckdb
import pytest
from kedro.framework.project import configure_project
from kedro.io import DatasetError
from kedro.validation.exceptions import ModelInstantiationError, ParameterValidationError
from kedro.validation.model_factory import instantiate_model
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import CSVDataset
from pydantic import ValidationError

from toxic_core.errors import InvalidDataError
from toxic_training.kedro_project.failures import explain
from toxic_training.modelling.parameters import ModellingParameters

pytestmark = pytest.mark.slow


def test_an_error_of_this_project_explains_itself() -> None:
    """Its message is printed in one line."""
    assert explain(InvalidDataError("The train file\n  holds no rows.")) == "The train file holds no rows."


def test_a_full_disk_is_found_behind_kedros_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kedro wraps a failed write; the line still reports that the disk is full."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "report.json")

    monkeypatch.setattr("json.dump", full)
    with pytest.raises(DatasetError) as caught:
        JSONDataset(filepath=str(tmp_path / "report.json")).save({"auc": 0.9})
    assert "disk is full (writing report.json)" in str(explain(caught.value))


def test_what_duckdb_lacks_is_one_line(tmp_path: Path) -> None:
    """Its own advice names settings of DuckDB, which users don't have."""
    full = duckdb.IOException('IO Error: Could not write file "comments.duckdb": No space left on device')
    assert "disk is full" in str(explain(full))
    limits: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "16MB",
        "temp_directory": str(tmp_path),
        "max_temp_directory_size": "1MB",
    }
    with duckdb.connect(config=limits) as database, pytest.raises(duckdb.Error) as caught:
        database.execute("CREATE TABLE hashes AS SELECT md5(range::VARCHAR) FROM range(1_000_000) ORDER BY 1")
    told = str(explain(caught.value))
    assert "data.memory_megabytes" in told
    assert "\n" not in told


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    """A file that isn't CSV is an error with its path, not a traceback."""
    file = tmp_path / "train.csv"
    file.write_text('id,text\n1,"never closed\n', encoding="utf-8")
    dataset: CSVDataset = CSVDataset(filepath=str(file), load_args={"engine": "python"})
    with pytest.raises(DatasetError) as caught:
        dataset.load()
    explanation = explain(caught.value)
    assert explanation is not None
    assert str(file) in explanation
    assert "\n" not in explanation


def test_a_wrong_pipeline_is_one_line_with_the_valid_names() -> None:
    """Kedro's own message has several lines, and only names that resemble the wrong one."""
    configure_project("toxic_training")
    line = explain(ValueError("Failed to find the pipeline named 'trainn'. It needs to be\n generated"))
    assert line is not None
    assert line.startswith("There is no pipeline 'trainn'. The pipelines are __default__, baseline, ")
    assert "\n" not in line


def test_a_parameter_s_wrong_value_is_one_line_with_its_name_and_the_fault(
    modelling_parameters: ModellingParameters,
) -> None:
    """Of Pydantic's text, what a user can act on; not its types, its input and its address."""
    wrong = modelling_parameters.model_dump() | {
        "dropout": 2,
        "merged_with": {"my models": 2},
        "toxic_shares": {"toxic": 0.5},
    }
    with pytest.raises(ModelInstantiationError) as caught:
        instantiate_model("modelling", wrong, ModellingParameters)
    message = f"Parameter validation failed:\n- Parameter 'modelling': {caught.value}"
    assert explain(ParameterValidationError(message)) == (
        "modelling.dropout: Input should be less than or equal to 1; "
        "modelling.toxic_shares: toxic gets no share of itself: remove it; "
        "modelling.merged_with.my models: Input should be less than or equal to 1"
    )


def test_a_parameter_s_typo_is_one_line_with_the_valid_names() -> None:
    """The line has the wrong name, its group, and the names that exist."""
    with pytest.raises(ValidationError) as caught:
        ModellingParameters.model_validate({"epoch": 3})
    entry = str(caught.value).partition("\nepoch\n")[2]
    message = f"1 validation error for ModellingParameters\nepoch\n{entry}"
    line = explain(
        ParameterValidationError(f"Parameter validation failed:\n- Parameter 'modelling': {message}")
    )
    assert line is not None
    assert line.startswith(
        "There is no parameter 'epoch' in ModellingParameters. Its parameters are encoder, "
    )
    assert "epochs" in line


def test_an_unknown_error_keeps_its_traceback() -> None:
    """A bug isn't reported as the user's mistake."""
    assert explain(KeyError("text")) is None
