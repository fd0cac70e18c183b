"""What metrics cost: the same load on a service that counts and on one that doesn't, in pairs."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from http.client import HTTPConnection

from benchmarks.serving.load import HOST, Callers, closed_loop, predict_requests
from benchmarks.serving.report import Figure
from benchmarks.serving.scale import WARM_UP, Scale
from benchmarks.serving.stand import HEAVY, LIGHT, Stand, texts
from toxic_inference.testing.bundles import TinyModel

_CALLERS = 8
_PERCENT = 100
_MICROSECONDS = 1_000_000


async def watching(stand: Stand, scale: Scale) -> list[Figure]:
    """Measure throughput with metrics on and off, of a model that costs something and of one that doesn't."""
    heavy, light = await _pairs(stand, scale, HEAVY), await _pairs(stand, scale, LIGHT)
    lost = [1 - off / on for off, on in heavy]
    more = [(on - off) / scale.sample * _MICROSECONDS for off, on in light]
    how = f"{scale.sample} requests of {_CALLERS} callers a turn, scraped once, {len(heavy)} pairs"
    return [
        Figure.at_most(
            "throughput lost to metrics",
            statistics.median(lost) * _PERCENT,
            2,
            unit="%",
            detail=f"median of pairs from {min(lost):.1%} to {max(lost):.1%}; {how}",
        ),
        Figure.at_most(
            "time that metrics add to a request beside a model that costs nothing",
            statistics.median(more),
            100,
            unit="µs",
            detail=f"median of pairs from {min(more):.0f} to {max(more):.0f}; {how}",
        ),
    ]


async def _pairs(stand: Stand, scale: Scale, model: TinyModel) -> list[tuple[float, float]]:
    """Return seconds for the same requests, without and with metrics, a pair a round."""
    servers, services = [], []
    for metrics in ("off", "on"):
        server, port = stand.serving(model, metrics=metrics)
        servers.append(server)
        services.append(Callers(port))
    requests = predict_requests(texts(1_000))
    for callers in services:
        await closed_loop(callers, requests, count=WARM_UP, requesters=_CALLERS)
    pairs = []
    for round_ in range(2 * scale.rounds + 1):
        # Which of the two goes first alternates, so that a machine that slows down favours neither.
        order = (0, 1) if round_ % 2 else (1, 0)
        seconds = {which: await _timed(services[which], requests, scale) for which in order}
        pairs.append((seconds[0], seconds[1]))
    for callers, server in zip(services, servers, strict=True):
        callers.close()
        server.terminate()
    return pairs


async def _timed(callers: Callers, requests: Iterator[bytes], scale: Scale) -> float:
    """Return how long the requests take, with one scrape among them."""
    callers.outcomes.clear()
    started = time.monotonic()
    scraping = asyncio.ensure_future(asyncio.to_thread(_scrape, callers.port))
    await closed_loop(callers, requests, count=scale.sample, requesters=_CALLERS)
    await scraping
    return time.monotonic() - started


def _scrape(port: int) -> None:
    connection = HTTPConnection(HOST, port, timeout=30)
    connection.request("GET", "/metrics")
    connection.getresponse().read()
    connection.close()
