"""The limits of an HTTP server, and the connections that they apply to.

Invariant: connections that wait for the rest of a request never keep others out: when there are too many, the
oldest of the peer with the most of them gives way.
"""

import asyncio
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

_RESERVED_FILES = 128
"""File descriptors for everything that isn't a connection: model files, databases, uploads."""
_FEWEST_CONNECTIONS = 16
_SWEEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What a client may use of the server before a request is complete, and while it is answered.

    Attributes:
        connections: most open connections; a quarter of them may wait per peer.
        probes: beginnings of paths that are answered beyond `connections` too.
        head_bytes: largest request line with headers, in bytes; trailers count too.
        head_fields: most header fields.
        head_seconds: time for the head, from the connection's start or the last answer.
        body_idle_seconds: longest time without a byte of the body.
        body_bytes_per_second: lowest mean rate of the body, after `body_idle_seconds`.
        discard_seconds: time in which the rest of a refused request is read, so that its answer arrives.
        send_idle_seconds: longest time in which no byte of the answer is read.
    """

    connections: int = 4_096
    probes: tuple[bytes, ...] = ()
    head_bytes: int = 64 * 1024
    head_fields: int = 100
    head_seconds: float = 10.0
    body_idle_seconds: float = 20.0
    body_bytes_per_second: float = 1_000.0
    discard_seconds: float = 30.0
    send_idle_seconds: float = 60.0


class Connection(Protocol):
    """A connection, for `Connections`."""

    @property
    def peer(self) -> str:
        """The client's address."""
        ...

    def check(self, now: float) -> None:
        """End the connection if it is over a time limit."""
        ...

    def give_way(self) -> None:
        """End the connection for another one: its request isn't complete."""
        ...


class Connections:
    """The open connections of one server. Used from the event loop's thread only.

    Args:
        limits: the server's.
        now: seconds on a monotonic clock.
    """

    def __init__(self, limits: HttpLimits, *, now: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.now = now
        self._open: dict[Connection, None] = {}
        self._waiting: dict[str, dict[Connection, None]] = {}

    def opened(self, connection: Connection) -> bool:
        """Add a connection, which waits; return False if only probes may use it."""
        if not self._open:
            asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep_again)
        self._open[connection] = None
        self.waits(connection)
        of_peer = self._waiting[connection.peer]
        if len(of_peer) > max(self.limits.connections // 4, 1):
            self._end(next(iter(of_peer)))
        elif len(self._open) > self.limits.connections:
            most: dict[Connection, None] = max(self._waiting.values(), key=len)
            oldest = next(iter(most))
            if oldest is not connection:
                self._end(oldest)
        return len(self._open) <= self.limits.connections

    def closed(self, connection: Connection) -> None:
        """Remove a connection."""
        self._open.pop(connection, None)
        self.works(connection)

    def waits(self, connection: Connection) -> None:
        """Count a connection as waiting for a request, or for the rest of one."""
        self._waiting.setdefault(connection.peer, {})[connection] = None

    def works(self, connection: Connection) -> None:
        """Count a connection's request as complete."""
        of_peer = self._waiting.get(connection.peer)
        if of_peer is not None:
            of_peer.pop(connection, None)
            if not of_peer:
                del self._waiting[connection.peer]

    def sweep(self) -> None:
        """End every connection that is over a time limit."""
        now = self.now()
        for connection in tuple(self._open):
            connection.check(now)

    def _end(self, connection: Connection) -> None:
        self.closed(connection)
        connection.give_way()

    def _sweep_again(self) -> None:
        self.sweep()
        if self._open:
            asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep_again)


def most_connections(wanted: int) -> int:
    """Return how many of `wanted` connections there are file descriptors for, after raising their limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _RESERVED_FILES
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < needed:
        soft = needed if hard == unlimited else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == unlimited else min(wanted, max(soft - _RESERVED_FILES, _FEWEST_CONNECTIONS))
