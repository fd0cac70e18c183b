"""What a version must show to become champion: the schema of `gate.yml`, and how it is read.

Invariant: a policy is checked whole when it is read. A figure that is misspelt in it can't be told from one
that training doesn't write, which is why a guarantee is marked `required`.
"""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from toxic_core.errors import ConfigurationError

PACKAGED = {"default": "gate.yml", "demo": "gate-demo.yml"}
"""The policies that come with the package, by the name that REGISTRY_GATE_FILE chooses them with."""

FigureName = Annotated[str, Field(min_length=1, pattern=r"^[\w.\-]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Check(_Strict):
    """A bound on one figure.

    Attributes:
        figure: its name in the evaluation.
        at_least: the floor.
        at_most: the ceiling.
        required: whether a version without the figure is refused.
    """

    figure: FigureName
    at_least: float | None = None
    at_most: float | None = None
    required: bool = False

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"{self.figure} has neither at_least nor at_most")
        return self


class Comparison(_Strict):
    """How much worse than the champion's one figure may be.

    Attributes:
        figure: its name in both evaluations.
        margin: the largest loss that is let through, in the figure's own unit.
        better: which direction is better.
    """

    figure: FigureName
    margin: float = Field(default=0.0, ge=0.0)
    better: Literal["higher", "lower"] = "higher"


class Comparisons(_Strict):
    """The comparison with the champion.

    Attributes:
        same_test_set: figures that are equal where both were measured on one test set.
        on_another_test_set: what holds where they were not.
        figures: what is compared; a figure that either lacks isn't.
    """

    same_test_set: tuple[FigureName, ...] = ()
    on_another_test_set: Literal["refuse", "allow"] = "refuse"
    figures: tuple[Comparison, ...] = ()


class GatePolicy(_Strict):
    """The content of `gate.yml`."""

    version: Literal[1] = 1
    checks: tuple[Check, ...] = ()
    not_worse_than_champion: Comparisons = Comparisons()


def read_policy(name_or_path: str) -> GatePolicy:
    """Read a packaged policy by name, or a file.

    Raises:
        ConfigurationError: there is none, or it can't be used.
    """
    packaged = PACKAGED.get(name_or_path)
    source = files("toxic_registry") / packaged if packaged else Path(name_or_path)
    try:
        return GatePolicy.model_validate(yaml.safe_load(source.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The gate {name_or_path} can't be read: {error}; {_ADVICE}") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"The gate {name_or_path} isn't YAML: {reason}; {_ADVICE}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"The gate {name_or_path} can't be used: {wrong}; {_ADVICE}") from error


_ADVICE = "see REGISTRY_GATE_FILE."
