"""How a service says which of its settings can't be used.

Invariant: a setting is called by its environment variable, which is what its user wrote; its value, which may
be a secret, is never repeated.
"""

from pydantic import ValidationError


def name_faults(error: ValidationError, *, prefix: str) -> str:
    """Return what is wrong with each setting, in one line.

    Args:
        error: of a `BaseSettings` class.
        prefix: of its environment variables, such as `INFERENCE_`.
    """
    faults = error.errors(include_url=False, include_input=False)
    return "; ".join(_name(fault["loc"], prefix) + fault["msg"] for fault in faults)


def _name(location: tuple[int | str, ...], prefix: str) -> str:
    # A rule over several settings has no place of its own; its message names them.
    if not location:
        return ""
    name = "_".join(map(str, location)).upper()
    # pydantic calls a setting with an alias by the alias, which is a variable already.
    return f"{prefix}{name.removeprefix(prefix)}: "
