"""Puts the shipped bundle into the wheel: the contract, what it lists, and its signature if there is one."""

import json
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundleHook(BuildHookInterface[Any]):
    """Adds files from `models/baseline`; people's documents that the contract doesn't list stay out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  hatchling's own
        """Name the files for the wheel."""
        folder = Path(self.root).parent / "baseline"
        if not folder.is_dir():
            raise FileNotFoundError(
                "This wheel contains models/baseline of a checkout: run make wheels there."
            )
        listed = json.loads((folder / "contract.json").read_text(encoding="utf-8"))["files"]
        names = ["contract.json", *listed, *(file.name for file in folder.glob("signature.json"))]
        added = {str(folder / name): f"toxic_model_weights/bundle/{name}" for name in names}
        build_data["force_include"].update(added)
