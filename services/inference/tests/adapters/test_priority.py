import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from toxic_inference.adapters.priority import give_way

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="threads have priorities of their own on Linux alone"
)


def niceness() -> int:
    """Return the calling thread's; the higher, the later its turn."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def niceness_of_a_new_thread() -> int:
    """Return what a thread has that the calling one starts."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(niceness).result()


def test_a_computing_thread_and_what_it_starts_go_after_the_others() -> None:
    """The threads that a runtime starts while it loads a model are those that compute it."""
    ours = niceness()
    with ThreadPoolExecutor(1, initializer=give_way) as executor:
        assert executor.submit(niceness).result() > ours
        assert executor.submit(niceness_of_a_new_thread).result() == executor.submit(niceness).result()
    assert niceness() == niceness_of_a_new_thread() == ours


def test_where_it_is_forbidden_all_stay_equals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that refuses the call doesn't keep the service from computing."""

    def forbid(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbid)
    with ThreadPoolExecutor(1, initializer=give_way) as executor:
        assert executor.submit(niceness).result() == niceness()
