"""The gate's policy: the schema of `gate.yml` and its reader.

A misspelt figure looks like one that training doesn't write, so mark the figures that you rely on as
`required`.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from toxic_core.contract.schema import FrozenModel
from toxic_core.errors import ConfigurationError

SHIPPED = "baseline.sha256"
"""The packaged file with the digests of the shipped model's files, which `make baseline-digests` writes."""

PACKAGED = {"default": "gate.yml", "demo": "gate-demo.yml"}
"""The packaged policies, by their name in REGISTRY_GATE_FILE."""

_ADVICE = "see REGISTRY_GATE_FILE."

FigureName = Annotated[str, Field(min_length=1, pattern=r"^[\w.\-]+$")]
FigurePattern = Annotated[str, Field(min_length=1, pattern=r"^[\w.\-*]+$")]
"""A figure's name, or several by `*`."""


class Check(FrozenModel):
    """A bound on one figure.

    Attributes:
        figure: its name in the evaluation.
        at_least: the floor.
        at_most: the ceiling.
        required: whether the gate refuses a version without the figure.
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


class Comparison(FrozenModel):
    """How much worse than the champion's a figure can be.

    Attributes:
        figure: its name in both evaluations.
        margin: the largest loss that passes, in the figure's unit.
        better: which direction is better.
    """

    figure: FigureName
    margin: float = Field(default=0.0, ge=0.0)
    better: Literal["higher", "lower"] = "higher"


class Comparisons(FrozenModel):
    """The comparison with the champion.

    Attributes:
        same_test_set: figures that are equal if both versions were evaluated on the same test set.
        on_another_test_set: what to do if they were not; `per_source` compares the figures of which the
            nearest count of rows is equal in both, such as `bias.toxic.rows` for `bias.toxic.combined`.
        figures: the comparisons; a figure that the champion lacks, or that is waived, is skipped.
    """

    same_test_set: tuple[FigureName, ...] = ()
    on_another_test_set: Literal["refuse", "per_source", "allow"] = "refuse"
    figures: tuple[Comparison, ...] = ()


class GatePolicy(FrozenModel):
    """The content of `gate.yml`.

    Attributes:
        version: of this schema.
        unsigned_evidence: what to do about bundles without a trusted signature; if unset, they are refused
            exactly if the registry has trusted keys.
        waived: figures that may be missing although they are required or the champion has them. A pattern
            with `*` doesn't waive required ones.
        checks: bounds on single figures.
        not_worse_than_champion: the comparison with the champion.
    """

    version: Literal[1] = 1
    unsigned_evidence: Literal["refuse", "allow"] | None = None
    waived: tuple[FigurePattern, ...] = ()
    checks: tuple[Check, ...] = ()
    not_worse_than_champion: Comparisons = Comparisons()

    def adopting(self) -> Self:
        """Return the policy for the model that ships with a release, of which the evaluation is known."""
        comparisons = self.not_worse_than_champion.model_copy(update={"on_another_test_set": "per_source"})
        waived = (*self.waived, "*")
        return self.model_copy(update={"waived": waived, "not_worse_than_champion": comparisons})

    def waives(self, figure: str) -> bool:
        """Return whether a version may lack a `figure` that the champion has."""
        return any(fnmatchcase(figure, pattern) for pattern in self.waived)


def read_policy(name_or_path: str) -> GatePolicy:
    """Read a packaged policy by name, or a file by path.

    Raises:
        ConfigurationError: the file is missing or isn't a valid policy.
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
        raise ConfigurationError(f"The gate {name_or_path} is invalid: {wrong}; {_ADVICE}") from error


def shipped_digests() -> Mapping[str, str]:
    """Return the SHA-256 of the shipped model's contract and evaluation, by file name."""
    lines = (files("toxic_registry") / SHIPPED).read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}
