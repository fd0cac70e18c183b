"""The evaluation evidence of a model version: `evaluation.json` in its bundle, sealed like the rest.

A flat JSON object of finite numbers. Most names are `<set>.<label>.<language>.<figure>`, such as
`test.toxic.en.auc`, with the language `all` for all rows. The contract lists the file, so the figures that
the gate judges can't change after sealing.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from toxic_core.errors import ContractError

EVALUATION_FILE = "evaluation.json"

_FIGURES = TypeAdapter(dict[str, Annotated[float, Field(allow_inf_nan=False)]])


def write_evaluation(path: Path, figures: Mapping[str, float]) -> None:
    """Write `evaluation.json` into the unsealed bundle folder `path`.

    Raises:
        ValueError: a figure isn't finite.
    """
    text = json.dumps(dict(figures), indent=2, sort_keys=True, allow_nan=False) + "\n"
    (path / EVALUATION_FILE).write_text(text, encoding="utf-8")


def read_evaluation(path: Path) -> dict[str, float]:
    """Return the figures in the bundle folder `path`.

    Raises:
        ContractError: the file is missing, invalid or has no figures.
    """
    file = path / EVALUATION_FILE
    try:
        figures = _FIGURES.validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise ContractError(f"{file} is missing: the version has no evaluation evidence.") from error
    except ValidationError as error:
        raise ContractError(f"{file} isn't a valid evaluation: {error}") from error
    if not figures:
        raise ContractError(f"{file} has no figures.")
    return figures
