"""What holds for the tests of every package: markers, groups for parallel runs, and no state that leaks."""

import os
import sys
from collections.abc import Iterator

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores. Set before NumPy and TensorFlow are imported, here and in processes of tests.
    for _threads in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
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
"""Fixtures whose servers last for a session, each with a group: one worker runs the tests of a group."""

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
"""Fixtures that start processes: tests that use one get the marker `server`."""

WORKER_BYTES = 4 * 1024**3
"""Memory of a worker with TensorFlow and of the servers that its tests start."""

_AT_FIRST = {name: os.environ.get(name) for name in ADDRESSES}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers of `-n auto`: one more than cores, since tests wait for servers."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min((os.cpu_count() or 1) + 1, memory // WORKER_BYTES))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use servers, form the groups, and put the longest tests first."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & SERVERS or item.get_closest_marker("e2e"):
            item.add_marker("server")
        # A module stays together: its fixtures are made once.
        module = item.nodeid.partition("::")[0]
        group = next((SHARED[name] for name in SHARED if name in names), module)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("e2e", "server")])


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
