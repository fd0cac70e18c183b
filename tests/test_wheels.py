"""The wheels of every package, built and listed."""

import re
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(
    path.parent
    for path in ROOT.glob("*/*/pyproject.toml")
    if path.parent != ROOT / "tests" / "support"  # test helpers, for development only
)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_wheel_contains_its_package_and_no_test(package: Path, tmp_path: Path) -> None:
    """Tests and their helpers stay in the repository."""
    (built,) = WheelBuilder(str(package)).build(directory=str(tmp_path))
    names = zipfile.ZipFile(built).namelist()
    module = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    assert f"{module.replace('-', '_')}/py.typed" in names
    assert [
        name
        for name in names
        if re.search(r"(^|/)(tests?|testing|toxic_testing|conftest|test_\w+)(/|\.py$)", name)
    ] == []


def test_every_package_is_covered() -> None:
    """A new package is found without a change here."""
    assert {path.name for path in PACKAGES} >= {
        "toxic_core",
        "toxic_model",
        "training",
        "registry",
        "inference",
    }
