import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from toxic_core.errors import RunInProgressError
from toxic_training.kedro_project.locks import OutputLocks

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
    """Return a file that another process is to write."""
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
def test_a_second_run_is_told_of_the_first(held: Path, tmp_path: Path) -> None:
    """The error names the file and the way out, and the second holds none of its own."""
    other = tmp_path / "03_primary" / "table.parquet"
    with pytest.raises(RunInProgressError, match=r"06_models/bundle; .*TOXIC_DATA_DIR"):
        OutputLocks().acquire([other, held], data=tmp_path)
    OutputLocks().acquire([other], data=tmp_path)


@pytest.mark.usefixtures("holder")
def test_runs_that_write_other_files_go_side_by_side(held: Path, tmp_path: Path) -> None:
    """Neither another file of the folder is locked, nor the same one of another folder."""
    OutputLocks().acquire([held.with_name("champion")], data=tmp_path)
    OutputLocks().acquire([held], data=tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_a_killed_runs_locks_end_with_it(holder: subprocess.Popen[str], held: Path, tmp_path: Path) -> None:
    """Nobody has to remove a file."""
    holder.kill()
    holder.wait(10)
    OutputLocks().acquire([held], data=tmp_path)


def test_a_run_that_ended_gives_its_locks_back(held: Path, tmp_path: Path) -> None:
    """So that the same process can do the next."""
    locks = OutputLocks()
    for _ in range(2):
        locks.acquire([held], data=tmp_path)
    with pytest.raises(RunInProgressError):
        OutputLocks().acquire([held], data=tmp_path)
    locks.release()
    OutputLocks().acquire([held], data=tmp_path)
