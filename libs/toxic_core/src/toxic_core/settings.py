"""Error messages for invalid settings."""

from pydantic import ValidationError


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
