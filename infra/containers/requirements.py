"""Prints the dependencies of this repository's packages, for an image layer of their own.

    python requirements.py libs/toxic_core services/inference:otel,tensorflow

names each package by its folder, of which only `pyproject.toml` must exist, and extras, or nothing, after a
colon. Runs before anything is installed, so it uses the standard library alone.

The list leaves out packages of this repository, which change with every commit and get a layer of their own.
Each one that another needs must be named, or its own dependencies would be missing; an extra of it that
another needs is added.
"""

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

_OWN = "toxic-"


def requirements(packages: Iterable[str]) -> set[str]:
    """Return the requirements of packages, each given as `folder` or `folder:extra,extra`.

    Raises:
        SystemExit: a package of this repository is needed and wasn't named.
    """
    projects, pending = {}, []
    for package in packages:
        folder, _, extras = package.partition(":")
        project = tomllib.loads((Path(folder) / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        projects[project["name"]] = project
        pending += project["dependencies"]
        pending += [f"{project['name']}[{extras}]"] if extras else []
    lines, unnamed = set(), set()
    for line in pending:  # grows: an extra of a named package has requirements of its own
        if not line.startswith(_OWN):
            lines.add(line)
            continue
        name, extras = re.fullmatch(r"([\w-]+)(?:\[(.*)\])?.*", line).groups(default="")
        if name in projects:
            pending += [
                new
                for extra in extras.split(",")
                if extra
                for new in projects[name]["optional-dependencies"][extra]
            ]
        else:
            unnamed.add(name)
    if unnamed:
        raise SystemExit(
            f"Name the folders of {', '.join(sorted(unnamed))} as well: other packages need them."
        )
    return lines


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in sorted(requirements(sys.argv[1:])))
