"""Which threads go first where there are fewer processors than threads that want one.

Reading and answering are short, and everybody waits for them; computing is long. Were they equals on two
processors, a request would stand in line behind a time slice of computing at every step, and a refusal too.
"""

import os
import sys
import threading
from contextlib import suppress

_STEPS = 5
"""A third of an equal's processor time, for as long as both want it (sched(7))."""


def give_way() -> None:
    """Let the calling thread, and those that it starts from now on, go after the process's others.

    Priorities of threads are Linux's alone; elsewhere nothing is done. In a container or a service of systemd
    they count among its own threads only, so that nothing is taken from the service.
    """
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    with suppress(OSError):  # a sandbox may forbid it; all are equals then
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _STEPS)
