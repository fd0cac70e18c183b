"""A load generator: HTTP/1.1 over asyncio streams and nothing else, so that it takes little of the machine.

Invariant: an open loop's latencies count from when a request was due, not from when it could be sent, so that
a service that stands still doesn't slow the clock down with it.
"""

import asyncio
import itertools
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
LOST = 0
"""The status of a request that was never answered."""

_LOOK_SECONDS = 0.01

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
_VERSION = re.compile(rb'"model_version":"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    Attributes:
        due: when it was to be sent, on the monotonic clock.
        seconds: from then to the end of the answer.
        status: HTTP's, or `LOST`.
        version: the model version that answered; empty where none did.
    """

    due: float
    seconds: float
    status: int
    version: str


@dataclass(slots=True)
class Callers:
    """Connections to the service's `/predict`, kept open and used again.

    Attributes:
        port: of the service, on the loopback address.
        outcomes: what became of every request so far.
    """

    port: int
    outcomes: list[Outcome] = field(default_factory=list)
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def ask(self, request: bytes, *, due: float) -> Outcome:
        """Send one request and keep what became of it."""
        status, version = LOST, ""
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await self._connection()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await _body(reader, head)
            status = int(head[9:12])
            named = _VERSION.search(body)
            version = named[1].decode() if named else ""
            self._idle.append((reader, writer))
        outcome = Outcome(due, time.monotonic() - due, status, version)
        self.outcomes.append(outcome)
        return outcome

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return an idle connection that the service hasn't closed meanwhile, or a new one."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(HOST, self.port)

    async def hang_up(self, request: bytes, *, after_seconds: float) -> None:
        """Send one request and leave before the answer."""
        with suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, self.port)
            writer.write(request)
            await asyncio.sleep(after_seconds)
            writer.transport.abort()

    def close(self) -> None:
        """Close every connection."""
        for _, writer in self._idle:
            writer.close()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Read the rest of an answer: as long as its head says, or in chunks (RFC 9112, 7.1)."""
    if length := _LENGTH.search(head):
        return await reader.readexactly(int(length[1]))
    parts = []
    while _CHUNKED.search(head):
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        parts.append((await reader.readexactly(size + len(b"\r\n")))[:size])
        if not size:
            break
    return b"".join(parts)


def predict_requests(texts: Sequence[str]) -> Iterator[bytes]:
    """Return requests for these texts, one each, over and over."""
    bodies = [f'{{"text":"{text}"}}'.encode() for text in texts]
    head = f"POST /predict HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\ncontent-length: "
    return itertools.cycle([head.encode() + f"{len(body)}\r\n\r\n".encode() + body for body in bodies])


async def closed_loop(callers: Callers, requests: Iterator[bytes], *, count: int, requesters: int) -> None:
    """Send so many requests, each requester its next as soon as it has its answer."""
    numbers = iter(range(count))

    async def requester() -> None:
        for _ in numbers:
            await callers.ask(next(requests), due=time.monotonic())

    await asyncio.gather(*(requester() for _ in range(requesters)))


async def open_loop(
    send: Callable[[float], Awaitable[object]], *, rate: float, count: int, seed: int = 1
) -> None:
    """Send so many requests at random moments, so many a second on average, whatever becomes of them.

    Args:
        send: sends one, given when it was due.
        rate: a second.
        count: how many.
        seed: of the moments.
    """
    rng = random.Random(seed)  # noqa: S311  moments, not secrets
    sending = set()
    due = time.monotonic()
    for _ in range(count):
        due += rng.expovariate(rate)
        await asyncio.sleep(max(due - time.monotonic(), 0))
        task = asyncio.ensure_future(send(due))
        sending.add(task)
        task.add_done_callback(sending.discard)
    await asyncio.gather(*sending)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once `holds` says so, asking again and again."""
    for _ in itertools.count():
        if await holds():
            return
        await asyncio.sleep(_LOOK_SECONDS)


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the value that a share of the values don't exceed (nearest rank); NaN of none."""
    if not seconds:
        return float("nan")
    return sorted(seconds)[min(int(share * len(seconds)), len(seconds) - 1)]
