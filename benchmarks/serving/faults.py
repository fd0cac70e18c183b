"""What goes wrong in a service's life: switches of the champion, a stop, a start without its registry."""

import asyncio
import itertools
import signal
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.serving.load import (
    LOST,
    Callers,
    Outcome,
    closed_loop,
    open_loop,
    percentile,
    post,
    predict_requests,
    until,
)
from benchmarks.serving.pressure import peak_rate
from benchmarks.serving.report import Figure
from benchmarks.serving.scale import WARM_UP, Scale
from benchmarks.serving.stand import HEAVY, SECRET, Stand, texts
from toxic_core.registered import CHAMPION, MODEL_NAME
from toxic_testing.ports import free_port

OK = 200
_ALIAS_PATH = "/api/2.0/mlflow/registered-models/alias"
_MS = 1000
_SETTLED_SECONDS = 0.5
"""What counts as part of a switch after the new version's first answer: the old one is being freed."""


async def switches(stand: Stand, scale: Scale) -> list[Figure]:
    """Move the champion back and forth under a steady load."""
    registry_port, port = free_port(), free_port()
    registry = stand.registry(registry_port, inference_port=port)
    await asyncio.to_thread(stand.two_versions, registry.uri)
    server = stand.inference(
        port, registry_uri=registry.uri, event_secret=SECRET, cache_dir=stand.folder / "cache"
    )
    server.logs.wait_for("route.moved")
    callers = Callers(port)
    requests = predict_requests(texts(1_000))
    await closed_loop(callers, requests, count=WARM_UP, requesters=4)
    callers.outcomes.clear()
    windows: list[tuple[float, float]] = []
    pause = scale.requests / scale.rate / scale.switches
    registry_callers = Callers(registry_port)
    moving = asyncio.ensure_future(
        _move(registry_callers, callers, windows, times=scale.switches, pause=pause)
    )
    while not moving.done() or len(callers.outcomes) < scale.requests:
        await open_loop(lambda due: callers.ask(next(requests), due=due), rate=scale.rate, count=200)
    await moving
    registry_callers.close()
    callers.close()
    return _switch_figures(callers.outcomes, windows)


async def _move(
    registry: Callers, callers: Callers, windows: list[tuple[float, float]], *, times: int, pause: float
) -> None:
    """Move the champion so often; note when each switch began and ended.

    By MLflow's REST API: its client would block the load generator in this process.
    """
    for version in itertools.islice(itertools.cycle("21"), times):
        started = time.monotonic()
        body = f'{{"name":"{MODEL_NAME}","alias":"{CHAMPION}","version":"{version}"}}'
        moved = await registry.ask(post(_ALIAS_PATH, body.encode()), due=started)
        if moved.status != OK:
            raise RuntimeError(f"the registry answered {moved.status} instead of moving the champion")

        async def answers(version: str = version, started: float = started) -> bool:
            return any(o.version == version and o.due > started for o in callers.outcomes[-100:])

        await until(answers)
        windows.append((started, time.monotonic() + _SETTLED_SECONDS))
        await asyncio.sleep(max(pause - (time.monotonic() - started), 2 * _SETTLED_SECONDS))


def _switch_figures(outcomes: Sequence[Outcome], windows: Sequence[tuple[float, float]]) -> list[Figure]:
    failures = Counter(outcome.status for outcome in outcomes if outcome.status != OK)
    during = [o.seconds for o in outcomes if any(a <= o.due <= b for a, b in windows)]
    steady = [o.seconds for o in outcomes if not any(a <= o.due <= b for a, b in windows)]
    slowest = max(end - start for start, end in windows) - _SETTLED_SECONDS
    switching, between = percentile(during, 0.99), percentile(steady, 0.99)
    return [
        Figure.none(
            "failed requests while the champion is switched",
            failures.total(),
            f"{len(windows)} switches, {len(outcomes):,} requests, slowest switch {slowest:.2f} s; "
            f"by status {dict(failures)}",
        ),
        Figure.at_most(
            "p99 during a switch against steady",
            switching / between,
            2,
            unit="×",
            detail=f"{switching * _MS:.1f} ms of {len(during):,} requests against {between * _MS:.1f} ms",
        ),
    ]


async def sigterm(stand: Stand, scale: Scale) -> list[Figure]:
    """Ask the service to stop while it answers."""
    server, port = stand.serving(HEAVY)
    callers, requests = Callers(port), predict_requests(texts(1_000))
    await closed_loop(callers, requests, count=WARM_UP, requesters=8)
    peak = await peak_rate(callers, requests, scale)
    callers.outcomes.clear()
    loading = asyncio.ensure_future(
        open_loop(lambda due: callers.ask(next(requests), due=due), rate=peak, count=int(2 * peak))
    )
    await asyncio.sleep(1.0)
    server.process.send_signal(signal.SIGTERM)
    stopped = time.monotonic()
    await loading
    status = await asyncio.to_thread(server.process.wait, 60)
    accepted = [o for o in callers.outcomes if o.due < stopped]
    lost = sum(o.status == LOST for o in accepted)
    in_flight = sum(o.due + o.seconds > stopped for o in accepted)
    how = f"{in_flight} in progress of {len(accepted)} sent before"
    return [
        Figure.none("requests sent before SIGTERM and lost", lost, how),
        Figure.none("exit status after SIGTERM", status, how),
    ]


async def restart(stand: Stand, _scale: Scale) -> list[Figure]:
    """Kill the registry and the service, and start the service alone."""
    registry_port, port = free_port(), free_port()
    registry = stand.registry(registry_port, inference_port=port)
    await asyncio.to_thread(stand.two_versions, registry.uri)
    settings = {"registry_uri": registry.uri, "cache_dir": stand.folder / "cache-restart"}
    first = stand.inference(port, **settings)
    first.logs.wait_for("route.moved")
    registry.kill()
    first.kill()
    callers, requests = Callers(port), predict_requests(texts(10))
    started = time.monotonic()
    stand.inference(port, **settings)

    async def answered() -> bool:
        return (await callers.ask(next(requests), due=time.monotonic())).status == OK

    await until(answered)
    seconds = time.monotonic() - started
    callers.close()
    return [
        Figure.at_most(
            "first answer from the cache, registry gone",
            seconds,
            15,
            unit="s",
            detail="from the start of the process",
        )
    ]
