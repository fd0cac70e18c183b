"""Errors have one root and carry facts."""

import inspect

import pytest

from toxic_core import errors
from toxic_core.errors import ContractError, DigestMismatchError, OverloadedError, ToxicError

CLASSES = [error for _, error in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_descends_from_the_root(error: type[Exception]) -> None:
    """One `except ToxicError` catches all of the project's errors, and each is documented."""
    assert issubclass(error, ToxicError)
    assert error.__doc__


def test_an_overload_has_the_time_for_a_retry() -> None:
    """A service can return the number of seconds in its response."""
    error = OverloadedError("The queue is full.", retry_after_seconds=1.5)
    assert str(error) == "The queue is full."
    assert error.retry_after_seconds == 1.5


def test_a_wrong_digest_is_a_broken_contract() -> None:
    """Catching `ContractError` includes changed files."""
    assert issubclass(DigestMismatchError, ContractError)
