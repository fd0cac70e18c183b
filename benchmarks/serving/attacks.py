"""One attacker beside eight well-behaved callers: what the callers notice, per attack of `tests/hostile`.

The attacker has another address than the callers, so that each has a budget of its own.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import nan

from benchmarks.serving.load import HOST, Callers, Outcome, closed_loop, percentile, post, predict_requests
from benchmarks.serving.report import Figure
from benchmarks.serving.scale import WARM_UP, Scale
from benchmarks.serving.stand import HEAVY, Stand, memory_bytes, texts
from toxic_testing.inference.process import Server

OK = 200
_ATTACKER = "127.0.0.2"
_CALLERS = 8
_INTERVAL_SECONDS = 0.25
"""Time from one request of a caller to its next."""
_PROBE_SECONDS = 0.05
_GOOD_SECONDS = 1.0
"""An answer later than this counts as none."""
_LIVE = f"GET /health/live HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind of attack.

    Attributes:
        number: in the list of `tests/hostile`.
        name: what is sent.
        request: makes what each socket sends.
        sockets: how many send at once, each again after its answer.
        holds: whether they wait for more than the answer's beginning.
    """

    number: int
    name: str
    request: Callable[[], bytes]
    sockets: int = 2
    holds: bool = False


def _body(path: str, content: bytes, kind: str, *, announced: int = 0) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: {kind}\r\n"
    return f"{head}content-length: {announced or len(content)}\r\n\r\n".encode() + content


def _json(path: str, value: object) -> bytes:
    return post(path, json.dumps(value).encode())


_V2 = "/v2/models/toxic-comments/infer"
_SUGGEST = "/v1alpha1/comments:suggestscore"
_MARKS = "a" + "\u0301" * 5_100 + "\u0334" * 4_700
_CSV, _LINES, _JSON = "text/csv", "application/x-ndjson", "application/json"

ATTACKS = (
    Attack(1, "wrong elements", lambda: _json("/predict", {"texts": [1] * 2_000_000})),
    Attack(3, "a large body as CSV", lambda: _body("/events", b"a" * 64 * _MB, _CSV)),
    Attack(4, "headers without end", lambda: _LIVE[:-2] + b"x: y\r\n" * 2_000_000, 1),
    Attack(5, "bodies half sent", lambda: _body("/predict", b"{", _JSON, announced=50), 40, holds=True),
    Attack(6, "long texts", lambda: _json("/predict", {"texts": ["you are kind " * 1_500] * 20})),
    Attack(7, "a wide CSV", lambda: _body("/jobs", b"content" + b",a" * 400_000 + b"\nx" * 3_000, _CSV)),
    Attack(8, "a record without end", lambda: _body("/predict", b'content\n"\n",' * 1_000_000, _CSV)),
    Attack(9, "combining marks", lambda: _json("/predict", {"texts": [_MARKS] * 50})),
    Attack(18, "long identifiers", lambda: _json(_SUGGEST, {"communityId": "c" * 2 * _MB})),
    Attack(19, "slow uploads", lambda: _body("/jobs", b"text\n", _CSV, announced=36 * _MB), 10, holds=True),
    Attack(20, "headers half sent", lambda: _LIVE[:-2] + b"x: ", 260, holds=True),
    Attack(21, "announced lines", lambda: _body("/predict", b'"a"\n', _LINES, announced=_MB), 9, holds=True),
    Attack(
        31, "a shape without end", lambda: _json(_V2, {"inputs": [{"name": "a", "shape": [9] * 300_000}]})
    ),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the callers noticed during some seconds.

    Attributes:
        callers: their requests.
        probes: requests of `/health/live`.
        expected: how many requests the callers would have sent on time.
        grown: largest growth of the service's resident memory, in MB.
    """

    callers: Sequence[Outcome]
    probes: Sequence[Outcome]
    expected: int
    grown: float

    @property
    def good(self) -> float:
        """Share of the expected requests that were answered in time."""
        return sum(o.status == OK and o.seconds <= _GOOD_SECONDS for o in self.callers) / self.expected


async def attacks(stand: Stand, scale: Scale) -> list[Figure]:
    """Attack a new service in each way."""
    figures = []
    for attack in ATTACKS:
        server, port = stand.serving(HEAVY)
        callers, requests = Callers(port), predict_requests(texts(1_000))
        await closed_loop(callers, requests, count=WARM_UP, requesters=_CALLERS)
        callers.close()
        unloaded = await _see(server, port, requests, seconds=scale.attack_seconds)
        attacking = asyncio.ensure_future(_attack(port, attack, seconds=scale.attack_seconds))
        beside = await _see(server, port, requests, seconds=scale.attack_seconds)
        await attacking
        server.kill()
        figures += figures_of(attack, unloaded, beside)
    return figures


def figures_of(attack: Attack, unloaded: Seen, beside: Seen) -> list[Figure]:
    """Return the figures of an attack."""
    limit = 2 * percentile([o.seconds for o in unloaded.callers], 0.99) + 0.5
    probe, request = (max([o.seconds for o in seen], default=nan) for seen in (beside.probes, beside.callers))
    name = f"attack {attack.number}, {attack.name}"
    how = f"{attack.sockets} sockets beside {len(beside.callers)} requests and {len(beside.probes)} probes"
    goodput = beside.good / unloaded.good if unloaded.good else nan
    return [
        Figure.at_most(f"{name}: longest probe", probe, 0.5, unit="s", detail=how),
        Figure.at_most(f"{name}: longest request of another", request, limit, unit="s", detail=how),
        Figure.at_most(f"{name}: memory growth", beside.grown, 150, unit="MB", detail=how),
        Figure.at_least(f"{name}: goodput of unloaded", goodput, 0.8, unit="", detail=how),
    ]


async def _see(server: Server, port: int, requests: Iterator[bytes], *, seconds: float) -> Seen:
    callers, probes = Callers(port), Callers(port)
    before = most = memory_bytes(server)
    ends = time.monotonic() + seconds

    async def each(ask: Callable[[float], Awaitable[object]], interval: float) -> None:
        due = time.monotonic()
        while due < ends:
            await asyncio.sleep(due - time.monotonic())
            await ask(due)
            due += interval

    asking = asyncio.gather(
        each(lambda due: probes.ask(_LIVE, due=due), _PROBE_SECONDS),
        *(each(lambda due: callers.ask(next(requests), due=due), _INTERVAL_SECONDS) for _ in range(_CALLERS)),
    )
    while not asking.done():
        most = max(most, memory_bytes(server))
        await asyncio.wait([asking], timeout=0.1)
    await asking
    callers.close()
    probes.close()
    expected = int(_CALLERS * seconds / _INTERVAL_SECONDS)
    return Seen(callers.outcomes, probes.outcomes, expected, (most - before) / _MB)


async def _attack(port: int, attack: Attack, *, seconds: float) -> None:
    request = await asyncio.to_thread(attack.request)
    ends = time.monotonic() + seconds

    async def socket() -> None:
        while time.monotonic() < ends:
            # The service hangs up, or the time is over; each way the next one begins.
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + ends - time.monotonic()):
                    reader, writer = await asyncio.open_connection(HOST, port, local_addr=(_ATTACKER, 0))
                    try:
                        writer.write(request)
                        await (reader.read() if attack.holds else reader.read(1))
                    finally:
                        writer.transport.abort()

    await asyncio.gather(*(socket() for _ in range(attack.sockets)))
