"""One round of one contender: started, checked, loaded, ended.

Invariant: what a round found is appended to the results as one line once it is over, so that a run that was
killed resumes.
"""

import asyncio
import itertools
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.contenders import CONTENDERS, OURS, Contender, environment, interpreter
from benchmarks.peers.processes import Running, StartError, ask, running
from benchmarks.serving.load import Callers, Outcome, closed_loop, open_loop, percentile
from toxic_core.contract import WARMUP_TOLERANCE
from toxic_testing.ports import free_port

Found = dict[str, float]
_OK = 200
_KEPT_ERRORS = 600


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done.

    Attributes:
        rounds: of every contender, in turns.
        sample: texts.
        requests: in a closed loop, for each number of callers; two more of each caller aren't counted.
        open_requests: in the open loop.
        warm_up: requests before anything is measured.
    """

    rounds: int
    sample: int
    requests: Mapping[int, int]
    open_requests: int
    warm_up: int


SCALES: Mapping[str, Scale] = {
    "quick": Scale(1, 100, {1: 30, 8: 80, 32: 160, 128: 256}, 100, 64),
    "medium": Scale(3, 400, {1: 60, 8: 200, 32: 800, 128: 800}, 300, 128),
    "full": Scale(5, 1_000, {1: 200, 8: 500, 32: 1_000, 128: 1_000}, 600, 200),
}

MAIN_CALLERS = 32
"""The number of callers that peaks are compared at."""

OPEN_LOAD = 0.7
"""The open loop's rate, as a share of our own peak."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What every round needs.

    Attributes:
        bundle: the one model, in a folder `models/1` of its own.
        cache: holds the peers' environments.
        folder: of the run: logs and results.
        texts: what is sent.
        scale: how much of it.
    """

    bundle: Path
    cache: Path
    folder: Path
    texts: Sequence[str]
    scale: Scale

    def place(self, name: str) -> Path:
        """Return a contender's folder, with the model in it as a numbered version."""
        place = self.folder / name
        (place / "models").mkdir(parents=True, exist_ok=True)
        if not (place / "models/1").exists():
            (place / "models/1").symlink_to(self.bundle)
        return place


def serve_round(
    bench: Bench, contender: Contender, *, reference: Sequence[Sequence[float]], rate: float
) -> Found:
    """Start a contender and measure it.

    Args:
        bench: what every round needs.
        contender: who.
        reference: the model's scores of the first texts.
        rate: of the open loop, in requests a second; 0 for `OPEN_LOAD` of what it does itself.

    Raises:
        StartError: it doesn't answer, or not with the model's scores.
    """
    port, folder = free_port(), bench.place(contender.name)
    program = interpreter(contender.name, cache=bench.cache)
    command = [str(program), *contender.command(port, folder)]
    variables = environment(contender, program=program, bundle=bench.bundle, port=port, folder=folder)
    with running(contender, command, environment=variables, port=port, folder=folder) as server:
        if (
            contender.name != OURS
        ):  # ours answers calibrated scores, and holds the model to its own when it loads
            _check(contender, port, texts=bench.texts, reference=reference)
        return asyncio.run(_load(bench, contender, server, rate=rate))


def _check(
    contender: Contender, port: int, *, texts: Sequence[str], reference: Sequence[Sequence[float]]
) -> None:
    """Hold answers against the model's own."""
    for text, expected in zip(texts, reference, strict=False):
        found = scores_in(ask(contender, port, text))
        if len(found) != len(expected) or not all(
            abs(score - right) <= WARMUP_TOLERANCE for score, right in zip(found, expected, strict=True)
        ):
            raise StartError(f"{contender.name} answers {found}, the model {list(expected)}.")


def scores_in(answer: object) -> list[float]:
    """Return the first list of scores in an answer, however it is wrapped; empty without one."""
    if isinstance(answer, list) and answer and all(isinstance(part, float) for part in answer):
        return answer
    parts = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else ()
    return next((found for part in parts if (found := scores_in(part))), [])


async def _load(bench: Bench, contender: Contender, server: Running, *, rate: float) -> Found:
    callers = Callers(server.port)
    requests = itertools.cycle([contender.request(text) for text in bench.texts])
    await closed_loop(callers, requests, count=bench.scale.warm_up, requesters=MAIN_CALLERS)
    found: Found = {"ready_seconds": server.ready_seconds}
    for number, asked in bench.scale.requests.items():
        count = asked + 2 * number
        callers.outcomes.clear()
        # The same texts for every contender, independent of earlier requests.
        requests = itertools.cycle([contender.request(text) for text in bench.texts])
        used, own = server.cpu_seconds(), time.process_time()
        await closed_loop(callers, requests, count=count, requesters=number)
        found |= _figures(callers, prefix=f"closed_{number}")
        found[f"closed_{number}_rate"] = steady_rate(callers.outcomes, requesters=number)
        if number == MAIN_CALLERS:
            found["cpu_per_thousand"] = (server.cpu_seconds() - used) / count * 1_000
            found["generator_per_thousand"] = (time.process_time() - own) / count * 1_000
    callers.outcomes.clear()
    rate = rate or OPEN_LOAD * float(found[f"closed_{MAIN_CALLERS}_rate"])
    await open_loop(
        lambda due: callers.ask(next(requests), due=due), rate=rate, count=bench.scale.open_requests
    )
    found |= _figures(callers, prefix="open") | {"open_asked_rate": rate}
    found["memory_bytes"] = server.memory_bytes()
    callers.close()
    return found


def steady_rate(outcomes: Sequence[Outcome], *, requesters: int) -> float:
    """Return the answers a second of a closed loop, between its first and last answer to each requester.

    Before and after, fewer callers are active, so a short run would look slower than a long one.
    """
    ends = sorted(outcome.due + outcome.seconds for outcome in outcomes if outcome.status == _OK)
    steady = ends[requesters:-requesters]
    return (len(steady) - 1) / (steady[-1] - steady[0]) if len(steady) > 1 else 0.0


def _figures(callers: Callers, *, prefix: str) -> Found:
    answered = [outcome.seconds for outcome in callers.outcomes if outcome.status == _OK]
    return {
        f"{prefix}_p50": percentile(answered, 0.5),
        f"{prefix}_p99": percentile(answered, 0.99),
        f"{prefix}_failed": len(callers.outcomes) - len(answered),
    }


def program_round(bench: Bench, command: list[str], *, texts: Sequence[str]) -> dict[str, object]:
    """Run a program that reads texts and prints its figures, and return them.

    Raises:
        StartError: it failed; with its last words.
    """
    variables = environment(
        CONTENDERS[OURS], program=Path(command[0]), bundle=bench.bundle, port=0, folder=bench.folder
    )
    done = subprocess.run(
        command, input=json.dumps(list(texts)), env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StartError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-_KEPT_ERRORS:]}")
    figures: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return figures
