"""The file of policies; errors name the line."""

from pathlib import Path

import structlog
import yaml
from pydantic import Field, ValidationError, model_validator

from toxic_core.contract import Contract
from toxic_core.contract.schema import FrozenModel
from toxic_core.errors import ConfigurationError
from toxic_inference.policies.policy import Name, Policy, PolicyUnusableError

_log = structlog.get_logger(__name__)


class Policies(FrozenModel):
    """The content of the file: policies by name."""

    policies: dict[Name, Policy] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_keys(self) -> "Policies":
        keys = [key for policy in self.policies.values() for key in policy.keys]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise ValueError(f"the key {min(twice)!r} belongs to two policies")
        return self

    def of_key(self, key: str | None) -> str | None:
        """Return the name of the policy that an API key belongs to."""
        return next((name for name, policy in self.policies.items() if key in policy.keys), None)

    def warn(self, contract: Contract, *, version: str) -> None:
        """Log each policy that can't be applied to a version, before a request finds out."""
        for name, policy in self.policies.items():
            try:
                policy.check(contract, name=name, version=version)
            except PolicyUnusableError as error:
                _log.warning("policy.unusable", error=str(error))


def read_policies(path: Path) -> Policies:
    """Read a file of policies.

    Raises:
        ConfigurationError: it is missing or invalid; the message has the line.
    """
    try:
        return parse_policies(path.read_text(encoding="utf-8"), name=f"the policies {path}")
    except OSError as error:
        raise ConfigurationError(f"The policies {path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"The policies {path} aren't UTF-8; save the file as UTF-8.") from error


def parse_policies(text: str, *, name: str) -> Policies:
    """Return the policies in the text of a file; `name` is the file, for messages.

    Raises:
        ConfigurationError: it is invalid; the message has the line.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return Policies.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        line = _line(root, first["loc"])
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"Line {line} of {name}, {where}: {first['msg']}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: such as a day that isn't one
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else "some line"
        raise ConfigurationError(
            f"{name[0].upper()}{name[1:]} can't be read as YAML: see {place}."
        ) from error


def _line(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """Return the line of the deepest node of an error's location."""
    line = node.start_mark.line + 1 if node else 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = {key.value: (key, value) for key, value in node.value}.get(str(part))
            if found is None:
                continue  # of a union's member, or a key that is missing
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
