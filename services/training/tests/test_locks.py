import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.io import AbstractDataset, DataCatalog
from kedro.pipeline import Node, Pipeline

from toxic_core.errors import RunInProgressError
from toxic_training.kedro_project.datasets import (
    ChampionDataset,
    LazyChampionDataset,
    VersionedBundleDataset,
)
from toxic_training.kedro_project.hooks import LocksHook
from toxic_training.kedro_project.locks import OutputLocks

pytestmark = pytest.mark.slow

HOLDER = """
import sys
from pathlib import Path
from toxic_training.kedro_project.locks import OutputLocks

locks = OutputLocks()
locks.acquire([Path(sys.argv[1])], data=Path(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Return a file that another process writes."""
    return tmp_path / "06_models" / "bundle"


@pytest.fixture
def holder(held: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the other process."""
    command = (sys.executable, "-c", HOLDER, str(held), str(tmp_path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.usefixtures("holder")
def test_a_second_run_is_refused(held: Path, tmp_path: Path) -> None:
    """The error names the file and the remedy, and the second run holds no lock."""
    other = tmp_path / "03_primary" / "table.parquet"
    with pytest.raises(RunInProgressError, match=r"06_models/bundle\. .*TOXIC_DATA_DIR"):
        OutputLocks().acquire([other, held], data=tmp_path)
    OutputLocks().acquire([other], data=tmp_path)


@pytest.mark.usefixtures("holder")
def test_runs_that_write_other_files_run_in_parallel(held: Path, tmp_path: Path) -> None:
    """Another file of the folder isn't locked, nor the same file of another folder."""
    OutputLocks().acquire([held.with_name("champion")], data=tmp_path)
    OutputLocks().acquire([held], data=tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def _started(folder: Path, dataset: AbstractDataset[Any, Any]) -> LocksHook:
    """Start a run that reads a model and writes nothing to disk; return the holder of its locks."""
    hook = LocksHook()
    context = SimpleNamespace(project_path=folder, config_loader={"globals": {"data": str(folder)}})
    hook.after_context_created(context)  # type: ignore[arg-type]
    reading = Pipeline([Node(repr, "model", "scores", name="score")])
    hook.before_pipeline_run(pipeline=reading, catalog=DataCatalog({"model": dataset}))
    return hook


def test_a_second_run_that_fetches_a_version_is_refused(tmp_path: Path) -> None:
    """It would replace the files that the first one scores with."""
    folder = str(tmp_path / "06_models" / "scoring")
    first = _started(tmp_path, VersionedBundleDataset(model_name="m", filepath=folder, registered=3))
    for second in (
        VersionedBundleDataset(model_name="m", filepath=folder, registered=4),
        ChampionDataset("m", folder),
        LazyChampionDataset("m", folder),
    ):
        with pytest.raises(RunInProgressError, match="06_models/scoring"):
            _started(tmp_path, second)
    _started(
        tmp_path, VersionedBundleDataset(model_name="m", filepath=folder, bundle="any")
    ).after_pipeline_run()
    first.after_pipeline_run()
    _started(tmp_path, ChampionDataset("m", folder))


def test_a_killed_runs_locks_end_with_it(holder: subprocess.Popen[str], held: Path, tmp_path: Path) -> None:
    """No lock has to be removed by hand."""
    holder.kill()
    holder.wait(10)
    OutputLocks().acquire([held], data=tmp_path)


def test_a_run_that_ended_releases_its_locks(held: Path, tmp_path: Path) -> None:
    """The same process can start another run."""
    locks = OutputLocks()
    for _ in range(2):
        locks.acquire([held], data=tmp_path)
    with pytest.raises(RunInProgressError):
        OutputLocks().acquire([held], data=tmp_path)
    locks.release()
    OutputLocks().acquire([held], data=tmp_path)
