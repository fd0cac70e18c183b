"""Puts the Kedro project into the wheel: `conf/`, `pyproject.toml` and the sample."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_INCLUDED = {
    "conf/base": "conf/base",
    "conf/demo": "conf/demo",
    "conf/local/.gitkeep": "conf/local/.gitkeep",  # Kedro wants the folder
    "conf/logging.yml": "conf/logging.yml",
    ".telemetry": ".telemetry",
    "pyproject.toml": "pyproject.toml",
    "README.md": "src/README.md",  # and this one, which pyproject.toml names
    "../../data/sample": "sample",
}


class ProjectHook(BuildHookInterface[Any]):
    """Adds the project as the folder `project` of the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files for the wheel."""
        if version != "editable":
            if not Path(self.root, "../../data/sample").is_dir():
                raise FileNotFoundError(
                    "This wheel contains data/sample of a checkout: run make wheels there."
                )
            added = {
                str(Path(self.root, file)): f"toxic_training/project/{to}" for file, to in _INCLUDED.items()
            }
            build_data["force_include"].update(added)
