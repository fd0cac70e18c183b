"""What metrics cost: the same load on a service that counts and on one that doesn't, in pairs."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection

from benchmarks.serving.load import HOST, Callers, closed_loop, predict_requests
from benchmarks.serving.report import Figure
from benchmarks.serving.scale import WARM_UP, Scale
from benchmarks.serving.stand import HEAVY, LIGHT, Stand, cpu_seconds, texts
from toxic_testing.inference.bundles import TinyModel
from toxic_testing.inference.process import Server

_CALLERS = 8
_PERCENT = 100
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class _Turn:
    """What the same requests took.

    Attributes:
        seconds: on the wall.
        cpu_seconds: of the service.
    """

    seconds: float
    cpu_seconds: float


async def watching(stand: Stand, scale: Scale) -> list[Figure]:
    """Measure throughput with metrics on and off, and the processor's time with a model of no cost."""
    heavy, light = await _pairs(stand, scale, HEAVY), await _pairs(stand, scale, LIGHT)
    lost = [1 - off.seconds / on.seconds for off, on in heavy]
    more = [(on.cpu_seconds - off.cpu_seconds) / scale.sample * _MICROSECONDS for off, on in light]
    how = f"{scale.sample} requests of {_CALLERS} callers per turn, scraped once, {len(heavy)} pairs"
    return [
        Figure.at_most(
            "throughput lost to metrics",
            statistics.median(lost) * _PERCENT,
            2,
            unit="%",
            detail=f"median of pairs from {min(lost):.1%} to {max(lost):.1%}; {how}",
        ),
        Figure.at_most(
            "processor time that metrics add to a request",
            statistics.median(more),
            100,
            unit="µs",
            detail=f"median of pairs from {min(more):.0f} to {max(more):.0f}; {how}",
        ),
    ]


async def _pairs(stand: Stand, scale: Scale, model: TinyModel) -> list[tuple[_Turn, _Turn]]:
    """Return what the same requests take without and with metrics, a pair a round."""
    services = []
    for metrics in ("off", "on"):
        server, port = stand.serving(model, metrics=metrics)
        services.append((server, Callers(port)))
    requests = predict_requests(texts(1_000))
    for _, callers in services:
        await closed_loop(callers, requests, count=WARM_UP, requesters=_CALLERS)
    pairs = []
    for round_ in range(2 * scale.rounds + 1):
        # Which of the two goes first alternates, so that a machine that slows down favours neither.
        order = (0, 1) if round_ % 2 else (1, 0)
        turns = {which: await _turn(*services[which], requests, scale=scale) for which in order}
        pairs.append((turns[0], turns[1]))
    for server, callers in services:
        callers.close()
        server.terminate()
    return pairs


async def _turn(server: Server, callers: Callers, requests: Iterator[bytes], *, scale: Scale) -> _Turn:
    """Send the requests, with one scrape among them."""
    callers.outcomes.clear()
    started, used = time.monotonic(), cpu_seconds(server)
    scraping = asyncio.ensure_future(asyncio.to_thread(_scrape, callers.port))
    await closed_loop(callers, requests, count=scale.sample, requesters=_CALLERS)
    await scraping
    return _Turn(time.monotonic() - started, cpu_seconds(server) - used)


def _scrape(port: int) -> None:
    connection = HTTPConnection(HOST, port, timeout=30)
    connection.request("GET", "/metrics")
    connection.getresponse().read()
    connection.close()
