"""The wheels of every package: built, listed, and used in an environment outside the repository."""

import csv
import email
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from hatchling.builders.wheel import WheelBuilder
from twine.commands.check import check

from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = {
    path.parent: tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    for path in sorted(ROOT.glob("*/*/pyproject.toml"))
    if path.parent != ROOT / "tests" / "support"  # test helpers, for development only
}
PACKAGES = [*PROJECTS]
PROGRAMS = sorted(name for project in PROJECTS.values() for name in project.get("scripts", {}))
TEXTS = ["Have a lovely day.", "Only an idiot would write this."]

THREE_LINES = re.findall(
    r"```python\n(import toxic_model\n.*?)```", (ROOT / "docs/score.md").read_text(), re.DOTALL
)
"""What docs/score.md shows."""

_OFFLINE = """
import sys

def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo"}:
        raise RuntimeError(event)

sys.addaudithook(refuse)
"""

_SHOWN = """
import json
threads = open("/proc/self/status").read().split("Threads:")[1].split()[0]
scores = [result.scores for result in results]
print(json.dumps({"file": toxic_model.__file__, "threads": int(threads), "scores": scores}))
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """Build the wheel of every package."""
    folder = tmp_path_factory.mktemp("wheels")
    return {
        package: Path(next(WheelBuilder(str(package)).build(directory=str(folder)))) for package in PACKAGES
    }


class Inference(Protocol):
    """Starts inference services, as conftest.py makes it."""

    def start(self, environment: Mapping[str, str]) -> Server:
        """Start one."""
        ...


class Installed:
    """An environment with the wheels, and a folder outside the repository to run their programs in."""

    def __init__(self, folder: Path, wheels: list[Path]) -> None:
        self.bin = folder / "venv" / "bin"
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        venv.create(folder / "venv", symlinks=True)
        python = [sys.executable, "-m", "pip", "--python", str(self.bin / "python")]
        subprocess.run(
            [*python, "install", "--quiet", "--no-index", "--no-deps", *map(str, wheels)], check=True
        )
        # Other packages come from the tests' environment; its editable installs aren't reached this way.
        (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.bundle = packages / "toxic_model_weights" / "bundle"

    def run(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program to its end, without the repository in its environment."""
        program, *arguments = command
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        return subprocess.run(
            [str(self.bin / program), *arguments],
            cwd=self.folder,
            env={**environment, "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db"},
            input=given,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(wheels: dict[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheels, once for all tests."""
    return Installed(tmp_path_factory.mktemp("installed"), [*wheels.values()])


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_wheel_contains_its_package_and_no_test(package: Path, wheels: dict[Path, Path]) -> None:
    """Tests and their helpers stay in the repository."""
    names = zipfile.ZipFile(wheels[package]).namelist()
    module = PROJECTS[package]["name"]
    assert f"{module.replace('-', '_')}/py.typed" in names
    assert [
        name
        for name in names
        if re.search(r"(^|/)(tests?|testing|toxic_testing|conftest|test_\w+)(/|\.py$)", name)
    ] == []


@pytest.mark.parametrize("package", ["models/weights", "services/training"])
def test_a_wheel_is_built_in_a_checkout(package: str, tmp_path: Path) -> None:
    """Its files are outside the package, so a source distribution lacks them; the error names the way."""
    alone = shutil.copytree(ROOT / package, tmp_path / "a" / "b", ignore=shutil.ignore_patterns("tests"))
    with pytest.raises(FileNotFoundError, match="make wheels"):
        next(WheelBuilder(str(alone)).build(directory=str(tmp_path)))


def test_a_checkout_has_the_shipped_weights() -> None:
    """`make install` installs them, so that the three lines work in .venv too."""
    ran = subprocess.run(
        [sys.executable, "-c", _OFFLINE + THREE_LINES[0] + _SHOWN],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert Path(json.loads(ran.stdout)["file"]).is_relative_to(ROOT)


def test_every_package_is_covered() -> None:
    """A new package is found without a change here."""
    assert {path.name for path in PACKAGES} >= {
        "toxic_core",
        "toxic_model",
        "training",
        "registry",
        "inference",
    }


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_an_index_would_take_the_wheel(package: Path, wheels: dict[Path, Path]) -> None:
    """The metadata is complete, and the description can be shown."""
    assert not check([str(wheels[package])], strict=True)
    archive = zipfile.ZipFile(wheels[package])
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(archive.read(name))
    assert (metadata["License-Expression"], metadata["License-File"]) == ("Apache-2.0", "LICENSE")
    assert metadata["Author"]
    assert metadata.get_all("Classifier")
    assert name.replace("METADATA", "licenses/LICENSE") in archive.namelist()


def test_three_lines_score_offline_as_the_service_does(
    installed: Installed, inference: Inference, tmp_path: Path
) -> None:
    """The library and the service give the same scores, and the library starts few threads."""
    ran = installed.run("python", "-c", _OFFLINE + THREE_LINES[0] + _SHOWN)
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(ran.stdout)
    assert Path(shown["file"]).is_relative_to(installed.bin.parent)
    assert shown["threads"] <= 16
    shutil.copytree(installed.bundle, tmp_path / "models" / "1")
    port = str(free_port())
    server = inference.start({"INFERENCE_MODEL_DIRECTORY": str(tmp_path / "models"), "INFERENCE_PORT": port})
    server.logs.wait_for("route.moved")
    answer = httpx.post(f"http://127.0.0.1:{port}/predict", json={"texts": TEXTS}, timeout=60).json()
    for ours, theirs in zip(shown["scores"], answer["results"], strict=True):
        assert ours == pytest.approx(theirs["scores"], abs=1e-4)


def test_the_command_scores_a_table(installed: Installed) -> None:
    """`toxic score` reads a file, names its columns and says what it did."""
    (installed.folder / "comments.csv").write_text("id;Comment\n1;Have a lovely day.\n2;\n3;You idiot.\n")
    ran = installed.run("toxic", "score", "comments.csv", "--out", "scored.csv")
    assert ran.returncode == 3, ran.stderr
    assert "3 comments" in ran.stderr
    with (installed.folder / "scored.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert float(rows[2]["score_toxic"]) > float(rows[0]["score_toxic"])


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_names_its_version_and_explains_itself(installed: Installed, program: str) -> None:
    """Outside the repository too; the help says what running it without arguments does."""
    version = installed.run(program, "--version")
    assert version.stdout.split() == [program, toxic_version()], version.stderr
    shown = installed.run(program, "--help")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"[Ww]ithout (a command|arguments)", " ".join(shown.stdout.split()))


def toxic_version() -> str:
    """Return the version of all packages."""
    source = (ROOT / "libs/toxic_core/src/toxic_core/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "(.+)"', source)
    assert found
    return found[1]


def test_training_runs_outside_the_repository(installed: Installed) -> None:
    """The wheel has the Kedro project and the sample; data is kept in the current folder."""
    ran = installed.run("toxic-training", "run", "--env", "demo", "--pipelines", "data_processing")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (installed.folder / "var/demo/data/03_primary/training_comments.parquet").is_file()
