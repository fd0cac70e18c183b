"""Which version a path asks for."""

from collections.abc import Callable

from toxic_inference.serving.interfaces import Target

ReadTarget = Callable[..., Target]
"""A FastAPI dependency that reads a target from the parameters of the path."""


def champion() -> Target:
    """Return the target of a path that names no version."""
    return Target()


def version_in_path(version: str) -> Target:
    """Return the target of a path with a version."""
    return Target(version=version)


def label_in_path(label: str) -> Target:
    """Return the target of a path with a label, which is an alias here."""
    return Target(alias=label)
