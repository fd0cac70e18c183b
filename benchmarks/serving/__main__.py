"""The service under load and faults, measured.

    python -m benchmarks.serving --scale full

Starts everything it needs, prints each figure as it comes, and writes them as Markdown. The machine should
be idle otherwise.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

import uvloop

from benchmarks.serving import attacks, cost, faults, pressure, watching
from benchmarks.serving.report import Figure, write_report
from benchmarks.serving.scale import SCALES, Scale
from benchmarks.serving.stand import Stand, stand
from toxic_core.telemetry import disable_telemetry

SCENARIOS: Mapping[str, Callable[[Stand, Scale], Coroutine[None, None, list[Figure]]]] = {
    "switches": faults.switches,
    "sigterm": faults.sigterm,
    "restart": faults.restart,
    "overload": pressure.overload,
    "hang-ups": pressure.hang_ups,
    "attacks": attacks.attacks,
    "csv": cost.csv_file,
    "overhead": cost.overhead,
    "metrics": watching.watching,
}


def main() -> None:
    """Measure what is asked for."""
    disable_telemetry()
    # This process only makes the models; what serves them has settings of its own.
    os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"})
    # A SystemExit unwinds the stand, which ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = _parser().parse_args()
    figures: list[Figure] = []
    for name in chosen.only:
        found = _measure(name, SCALES[chosen.scale])
        for figure in found:
            _show(name, figure)
        figures += found
        write_report(figures, chosen.out, scale=chosen.scale)
    print(f"Written: {chosen.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks.serving", description="The service under load and faults."
    )
    parser.add_argument("--scale", choices=SCALES, default="quick", help="how much is done")
    parser.add_argument("--only", choices=SCENARIOS, nargs="+", default=list(SCENARIOS), help="which of them")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks-serving.md"), help="the report")
    return parser


def _measure(name: str, scale: Scale) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="toxic-bench-") as folder, stand(Path(folder) / "stand") as made:
        return uvloop.run(SCENARIOS[name](made, scale))


def _show(name: str, figure: Figure) -> None:
    verdict = "holds" if figure.holds else "DOES NOT HOLD"
    measured = f"{figure.value:.4g} {figure.unit}".strip()
    print(f"{name}: {figure.name}: {measured} ({figure.floor}: {verdict}); {figure.detail}", flush=True)


if __name__ == "__main__":
    main()
