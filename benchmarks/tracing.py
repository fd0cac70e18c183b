"""Measures what traces and OTLP metrics cost, in pairs of rounds: a service with them beside one without.

    python -m benchmarks.tracing MODELS

MODELS is a folder of numbered bundles, as `INFERENCE_MODEL_DIRECTORY`. The collector is in this process, and
one request in a hundred is sampled. Prints the ratios of the pairs, as `benchmarks.before_after`, also of the
service's processor time, for which other work on the machine counts less; the aim is at most 2%.
"""

import argparse
import asyncio
import re
import urllib.request
from pathlib import Path

from benchmarks.before_after import Round, run_round, service, show_ratio
from benchmarks.peers.traffic import comments
from benchmarks.serving.load import HOST
from toxic_core.contract import open_bundle
from toxic_testing.inference.collector import running_collector

_UNCUT_TOKENS = 4_096
_CPU = re.compile(rb"^process_cpu_seconds_total (\S+)$", re.MULTILINE)


def main() -> None:
    """Run the rounds and print the ratios."""
    parser = argparse.ArgumentParser(description="Measure the cost of traces.")
    parser.add_argument("models", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=300, help="in a round")
    parser.add_argument("--share", default="0.01", help="of the requests that are sampled")
    given = parser.parse_args()
    bundle = open_bundle(next(path for path in given.models.resolve().iterdir() if path.name.isdecimal()))
    texts = comments(
        (given.rounds + 1) * given.requests, tokeniser=bundle.tokeniser(max_tokens=_UNCUT_TOKENS)
    )
    found: dict[str, list[Round]] = {"off": [], "on": []}
    here = Path(__file__).parents[1]
    with (
        running_collector() as collector,
        service(here, given.models) as off,
        service(
            here,
            given.models,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_TRACES_SAMPLER="parentbased_traceidratio",
            OTEL_TRACES_SAMPLER_ARG=given.share,
            OTEL_METRIC_EXPORT_INTERVAL="10000",
        ) as on,
    ):
        ports = {"off": off, "on": on}
        for number, start in enumerate(range(0, len(texts), given.requests)):
            # Each round has its own texts, so that neither service answers from its cache.
            own = texts[start : start + given.requests]
            for name in ("off", "on") if number % 2 else ("on", "off"):
                before = cpu_seconds(ports[name])
                measured = asyncio.run(run_round(ports[name], own, callers=32))
                measured["CPU s"] = cpu_seconds(ports[name]) - before
                if number:  # the first round warms up
                    found[name].append(measured)
    for figure in ("CPU s", "requests/s", "p50", "p99"):
        show_ratio(
            figure,
            *([each[figure] for each in found[name]] for name in ("off", "on")),
            names=("off", "on"),
        )
    print(f"{len(collector.spans)} spans and {len(collector.metrics)} metrics arrived.")


def cpu_seconds(port: int) -> float:
    """Return the processor time that a service has used."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics") as answer:
        found = _CPU.search(answer.read())
    assert found is not None  # noqa: S101  every process has this metric
    return float(found[1])


if __name__ == "__main__":
    main()
