"""What holds for the tests of every package: markers, groups for parallel runs, and no state that leaks."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before NumPy and TensorFlow are imported, here and in every process that a test starts: workers run side by side.
    for _threads in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ):
        os.environ.setdefault(_threads, "1")

import pytest

ADDRESSES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
"""Which registry MLflow speaks to: setting one for a process sets its variable for those it starts."""

SHARED = {
    "running_stack": "stack",
    "one_registry": "mlflow",
    "registry_uri": "registry",
    "database": "registry",
    "service_process": "service",
}
"""Session fixtures that start servers, with a group's name: one worker runs the tests of a group, so each starts once."""

SERVERS = frozenset(
    {
        *SHARED,
        "airflow",
        "browser",
        "inference",
        "loop",
        "plain_server",
        "promtool",
        "amtool",
        "operator_types",
    }
    | {"start_registry", "start_server", "start_training", "toxic_local"}
)
"""Fixtures that start processes: the tests that use one get the marker `server`."""

PROGRAMS = (
    "python",
    "chromium",
    "node",
    "npm",
    "go",
    "prometheus",
    "promtool",
    "alertmanager",
    "initdb",
    "pg_ctl",
)
"""Programs that only tests with the marker `server` may start: they take seconds."""

WORKER_BYTES = 4 * 1024**3
"""Memory of a worker with TensorFlow, and of the servers that its tests start."""

_AT_FIRST = {name: os.environ.get(name) for name in ADDRESSES}
_running: list[pytest.Item] = []


def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` starts: one more than cores, as tests wait for servers, if memory allows."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min((os.cpu_count() or 1) + 1, memory // WORKER_BYTES))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that use servers, group tests that share one, and start with those, as they take longest."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & SERVERS or item.get_closest_marker("e2e"):
            item.add_marker("server")
        shared = next((group for name, group in SHARED.items() if name in names), None)
        # Module fixtures are made once if a module stays together.
        item.add_marker(pytest.mark.xdist_group(shared or item.nodeid.partition("::")[0]))
    items.sort(
        key=lambda item: (item.get_closest_marker("e2e") is None, item.get_closest_marker("server") is None)
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Remember which test runs, for the check of the processes that it starts."""
    _running[:] = [item]
    try:
        return (yield)
    finally:
        _running.clear()


def _check_start(event: str, arguments: tuple[object, ...]) -> None:
    if event != "subprocess.Popen" or not _running or _running[0].get_closest_marker("server"):
        return
    command = arguments[1]
    words = command if isinstance(command, (list, tuple)) else [command]
    program = Path(os.fsdecode(str(words[0]))).name
    if program.startswith(PROGRAMS):
        with open("/tmp/cmd-audit.txt", "a") as f:
            f.write(f"{_running[0].nodeid}\t{words}\n")


sys.addaudithook(_check_start)


@pytest.fixture(scope="module", autouse=True)
def mlflow_addresses() -> Iterator[None]:
    """End a module's registry with the module: the next would hand its address to the servers it starts."""
    yield
    if (mlflow := sys.modules.get("mlflow")) is not None:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
    for name, value in _AT_FIRST.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
