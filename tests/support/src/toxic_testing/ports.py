"""Free TCP ports on the loopback address."""

import random
import socket

_FIRST, _LAST = 10_000, 32_000
"""Below Linux's ephemeral ports, so that no client takes a port between the choice and the server's start."""

_CHOOSE = random.SystemRandom()


def free_port() -> int:
    """Return a port that nothing listens on; test runs side by side rarely choose the same."""
    while True:
        port = _CHOOSE.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
