"""More callers than there is room for, and callers who don't wait."""

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence

from benchmarks.serving.load import Callers, Outcome, closed_loop, open_loop, percentile, predict_requests
from benchmarks.serving.report import Figure
from benchmarks.serving.scale import WARM_UP, Scale
from benchmarks.serving.stand import HEAVY, Stand, memory_bytes, metric, texts

OK = 200
OVERLOADED = 429
_MS = 1000
_MB = 1024 * 1024
_LEAVE_AFTER_SECONDS = 0.005


async def overload(stand: Stand, scale: Scale) -> list[Figure]:
    """Offer three times what the service can do."""
    server, port = stand.serving(HEAVY)
    callers, requests = Callers(port), predict_requests(texts(1_000))
    await closed_loop(callers, requests, count=WARM_UP, requesters=8)
    peak = await peak_rate(callers, requests, scale)
    callers.outcomes.clear()
    await open_loop(
        lambda due: callers.ask(next(requests), due=due), rate=peak / 10, count=max(scale.sample // 4, 100)
    )
    unloaded = percentile([o.seconds for o in callers.outcomes], 0.99)
    callers.close()
    server.terminate()

    # What an operator sets who wants answers soon or not at all: wait and batch of one unloaded p99 each.
    tokens = statistics.fmean(len(text.split()) + 2 for text in texts(1_000))
    budget = max(int(peak * tokens * unloaded), 64)
    server, port = stand.serving(HEAVY, max_queue_seconds=unloaded, batch_token_budget=budget)
    callers = Callers(port)
    await closed_loop(callers, requests, count=WARM_UP, requesters=8)
    before = memory_bytes(server)
    callers.outcomes.clear()
    started = time.monotonic()
    count = int(3 * peak * scale.overload_seconds)
    await open_loop(lambda due: callers.ask(next(requests), due=due), rate=3 * peak, count=count)
    took = time.monotonic() - started
    callers.close()
    grown = (memory_bytes(server) - before) / _MB
    return _overload_figures(callers.outcomes, took=took, peak=peak, unloaded=unloaded, grown=grown)


async def peak_rate(callers: Callers, requests: Iterator[bytes], scale: Scale) -> float:
    """Return how many answers a second there can be."""
    callers.outcomes.clear()
    started = time.monotonic()
    await closed_loop(callers, requests, count=scale.sample, requesters=32)
    return scale.sample / (time.monotonic() - started)


def _overload_figures(
    outcomes: Sequence[Outcome], *, took: float, peak: float, unloaded: float, grown: float
) -> list[Figure]:
    accepted = [o.seconds for o in outcomes if o.status == OK]
    refused = [o.seconds for o in outcomes if o.status == OVERLOADED]
    other = len(outcomes) - len(accepted) - len(refused)
    slowest, refusals = percentile(accepted, 0.99), percentile(refused, 0.99) * _MS
    how = (
        f"{len(outcomes) / took:.0f} per second offered, peak {peak:.0f}; {len(accepted):,} answered, "
        f"{len(refused):,} refused, {other:,} other"
    )
    return [
        Figure.none("overload: responses other than scores or 429", other, how),
        Figure.at_most(
            "overload: accepted p99 against unloaded",
            slowest / unloaded,
            3,
            unit="×",
            detail=f"{slowest * _MS:.1f} ms against {unloaded * _MS:.1f} ms",
        ),
        Figure.at_most("overload: p99 of refusals", refusals, 50, unit="ms", detail="429 with Retry-After"),
        Figure.at_least("overload: goodput of peak", len(accepted) / took / peak, 0.85, unit="", detail=how),
        Figure.at_most("overload: memory growth", grown, 50, unit="MB", detail="resident, before to after"),
    ]


async def hang_ups(stand: Stand, scale: Scale) -> list[Figure]:
    """Let a tenth of the callers leave before their answer."""
    _, port = stand.serving(HEAVY)
    callers, requests = Callers(port), predict_requests(texts(1_000))
    await closed_loop(callers, requests, count=WARM_UP, requesters=8)
    rate = await peak_rate(callers, requests, scale) / 3
    medians: dict[bool, list[float]] = {False: [], True: []}
    failures: Counter[int] = Counter()
    for leaving in (False, True) * scale.rounds:  # in turns, so that a busier machine slows both
        callers.outcomes.clear()
        await open_loop(_sender(callers, requests, leaving=leaving), rate=rate, count=scale.sample)
        failures.update(o.status for o in callers.outcomes if o.status != OK)
        medians[leaving].append(percentile([o.seconds for o in callers.outcomes], 0.5))
    callers.close()
    plain, beside = (statistics.median(medians[leaving]) for leaving in (False, True))
    departed = await asyncio.to_thread(metric, port, "toxic_inference_departed_rows_total")
    return [
        Figure.none(
            "failed requests beside callers who hang up",
            failures.total(),
            f"{rate:.0f} per second; by status {dict(failures)}",
        ),
        Figure.at_most(
            "p50 with 10% of callers hanging up, against none",
            beside / plain,
            1.2,
            unit="×",
            detail=f"{beside * _MS:.1f} ms against {plain * _MS:.1f} ms; {departed:.0f} left waiting",
        ),
    ]


def _sender(
    callers: Callers, requests: Iterator[bytes], *, leaving: bool
) -> Callable[[float], Awaitable[object]]:
    """Return what sends a request; every tenth leaves before its answer, if they should."""
    leaves = itertools.cycle([leaving, *[False] * 9])

    def send(due: float) -> Awaitable[object]:
        if next(leaves):
            return callers.hang_up(next(requests), after_seconds=_LEAVE_AFTER_SECONDS)
        return callers.ask(next(requests), due=due)

    return send
