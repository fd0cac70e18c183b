"""docs/benchmarks.md: what was measured, as ratios with their spread, beside what it should be.

Invariant: a ratio is made of two figures of one round, and shown as the median and range over the rounds.
"""

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from pathlib import Path

from benchmarks.peers.contenders import OURS, ROOT

FLOOR = "bare model"
"""The bare model's name among the results."""

DETOXIFY = "detoxify"
"""That of Detoxify's way of calling."""

_CALLERS = (1, 8, 32, 128)
_PEAK = "closed_32_rate"
_MB = 1024 * 1024
_MS = 1_000
_GIGA = 1e9

Figures = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Results:
    """What was found.

    Attributes:
        rounds: each one's figures, round by round.
        errors: why somebody couldn't be measured.
    """

    rounds: Mapping[str, Sequence[Figures]]
    errors: Mapping[str, str]

    def servers(self) -> list[str]:
        """Return who was measured over HTTP."""
        return [name for name, rounds in self.rounds.items() if rounds and _PEAK in rounds[0]]

    def median(self, name: str, key: str) -> float:
        """Return the median over rounds; NaN without any."""
        found = [_number(figures[key]) for figures in self.rounds.get(name, ()) if key in figures]
        return statistics.median(found) if found else float("nan")


@dataclass(frozen=True, slots=True)
class _Claim:
    """A row of the table of ratios: how it comes of a round, and what it should be."""

    figure: str
    of_round: Callable[[Mapping[str, Figures]], float | None]
    target: float
    at_least: bool = True
    unit: str = "×"

    def row(self, rounds: Sequence[Mapping[str, Figures]]) -> str:
        """Return the row, with the median and the range over rounds."""
        found = [value for figures in rounds if (value := self.of_round(figures)) is not None]
        target = f"{'≥' if self.at_least else '≤'} {self.target:g}{self.unit}"
        if not found:
            return f"| {self.figure} | not measured | {target} | no |"
        middle = statistics.median(found)
        holds = middle >= self.target if self.at_least else middle <= self.target
        spread = f"{middle:.2f}{self.unit} ({min(found):.2f} to {max(found):.2f})"
        return f"| {self.figure} | {spread} | {target} | {'yes' if holds else '**no**'} |"


def _number(value: object) -> float:
    assert isinstance(value, int | float)  # noqa: S101  figures are written by this package
    return float(value)


def _against(name: str, key: str) -> Callable[[Mapping[str, Figures]], float | None]:
    """Return our figure over another's."""

    def ratio(figures: Mapping[str, Figures]) -> float | None:
        if name not in figures or OURS not in figures:
            return None
        return _number(figures[OURS][key]) / _number(figures[name][key])

    return ratio


def _against_best(
    key: str, best: Callable[[Sequence[float]], float]
) -> Callable[[Mapping[str, Figures]], float | None]:
    """Return our figure over the best peer's in the same round."""

    def ratio(figures: Mapping[str, Figures]) -> float | None:
        peers = [_number(found[key]) for name, found in figures.items() if name != OURS and _PEAK in found]
        return _number(figures[OURS][key]) / best(peers) if peers and OURS in figures else None

    return ratio


def _kept(figures: Mapping[str, Figures]) -> float | None:
    if OURS not in figures or FLOOR not in figures:
        return None
    return _number(figures[OURS][_PEAK]) / _number(figures[FLOOR]["rate"])


def _over_detoxify(figures: Mapping[str, Figures]) -> float | None:
    if OURS not in figures or DETOXIFY not in figures:
        return None
    return _number(figures[OURS][_PEAK]) / _number(figures[DETOXIFY]["rate"])


def _ready(figures: Mapping[str, Figures]) -> float | None:
    return _number(figures[OURS]["ready_seconds"]) if OURS in figures else None


_CLAIMS = (
    _Claim("throughput, 32 callers, against the best peer", _against_best(_PEAK, max), 2.0),
    _Claim("throughput, 32 callers, against `mlflow models serve`", _against("mlflow", _PEAK), 5.0),
    _Claim(
        "p99 at 70% of our peak rate, against the best peer's",
        _against_best("open_p99", min),
        0.7,
        at_least=False,
    ),
    _Claim("share of the bare model's throughput that the service keeps", _kept, 0.9, unit=""),
    _Claim("comments per second, against Detoxify's architecture as Detoxify calls it", _over_detoxify, 8.0),
    _Claim(
        "CPU seconds per 1,000 comments, against the best peer's",
        _against_best("cpu_per_thousand", min),
        0.6,
        at_least=False,
    ),
    _Claim("start to ready", _ready, 6.0, at_least=False, unit=" s"),
)


def write_report(results: Results, path: Path, *, scale: str, bundle: str) -> None:
    """Write the report under a temporary name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text("\n".join(_lines(results, scale=scale, bundle=bundle)) + "\n", encoding="utf-8")
    temporary.replace(path)


def _lines(results: Results, *, scale: str, bundle: str) -> list[str]:
    number = max((len(rounds) for rounds in results.rounds.values()), default=0)
    by_round = [
        {name: rounds[index] for name, rounds in results.rounds.items() if index < len(rounds)}
        for index in range(number)
    ]
    return [
        "# Benchmarks",
        "",
        *_facts(number, scale=scale, bundle=bundle),
        "",
        "| figure | median (range over rounds) | target | holds |",
        "|---|---|---|---|",
        *(claim.row(by_round) for claim in _CLAIMS),
        "",
        "## Servers",
        "",
        *_servers(results),
        "",
        *_READING,
        "",
        "## Floors",
        "",
        *_floors(results),
        *(["", "## Not measured", ""] if results.errors else []),
        *(f"- {name}: `{_shown(error)}`" for name, error in results.errors.items()),
    ]


_READING = (
    "Responses are counted while every caller is active, not during ramp-up or while the last ones finish.",
    "In the open loop, every server gets 70% of our own peak of the same round. If a peer can't keep up, its",
    "queue grows for the whole measurement, and its p99 with it. Start to ready is the time from a process's",
    "start to its first response, with files in the page cache. Memory counts shared pages once.",
)


def _shown(error: str) -> str:
    """Return an error on one line, with paths relative to the repository's root."""
    return " ".join(error.replace(f"{ROOT}/", "").split())


def _facts(rounds: int, *, scale: str, bundle: str) -> list[str]:
    moment = datetime.now(UTC).isoformat(timespec="minutes")
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, load average {os.getloadavg()[0]:.1f} at the end"
    return [
        f"Written by `make bench` on {moment}: {machine};",
        f"scale `{scale}`, rounds in alternation: {rounds}. One model ({bundle}), one machine, one run:",
        "compare ratios, not absolute figures.",
    ]


def _servers(results: Results) -> list[str]:
    rates = " | ".join(f"{callers} callers" for callers in _CALLERS)
    head = f"| | {rates} | p50/p99 ms at 32 | p50/p99 ms open | CPU s/1,000 | MB | ready s | failed |"
    return [head, "|---" * (len(_CALLERS) + 7) + "|", *(_server(results, name) for name in results.servers())]


def _server(results: Results, name: str) -> str:
    def middle(key: str, scale: float = 1.0) -> str:
        return f"{results.median(name, key) * scale:.4g}"

    failed = sum(results.median(name, f"closed_{callers}_failed") for callers in _CALLERS)
    cells = [
        *(middle(f"closed_{callers}_rate") for callers in _CALLERS),
        f"{middle('closed_32_p50', _MS)} / {middle('closed_32_p99', _MS)}",
        f"{middle('open_p50', _MS)} / {middle('open_p99', _MS)}",
        middle("cpu_per_thousand"),
        middle("memory_bytes", 1 / _MB),
        middle("ready_seconds"),
        f"{failed + results.median(name, 'open_failed'):.0f}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _floors(results: Results) -> list[str]:
    limit = results.median(FLOOR, "matmul_per_second")
    facts = {
        "bare model on the scheduler's batches, comments/s": results.median(FLOOR, "rate"),
        "bare model, CPU seconds per 1,000 comments": results.median(FLOOR, "cpu_per_thousand"),
        **{
            f"bare model on {runtime}, comments/s": results.median(FLOOR, f"rate.{runtime}")
            for runtime in ("tensorflow-float32", "openvino-float32", "openvino-bfloat16", "openvino-int8")
        },
        "matrix products of this machine in the serving precision, GFLOP/s": limit / _GIGA,
        "bare model's share of these": results.median(FLOOR, "operations_per_second") / limit,
        "Detoxify's architecture, one text per call, comments/s": results.median(DETOXIFY, "rate"),
        "Detoxify's architecture, 32 texts per call in order, comments/s": results.median(
            DETOXIFY, "rate_of_32"
        ),
        "load generator, CPU seconds per 1,000 requests": results.median(OURS, "generator_per_thousand"),
    }
    return [
        "| floor | |",
        "|---|---|",
        *(f"| {name} | {value:.3g} |" for name, value in facts.items() if not isnan(value)),
        "",
        "The share counts the products of real tokens with weights. Padding, attention's own products,",
        "softmax, GELU and LayerNorm, and products too small for full speed account for the rest. The load",
        "generator runs on the same processors as the servers.",
    ]
