"""A load generator: HTTP/1.1 on asyncio's transports, no more, so that it takes little of the machine.

Invariant: an open loop's latencies count from when a request was due, not from when it could be sent, so that
a service that stalls doesn't slow the clock down with it.
"""

import asyncio
import itertools
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import httptools

HOST = "127.0.0.1"
LOST = 0
"""The status of a request that was never answered."""

_LOOK_SECONDS = 0.01

_VERSION = re.compile(rb'"model_version":"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    Attributes:
        due: when it was to be sent, on the monotonic clock.
        seconds: from then to the end of the answer.
        status: HTTP's, or `LOST`.
        version: the model version that answered; empty if none did.
    """

    due: float
    seconds: float
    status: int
    version: str


class _Connection(asyncio.Protocol):
    """One request at a time, and its answer whole."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._body = b""
        self.transport: asyncio.Transport | None = None

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send a request; the answer's status and body will come, or a `ConnectionError`."""
        assert self.transport is not None  # noqa: S101  connected before anybody has it
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # TCP's; uvloop's own has another base class

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            assert self.transport is not None  # noqa: S101  something came
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(str(exc)))

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), self._body))


@dataclass(slots=True)
class Callers:
    """Connections to a service, kept open and used again.

    Attributes:
        port: of the service, on the loopback address.
        outcomes: what became of every request so far.
    """

    port: int
    outcomes: list[Outcome] = field(default_factory=list)
    _idle: list[_Connection] = field(default_factory=list)

    async def ask(self, request: bytes, *, due: float) -> Outcome:
        """Send one request and keep what became of it."""
        status, version = LOST, ""
        with suppress(OSError):
            connection = await self._connection()
            status, body = await connection.ask(request)
            named = _VERSION.search(body)
            version = named[1].decode() if named else ""
            self._idle.append(connection)
        outcome = Outcome(due, time.monotonic() - due, status, version)
        self.outcomes.append(outcome)
        return outcome

    async def _connection(self) -> _Connection:
        """Return an idle connection that the service hasn't closed meanwhile, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, HOST, self.port)
        return connection

    async def hang_up(self, request: bytes, *, after_seconds: float) -> None:
        """Send one request and leave before the answer."""
        with suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, self.port)
            writer.write(request)
            await asyncio.sleep(after_seconds)
            writer.transport.abort()

    def close(self) -> None:
        """Close every connection."""
        for connection in self._idle:
            if connection.transport is not None:
                connection.transport.close()


def post(path: str, body: bytes) -> bytes:
    """Return a request with a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n"
    return head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body


def predict_requests(texts: Sequence[str]) -> Iterator[bytes]:
    """Return requests for these texts, one each, over and over."""
    return itertools.cycle([post("/predict", f'{{"text":"{text}"}}'.encode()) for text in texts])


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
    """Send so many requests at random moments, at a given mean rate, without waiting for answers.

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
        if (ahead := due - time.monotonic()) > 0:
            await asyncio.sleep(ahead)
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
