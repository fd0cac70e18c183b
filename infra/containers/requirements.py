"""Prints what packages of this repository depend on, so that a layer of an image holds that and nothing else.

    python requirements.py libs/toxic_core services/inference:cpu

names each package by its folder, where only `pyproject.toml` need lie, and an extra after a colon. Runs
before anything is installed, so it uses the standard library alone.

Invariant: packages of this repository aren't in the list; they change with every commit, and come in a layer
of their own.
"""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

_OWN = "toxic-"


def requirements(packages: Iterable[str]) -> Iterator[str]:
    """Yield the requirements of packages, each given as `folder` or `folder:extra`."""
    for package in packages:
        folder, _, extra = package.partition(":")
        project = tomllib.loads((Path(folder) / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        lines = [*project["dependencies"], *(project["optional-dependencies"][extra] if extra else ())]
        yield from (line for line in lines if not line.startswith(_OWN))


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in sorted(set(requirements(sys.argv[1:]))))
