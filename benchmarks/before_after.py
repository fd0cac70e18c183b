"""Compares the throughput and latency of two checkouts' services, in pairs of rounds on one machine.

    python -m benchmarks.before_after BEFORE AFTER MODELS

BEFORE and AFTER are checkouts; both run on this environment's packages. MODELS is a folder of numbered
bundles, as `INFERENCE_MODEL_DIRECTORY`. Both services run all the time; a round loads each of them in turn,
and the order changes from round to round. Prints the median ratio of a round's pair, and its mean with a 95%
interval.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.traffic import comments
from benchmarks.serving.load import HOST, Callers, closed_loop, percentile, predict_requests
from toxic_core.contract import open_bundle

_SOURCES = ("libs/toxic_core/src", "libs/toxic_model/src", "services/inference/src")
_START_SECONDS = 120.0
_UNCUT_TOKENS = 4_096
_Z = 1.96
Round = dict[str, float]


def main() -> None:
    """Run the rounds and print the ratios."""
    parser = argparse.ArgumentParser(description="Compare two checkouts' services.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--requests", type=int, default=600, help="in a round")
    parser.add_argument("--callers", type=int, default=32)
    given = parser.parse_args()
    bundle = open_bundle(next(path for path in given.models.resolve().iterdir() if path.name.isdecimal()))
    texts = comments(
        (given.rounds + 1) * given.requests, tokeniser=bundle.tokeniser(max_tokens=_UNCUT_TOKENS)
    )
    found: dict[str, list[Round]] = {"before": [], "after": []}
    with service(given.before, given.models) as before, service(given.after, given.models) as after:
        ports = {"before": before, "after": after}
        for number, start in enumerate(range(0, len(texts), given.requests)):
            # Each round has its own texts, so that neither service answers from its cache.
            own = texts[start : start + given.requests]
            for name in ("before", "after") if number % 2 else ("after", "before"):
                measured = asyncio.run(run_round(ports[name], own, callers=given.callers))
                if number:  # the first round warms up
                    found[name].append(measured)
    for figure in ("requests/s", "p50", "p99"):
        pair = ([each[figure] for each in found[name]] for name in ("before", "after"))
        show_ratio(figure, *pair, names=("before", "after"))


def show_ratio(figure: str, before: list[float], after: list[float], *, names: tuple[str, str]) -> None:
    """Print the medians of a figure, and the ratio of its pairs with a 95% interval."""
    ratios = [new / old for old, new in zip(before, after, strict=True)]
    spread = _Z * statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else float("nan")
    sys.stdout.write(
        f"{figure}: {statistics.median(before):.4g} {names[0]}, {statistics.median(after):.4g} {names[1]}; "
        f"ratio of a pair: median {statistics.median(ratios):.3f}, "
        f"mean {statistics.mean(ratios):.3f} ± {spread:.3f}\n"
    )


async def run_round(port: int, texts: list[str], *, callers: int) -> Round:
    """Load a service with one text per request; return its figures."""
    loaded = Callers(port)
    started = time.monotonic()
    await closed_loop(loaded, predict_requests(texts), count=len(texts), requesters=callers)
    seconds = time.monotonic() - started
    loaded.close()
    if wrong := sum(outcome.status != 200 for outcome in loaded.outcomes):  # noqa: PLR2004  HTTP's
        raise SystemExit(f"{wrong} of {len(texts)} requests failed.")
    times = [outcome.seconds for outcome in loaded.outcomes]
    return {"requests/s": len(texts) / seconds, "p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}


def free_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def service(checkout: Path, models: Path, **settings: str) -> Iterator[int]:
    """Run a checkout's service until the block ends; yield its port once it is ready.

    Args:
        checkout: whose service.
        models: a folder of numbered bundles.
        settings: more environment variables.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("INFERENCE_")},
            "PYTHONPATH": os.pathsep.join(str(checkout.resolve() / source) for source in _SOURCES),
            "INFERENCE_MODEL_DIRECTORY": str(models.resolve()),
            "INFERENCE_PORT": str(port),
            "INFERENCE_STATE_DIR": folder,
            "INFERENCE_LOG_LEVEL": "WARNING",
            **settings,
        }
        command = [sys.executable, "-m", "toxic_inference"]
        with subprocess.Popen(command, env=environment, cwd=folder) as process:
            try:
                _wait(f"http://{HOST}:{port}/health/ready", process)
                yield port
            finally:
                process.terminate()


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310  our own server
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"The service at {address} isn't ready; its log is above.")


if __name__ == "__main__":
    main()
