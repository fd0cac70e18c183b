"""Prometheus and Alertmanager, as Debian ships them; alone, and beside the services that they watch."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from toxic_testing.inference.bundles import BundleFactory
from toxic_testing.watching import Loop

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]


def find_program(*names: str) -> str:
    """Return the first installed program; a test that needs one fails without it."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    assert found, f"{names[0]} is not installed; Debian: apt install prometheus prometheus-alertmanager"
    return found


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without what could name targets, and `environment`."""
    meant = ("PROMETHEUS_", "ALERTMANAGER_", "TRAINING_", "RUNBOOK_")
    return {**{k: v for k, v in os.environ.items() if not k.startswith(meant)}, **environment}


@pytest.fixture
def run() -> Run:
    """Run a program to its end, and return its output."""

    def to_end(
        command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            env=clean_environment(environment or {}),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return to_end


@pytest.fixture(scope="session")
def promtool() -> str:
    """Return the path of promtool."""
    return find_program("promtool")


@pytest.fixture(scope="session")
def amtool() -> str:
    """Return the path of amtool."""
    return find_program("amtool")


@pytest.fixture(scope="session")
def programs(promtool: str) -> dict[str, str]:
    """Return the paths of the programs that watch."""
    return {
        "prometheus": find_program("prometheus"),
        "promtool": promtool,
        "alertmanager": find_program("alertmanager", "prometheus-alertmanager"),
    }


@pytest.fixture(scope="session")
def infra() -> Path:
    """Return the folder of the infrastructure."""
    return ROOT / "infra"


@pytest.fixture(scope="module")
def loop(
    tmp_path_factory: pytest.TempPathFactory, programs: dict[str, str], build_bundle: BundleFactory
) -> Iterator[Loop]:
    """Everything, started, without any version to serve."""
    made = Loop(tmp_path_factory.mktemp("loop"), root=ROOT, programs=programs, build_bundle=build_bundle)
    try:
        made.start()
        yield made
    finally:
        made.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report what wasn't run."""
    terminalreporter.write_line(
        "Not run here: Grafana itself. Its dashboards are checked as JSON, and each of their expressions "
        "by a real Prometheus."
    )
