"""The C library's memory."""

import ctypes

import pytest

from toxic_inference.adapters.memory import bound_arenas, give_back_memory


class Library:
    """A C library that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[int, ...]]] = []

    def mallopt(self, *arguments: int) -> int:
        """Record."""
        self.calls.append(("mallopt", arguments))
        return 1

    def malloc_trim(self, *arguments: int) -> int:
        """Record."""
        self.calls.append(("malloc_trim", arguments))
        return 1


def test_the_c_library_is_told_to_keep_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two arenas for all threads, and no memory that was freed."""
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    bound_arenas()
    give_back_memory()
    assert library.calls == [("mallopt", (-8, 2)), ("malloc_trim", (0,))]


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only glibc has these functions."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    bound_arenas()
    give_back_memory()
