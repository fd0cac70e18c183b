"""The C library's memory: few arenas, and freed memory given back.

glibc keeps an arena per thread and rarely returns what was freed in one, so a process of twenty threads that
loads models keeps several times what it uses. Other C libraries ignore this module.
"""

import ctypes
from collections.abc import Callable
from contextlib import suppress

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h
_ARENAS = 2


def bound_arenas() -> None:
    """Let all threads share two arenas; call it before threads start. MALLOC_ARENA_MAX does the same."""
    _call(lambda library: library.mallopt(_ARENA_MAX, _ARENAS))


def give_back_memory() -> None:
    """Return freed memory to the operating system: after a load, what reading and compiling took."""
    _call(lambda library: library.malloc_trim(0))


def _call(function: Callable[[ctypes.CDLL], object]) -> None:
    with suppress(OSError, AttributeError):
        function(ctypes.CDLL(None))
