"""The evaluation evidence of a model version: `evaluation.json` in its bundle, sealed like the rest.

A flat object of finite numbers, by name: `<set>.<label>.<language>.<figure>`, such as `test.toxic.en.auc`,
where the language is `all` over all rows; other figures have names of their own.

Invariant: evidence is a file that the contract lists, so what a gate decides on can't be changed afterwards.
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
    """Write `evaluation.json` into the bundle folder `path`, before it is sealed.

    Raises:
        ValueError: a figure isn't finite.
    """
    text = json.dumps(dict(figures), indent=2, sort_keys=True, allow_nan=False) + "\n"
    (path / EVALUATION_FILE).write_text(text, encoding="utf-8")


def read_evaluation(path: Path) -> dict[str, float]:
    """Return the figures in the bundle folder `path`.

    Raises:
        ContractError: there are none, or the file can't be read.
    """
    file = path / EVALUATION_FILE
    try:
        figures = _FIGURES.validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise ContractError(f"{file} is missing: the version comes without evaluation evidence.") from error
    except ValidationError as error:
        raise ContractError(f"{file} can't be read as figures: {error}") from error
    if not figures:
        raise ContractError(f"{file} holds no figure.")
    return figures
