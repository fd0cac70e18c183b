"""What holds for the tests of every package: markers, groups for parallel runs, and no state that leaks."""

import inspect
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

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
    "empty_database": "registry",
    "service_process": "service",
}
"""Fixtures with servers that last for a session, each with a group: one worker runs a group's tests."""

STARTERS = {"executable", "LocalCommand", "LocalStack", "PostgresServer", "RegistryProcess", "Server"} | {
    "find_program",
    "open_chromium",
    "quick_python",
}
"""Names that start processes, `sys.executable` among them: a test that uses one gets the marker `server`."""

PROGRAMS = ("python", "chromium", "node", "npm", "go", "prometheus", "promtool", "initdb", "pg_ctl")
"""Programs that take seconds: `make test-fast` refuses to start them."""

SLOW = re.compile(r"^pytestmark = .*pytest\.mark\.slow", re.MULTILINE)
"""A line of test files that start TensorFlow or take seconds: `make test-fast` doesn't read them."""

WORKER_BYTES = 4 * 1024**3
"""Memory of a worker with TensorFlow and of the servers that its tests start."""

_AT_FIRST = {name: os.environ.get(name) for name in ADDRESSES}


def pytest_configure(config: pytest.Config) -> None:
    """Keep the fast tests fast."""
    if "not server" in config.option.markexpr:
        sys.addaudithook(_refuse_programs)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files of slow tests out of a fast run, before their libraries are imported."""
    if "not slow" in config.option.markexpr and collection_path.suffix == ".py":
        return True if SLOW.search(collection_path.read_text(encoding="utf-8")) else None
    return None


def _refuse_programs(event: str, arguments: tuple[object, ...]) -> None:
    test = os.environ.get("PYTEST_CURRENT_TEST")
    if event != "subprocess.Popen" or test is None:
        return
    program = Path(str(arguments[0])).name
    if program.startswith(PROGRAMS):
        raise RuntimeError(f"{test} starts {program}: mark it with `server`, or use no process.")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers of `-n auto`: one more than cores, since tests wait for servers."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min((os.cpu_count() or 1) + 1, memory // WORKER_BYTES))


def _names(function: FunctionType, seen: set[FunctionType]) -> set[str]:
    """Return the names that a function uses, itself or through functions of its module."""
    seen.add(function)
    codes, names = [function.__code__], set[str]()
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    for value in [function.__globals__.get(name) for name in names]:
        if isinstance(value, FunctionType) and value.__module__ == function.__module__ and value not in seen:
            names |= _names(value, seen)
    return names


def _starts_processes(item: pytest.Function) -> bool:
    definitions = item._fixtureinfo.name2fixturedefs.values()  # noqa: SLF001  pytest offers no other way
    functions = {item.function, *(each.func for several in definitions for each in several)}
    unwrapped = {inspect.unwrap(getattr(function, "__func__", function)) for function in functions}
    seen: set[FunctionType] = set()
    return any(STARTERS & _names(each, seen) for each in unwrapped if isinstance(each, FunctionType))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use servers, form the groups, and put the longest tests first."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        group = next((SHARED[name] for name in SHARED if name in names), None)
        if (
            group
            or item.get_closest_marker("e2e")
            or (isinstance(item, pytest.Function) and _starts_processes(item))
        ):
            item.add_marker("server")
        # A module stays together: its fixtures are made once.
        item.add_marker(pytest.mark.xdist_group(group or item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("e2e", "server")])


@pytest.fixture(scope="module", autouse=True)
def quiet_root() -> None:
    """Take away the handler that Kedro adds on import: it prints every package's warnings to stdout."""
    handlers = logging.root.handlers
    handlers[:] = [handler for handler in handlers if type(handler).__module__ != "kedro.logging"]


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
