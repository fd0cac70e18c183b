"""What holds for the repository as a whole."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from toxic_core.telemetry import TELEMETRY_OFF

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(path for path in ROOT.glob("*/*/pyproject.toml"))


def _pins() -> dict[str, list[Version]]:
    pins: dict[str, list[Version]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, rest = line.partition("==")
        pins.setdefault(name.lower().replace("_", "-"), []).append(Version(rest.split(";")[0].strip()))
    return pins


def _dependencies(package: Path) -> list[Requirement]:
    project = tomllib.loads(package.read_text())["project"]
    extras = project.get("optional-dependencies", {})
    # An environment holds one TensorFlow: the lock has training's, images take these.
    locked = [line for name, lines in extras.items() if name not in {"tensorflow", "gpu"} for line in lines]
    return [Requirement(line) for line in [*project["dependencies"], *locked]]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.parent.name)
def test_the_lock_holds_a_fitting_version_of_every_dependency(package: Path) -> None:
    """A dependency that is added or moved without `make lock` is found."""
    pins = _pins()
    ours = {tomllib.loads(path.read_text())["project"]["name"] for path in PACKAGES}
    for requirement in _dependencies(package):
        name = requirement.name.lower().replace("_", "-")
        if name in ours:
            continue
        assert name in pins, f"{name} is not in constraints.txt; run `make lock`"
        fitting = [version for version in pins[name] if version in requirement.specifier]
        assert fitting, (
            f"constraints.txt has {name} {pins[name]}, not {requirement.specifier}; run `make lock`"
        )


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.parent.name)
def test_a_package_states_its_version_once_and_has_complete_metadata(package: Path) -> None:
    """Hatch reads the version from the package's `__version__`; licence, authors and readme are declared."""
    declared = tomllib.loads(package.read_text())
    project = declared["project"]
    assert project["dynamic"] == ["version"]
    assert "version" not in project
    assert _version(package) == _version(PACKAGES[0]), "all packages are released together"
    assert project["license"] == "Apache-2.0"
    assert project["authors"]
    assert (package.parent / project["readme"]).read_text().startswith(f"# {project['name']}")


def _version(package: Path) -> str:
    module = tomllib.loads(package.read_text())["tool"]["hatch"]["version"]["path"]
    found = re.search(r'^__version__ = "(.+)"$', (package.parent / module).read_text(), re.MULTILINE)
    assert found, f"{module} has no __version__"
    return found[1]


def test_the_production_overlay_names_images_of_this_version() -> None:
    """The tags in the production overlay are the packages' version."""
    overlay = (ROOT / "infra/kubernetes/overlays/production/kustomization.yaml").read_text()
    assert set(re.findall(r'newTag: "(.+?)"', overlay)) == {_version(PACKAGES[0])}


def test_locks_record_no_address() -> None:
    """Users have their own index."""
    listed = ["constraints.txt", "*requirements.txt", "*package-lock.json", "*.lock", "*go.sum"]
    command = ["git", "-C", str(ROOT), "ls-files", *listed]
    locks = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "constraints.txt" in locks
    assert [lock for lock in locks if "://" in (ROOT / lock).read_text(encoding="utf-8")] == []


def test_telemetry_env_turns_every_telemetry_off() -> None:
    """The variables that `make` exports are those that the services set themselves."""
    lines = (ROOT / "infra" / "telemetry.env").read_text(encoding="utf-8").splitlines()
    assert dict(line.split("=") for line in lines if not line.startswith("#")) == TELEMETRY_OFF
    shown = subprocess.run(
        ["make", "--silent", "--eval", "shown: ; @env", "shown"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert (
        TELEMETRY_OFF.items()
        <= dict(line.split("=", 1) for line in shown.splitlines() if "=" in line).items()
    )


@pytest.mark.parametrize(
    "path",
    [
        "data/01_raw/train.csv",
        "data/06_models/classifier.keras",
        ".env",
        ".env.partial",
        ".env.secrets/POSTGRES_PASSWORD",
        ".env.secrets.partial/POSTGRES_PASSWORD",
        "stacks/test.env",
        "stacks/test.env.partial",
        "stacks/test.env.secrets/POSTGRES_PASSWORD",
        "services/training/conf/local/credentials.yml",
        "var/demo/registry/mlflow.db",
        "server.pem",
    ],
)
def test_private_files_are_ignored_by_git(path: str) -> None:
    """Raw data, credentials and local state can't be committed by accident."""
    assert (
        subprocess.run(["git", "-C", str(ROOT), "check-ignore", "--quiet", path], check=False).returncode == 0
    )


@pytest.mark.parametrize("path", ["data/sample/test.csv", "data/behaviour/templates/en.toml"])
def test_generated_comments_are_not_ignored_by_git(path: str) -> None:
    """The sample and the templates are part of the repository."""
    assert (
        subprocess.run(["git", "-C", str(ROOT), "check-ignore", "--quiet", path], check=False).returncode == 1
    )
