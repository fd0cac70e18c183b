"""Thread priority, for machines with fewer processors than busy threads.

Reading requests and writing responses are short, and every caller waits for them; computing is long. With
equal priorities on two processors a request would wait for a time slice of computing at every step, and so
would a refusal.
"""

import os
import sys
import threading
from contextlib import suppress

_STEPS = 5
"""A third of an equal thread's processor time, for as long as both want it (sched(7))."""


def give_way() -> None:
    """Raise the nice level of the calling thread and of the threads that it starts from now on.

    Only Linux has priorities per thread; other systems ignore this. In a container or a systemd service they
    count only among its own threads, so the service keeps its share among other processes.
    """
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    with suppress(OSError):  # a sandbox may forbid it; all threads are equal then
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _STEPS)
