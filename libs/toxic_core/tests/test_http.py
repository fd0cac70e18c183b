"""The limits of an HTTP server, on real sockets; the tests move its clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from toxic_core.http.limits import Connections, HttpLimits, most_connections
from toxic_core.http.protocol import LimitedProtocol, limited

pytestmark = pytest.mark.anyio

GET = b"GET /health HTTP/1.1\r\nhost: x\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
LIMITS = HttpLimits(connections=8, probes=(b"/health",), head_bytes=4_096, head_fields=20)


@pytest.fixture
def anyio_backend() -> str:
    """Run the tests on asyncio."""
    return "asyncio"


class Service:
    """A server in the test's event loop, which reads bodies and counts what it reads."""

    def __init__(self, guard: Connections) -> None:
        self.guard = guard
        self.seconds = 0.0
        guard.now = lambda: self.seconds
        self.address = ("127.0.0.1", 0)
        self.read = self.departed = 0
        self.clients: list[Client] = []
        self.reads = True
        self.held = asyncio.Event()
        self.held.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer 200 after the body, or 413 before it."""
        if scope["path"] == "/slow":
            await self.held.wait()
        while self.reads and scope["type"] == "http":
            message = await receive()
            if message["type"] == "http.disconnect":
                self.departed += 1
                return
            self.read += len(message["body"])
            if not message["more_body"]:
                break
        status = HTTPStatus.OK if self.reads else HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    def pass_seconds(self, seconds: float) -> None:
        """Let so much time pass, and look at every connection."""
        self.seconds += seconds
        self.guard.sweep()

    async def open(self, sent: bytes = b"") -> "Client":
        """Open a connection and send bytes."""
        client = Client(*await asyncio.open_connection(*self.address))
        self.clients.append(client)
        await client.send(sent)
        return client


class Client:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        """Send bytes, and let the server read them."""
        self.writer.write(data)
        await self.writer.drain()
        for _ in range(20):
            await asyncio.sleep(0)

    async def status(self) -> int:
        """Return the next answer's status; 0 if the connection ends without one."""
        head = b""
        with suppress(asyncio.IncompleteReadError):
            head = await self.reader.readuntil(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0


@asynccontextmanager
async def serving(limits: HttpLimits) -> AsyncIterator[Service]:
    """Run a service with limits."""
    guard = Connections(limits)
    service = Service(guard)
    config = uvicorn.Config(service, lifespan="off", log_config=None, ws="none")
    state = ServerState()
    listening = await asyncio.get_running_loop().create_server(
        lambda: LimitedProtocol(config=config, server_state=state, app_state={}, guard=guard), "127.0.0.1", 0
    )
    service.address = listening.sockets[0].getsockname()
    try:
        yield service
    finally:
        for client in service.clients:
            client.writer.transport.abort()
        listening.close()
        service.held.set()
        await until(lambda: not state.connections and not state.tasks)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A service with the test's limits."""
    async with serving(LIMITS) as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  any condition
            await asyncio.sleep(0)


CHUNKED = POST.replace(b"content-length: 1000", b"transfer-encoding: chunked")
FILL = [b"a" * 65_536] * 64
HEADS = {
    "one header": [GET + b"x: ", *FILL],
    "many headers": [GET, *[b"".join(b"x%d: y\r\n" % i for i in range(1_000))] * 64],
    "a long path": [b"GET /", *FILL],
    "trailers": [CHUNKED, b"0\r\nx: ", *FILL],
    "a chunk's extension": [CHUNKED, b"1;", *FILL],
}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.hostile(4)
async def test_an_endless_head_is_refused(service: Service, kind: str) -> None:
    """431, which arrives although the client goes on; the rest is neither parsed nor kept."""
    client = await service.open()
    for part in HEADS[kind]:
        client.writer.write(part)
        await asyncio.sleep(0)
    assert await client.status() == 431
    assert service.read == 0


async def test_an_ordinary_head_passes(service: Service) -> None:
    """Twenty fields, in pieces, twice on one connection."""
    client = await service.open()
    for _ in range(2):
        for piece in (GET, b"".join(b"x%d: %s\r\n" % (i, b"y" * 150) for i in range(19)), b"\r\n"):
            await client.send(piece)
        assert await client.status() == 200
        assert await client.reader.readexactly(2) == b"ok"


@pytest.mark.parametrize(("sent", "status"), [(b"", 0), (GET, 408), (POST + b"a", 408)])
@pytest.mark.hostile(20)
async def test_a_request_that_does_not_go_on_ends(service: Service, sent: bytes, status: int) -> None:
    """Silent, with half a header, with half a body: none is held for ever; the application is told."""
    client = await service.open(sent)
    await until(lambda: service.read == len(sent.removeprefix(POST)) if sent.startswith(POST) else True)
    service.pass_seconds(LIMITS.head_seconds / 2)
    service.pass_seconds(LIMITS.body_idle_seconds)
    assert await client.status() == status
    await until(lambda: service.departed == sent.startswith(POST))


@pytest.mark.hostile(20)
async def test_a_body_that_drips_ends(service: Service) -> None:
    """A byte in every idle time isn't enough; the mean rate counts."""
    client = await service.open(POST)
    for sent in (1, 2):
        await client.send(b"a")
        await until(lambda sent=sent: service.read == sent)  # type: ignore[misc]
        service.pass_seconds(LIMITS.body_idle_seconds * 0.9)
    assert await client.status() == 408


async def test_a_slow_body_passes(service: Service) -> None:
    """At the lowest rate, in any time."""
    client = await service.open(POST.replace(b"1000", b"100000"))
    for sent in range(1, 11):
        await client.send(b"a" * 10_000)
        await until(lambda sent=sent: service.read == sent * 10_000)  # type: ignore[misc]
        service.pass_seconds(10.0)
    assert await client.status() == 200


@pytest.mark.hostile(39)
async def test_an_early_answer_arrives(service: Service) -> None:
    """The rest of a refused body is read and dropped; then the connection serves the next request."""
    service.reads = False
    size = 4_000_000
    client = await service.open(POST.replace(b"1000", b"%d" % size))
    assert await client.status() == 413
    await client.reader.readexactly(2)
    for _ in range(size // 100_000):
        await client.send(b"a" * 100_000)
    await client.send(GET + b"\r\n")
    assert await client.status() == 413
    late = await service.open(POST)
    assert await late.status() == 413
    service.pass_seconds(LIMITS.discard_seconds + 1)
    assert await late.reader.read() == b"ok"


@pytest.mark.hostile(20)
async def test_waiting_connections_give_way(service: Service) -> None:
    """However many wait with half a header or half a body, a new request is answered."""
    held = [await service.open(sent) for sent in (GET, POST + b"a") * 20]
    client = await service.open(GET + b"\r\n")
    assert await client.status() == 200
    assert [await one.status() for one in held[:-1]] == [408] * (len(held) - 1)


@pytest.mark.hostile(20)
async def test_probes_pass_when_every_connection_works(service: Service) -> None:
    """Beyond the limit health is answered, and other requests get 503."""
    service.guard.limits = replace(LIMITS, connections=2)
    service.held.clear()
    working = [await service.open(SLOW) for _ in range(2)]
    probe, other = await service.open(GET + b"\r\n"), await service.open(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await probe.status(), await other.status()) == (200, 503)
    service.held.set()
    assert [await client.status() for client in working] == [200, 200]


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    """An answer that isn't read is dropped after a while."""
    sending: list[Awaitable[None]] = []

    async def endless(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not sending:
            await send({"type": "http.response.body", "body": b"a" * 100_000, "more_body": True})

    async with serving(LIMITS) as service:
        client = await service.open()
        (connection,) = service.guard._open
        cast("Any", connection).app = endless
        await client.send(GET + b"\r\n")
        flow = cast("Any", connection).flow
        await until(lambda: flow.write_paused)
        service.pass_seconds(LIMITS.send_idle_seconds / 2)
        assert flow.write_paused
        service.pass_seconds(LIMITS.send_idle_seconds)
        await until(lambda: not service.guard._open)
        sending.append(asyncio.sleep(0))
        await sending[0]


def test_connections_fit_the_files() -> None:
    """Never more than there are file descriptors for."""
    assert most_connections(4) == 4
    assert 16 <= most_connections(10**9) < 10**9
    assert limited(LIMITS)
