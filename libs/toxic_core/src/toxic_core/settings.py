"""Settings from files of secrets, and error messages for invalid settings."""

import os
import re
from pathlib import Path

from pydantic import ValidationError

from toxic_core.errors import ConfigurationError

SECRETS = Path("/run/secrets")
"""The folder in which Compose and Swarm mount secrets."""


def load_secrets() -> None:
    """Set environment variables from the files in `SECRETS`, each named like its variable.

    A variable that is set and not empty keeps its value. Empty files, folders and files with other names,
    which some systems mount there, are ignored. Call it before anything reads the environment.

    Raises:
        ConfigurationError: a file can't be read.
    """
    files = sorted(SECRETS.iterdir()) if SECRETS.is_dir() else []
    for file in files:
        if not re.fullmatch("[A-Z][A-Z0-9_]*", file.name) or not file.is_file() or os.environ.get(file.name):
            continue
        try:
            value = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"The secret {file} can't be read: {type(error).__name__}. It must be UTF-8 text that user "
                f"{os.getuid()} can read."
            ) from None
        if value:
            os.environ[file.name] = value


def name_faults(error: ValidationError, *, prefix: str) -> str:
    """Return one line with each invalid setting's environment variable and fault, without its value.

    Args:
        error: of a `BaseSettings` class.
        prefix: of its environment variables, such as `INFERENCE_`.
    """
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        name = "_".join(map(str, fault["loc"])).upper()
        # An alias is the whole variable. A rule over several settings names them in its message.
        variable = f"{prefix}{name.removeprefix(prefix)}: " if name else ""
        lines.append(variable + fault["msg"])
    return "; ".join(lines)
