import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from itertools import cycle, islice, pairwise
from pathlib import Path

import pytest
import requests
from mlflow.tracking import MlflowClient
from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.exc import DatabaseError

from toxic_registry.client.registry_client import Ledger, RegistryClient
from toxic_registry.gate.gate import Gate
from toxic_registry.gate.policy import read_policy
from toxic_registry.ledger.entries import LedgerError, aliases_of, verify_aliases, verify_chain
from toxic_registry.server.gated_store import GatedStore
from toxic_testing.registry import RegistryProcess, Versions

pytestmark = pytest.mark.slow

StartRegistry = Callable[..., RegistryProcess]

ALIAS = "/api/2.0/mlflow/registered-models/alias"
TIMEOUT = 120
CHANGES = 80
CALLERS = 8  # as many promotions as may wait
GUARDS = {
    "sqlite": ("DROP TRIGGER toxic_ledger_no_update", "DROP TRIGGER toxic_ledger_no_delete"),
    "postgresql": ("DROP TRIGGER toxic_ledger_no_change ON toxic_ledger",),
}


def check(uri: str) -> Ledger:
    """Verify and return the ledger of a registry."""
    ledger = RegistryClient(uri).ledger()
    verify_chain(ledger.entries)
    verify_aliases(ledger.entries, ledger.aliases)
    return ledger


@contextmanager
def editor(database: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that runs one SQL statement in a transaction."""
    engine = create_engine(database)

    def execute(statement: str) -> None:
        with engine.begin() as connection:
            connection.execute(text(statement))

    yield execute
    engine.dispose()


def set_alias(uri: str, model: str, alias: str, number: int) -> int:
    """Request an alias and return the status code."""
    body = {"name": model, "alias": alias, "version": str(number)}
    # A return to the previous champion needs a name.
    headers = {"X-Registry-Actor": "zoe"}
    return requests.post(uri + ALIAS, json=body, headers=headers, timeout=TIMEOUT).status_code


def test_concurrent_changes_leave_one_chain(registry_uri: str, versions: Versions) -> None:
    """Every change of concurrent callers is an entry, and the last accepted one matches the alias."""
    good = [versions.add() for _ in range(3)]
    bad = versions.add({"test.toxic.es.auc": 0.5})
    before = len(check(registry_uri).entries)
    wanted = list(islice(cycle([*good, bad]), CHANGES))
    with ThreadPoolExecutor(CALLERS) as pool:
        statuses = list(pool.map(lambda n: set_alias(registry_uri, versions.model, "champion", n), wanted))
    assert {s for s, n in zip(statuses, wanted, strict=True) if n == bad} == {400}
    assert {s for s, n in zip(statuses, wanted, strict=True) if n != bad} == {200}
    rows = [e for e in check(registry_uri).entries[before:] if e.model == versions.model]
    assert [e.after for e in rows if e.outcome == "refused"] == [bad] * wanted.count(bad)
    moved = [e for e in rows if e.alias == "champion" and e.outcome == "accepted"]
    assert moved[-1].after == versions.aliases()["champion"]
    for one, following in pairwise(moved):
        assert following.before == one.after


def test_entries_and_aliases_are_read_at_one_moment(database: str) -> None:
    """Another registry may move an alias between the two queries, or waits until both are done."""
    gate = Gate(read_policy("default"), lambda uri: nullcontext(Path(uri)))
    one, other = (GatedStore(database, gate=gate, digest=lambda _: "") for _ in range(2))
    one.create_registered_model("m")  # type: ignore[no-untyped-call]  # MLflow's
    one.create_model_version("m", "s3://models/1")
    is_moving = threading.Event()

    def move() -> None:
        other.set_registered_model_alias("m", "candidate", "1")

    with ThreadPoolExecutor(1) as pool:

        @event.listens_for(one.engine, "after_cursor_execute")
        def meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if "FROM toxic_ledger" in statement and not is_moving.is_set():
                is_moving.set()
                with suppress(TimeoutError):
                    pool.submit(move).result(1.5)

        verify_aliases(*one.ledger_page(after=0, limit=10))
    entries, aliases = one.ledger_page(after=0, limit=10)
    verify_aliases(entries, aliases)
    assert aliases == {("m", "candidate"): 1}
    one.engine.dispose()


@pytest.fixture
def burst() -> Iterator[Callable[[str, str, list[int]], threading.Event]]:
    """Promote in a loop until the registry is gone; the returned event is set after the first promotion."""
    threads: list[threading.Thread] = []

    def start(uri: str, model: str, numbers: list[int]) -> threading.Event:
        busy = threading.Event()

        def promote() -> None:
            for number in cycle(numbers):
                try:
                    set_alias(uri, model, "champion", number)
                except requests.RequestException:  # killed before or while it answered
                    return
                busy.set()

        threads.extend(threading.Thread(target=promote) for _ in range(4))
        for thread in threads:
            thread.start()
        return busy

    yield start
    for thread in threads:
        thread.join()


def test_kill_in_the_middle_of_promotions_leaves_alias_and_ledger_in_agreement(
    start_registry: StartRegistry,
    tmp_path: Path,
    database: str,
    burst: Callable[[str, str, list[int]], threading.Event],
) -> None:
    """A SIGKILL may come between any two instructions; after a restart the ledger agrees with the alias."""
    environment = {"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_BACKEND_STORE_URI": database}
    registry = start_registry(environment)
    registry.wait_until_ready()
    versions = Versions(MlflowClient(registry.uri, registry.uri), "toxic-comments", tmp_path / "bundles")
    numbers = [versions.add(), versions.add(), versions.add()]
    assert burst(registry.uri, versions.model, numbers).wait(TIMEOUT)
    registry.process.send_signal(signal.SIGKILL)
    registry.join()
    again = start_registry(environment)
    again.wait_until_ready()
    ledger = check(again.uri)
    assert "found" not in {entry.outcome for entry in ledger.entries}
    assert aliases_of(ledger.entries)["toxic-comments", "champion"] in numbers


@contextmanager
def busy(database: str) -> Iterator[None]:
    """Hold the database lock that a promotion needs."""
    engine = create_engine(database)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("LOCK TABLE toxic_ledger IN EXCLUSIVE MODE"))
        yield
        connection.rollback()
    engine.dispose()


def test_kill_before_a_promotion_commits_leaves_no_trace(
    start_registry: StartRegistry, tmp_path: Path, database: str
) -> None:
    """A process killed between the gate's verdict and the commit leaves no alias and no entry."""
    environment = {"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_BACKEND_STORE_URI": database}
    registry = start_registry(environment)
    registry.wait_until_ready()
    versions = Versions(MlflowClient(registry.uri, registry.uri), "toxic-comments", tmp_path / "bundles")
    number = versions.add()
    with busy(database), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(set_alias, registry.uri, versions.model, "champion", number)
        with pytest.raises(TimeoutError):
            asked.result(1.5)
        registry.process.send_signal(signal.SIGKILL)
        registry.join()
        assert isinstance(asked.exception(), requests.ConnectionError)
    again = start_registry(environment)
    again.wait_until_ready()
    ledger = check(again.uri)
    assert ledger.entries == ()
    assert ledger.aliases == {}


def test_tampering_in_the_database_is_detected(
    start_registry: StartRegistry, tmp_path: Path, database: str
) -> None:
    """The database rejects changes of entries; without its triggers, the hash chain detects them.

    An alias that was moved in the database is detected at once and recorded at the next start.
    """
    environment = {"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_BACKEND_STORE_URI": database}
    registry = start_registry(environment)
    registry.wait_until_ready()
    versions = Versions(MlflowClient(registry.uri, registry.uri), "toxic-comments", tmp_path / "bundles")
    first, second = versions.add(), versions.add()
    versions.set_champion(first)
    with editor(database) as execute:
        for attempt in ("UPDATE toxic_ledger SET actor = 'somebody else'", "DELETE FROM toxic_ledger"):
            with pytest.raises(DatabaseError, match="append-only"):
                execute(attempt)
        execute("UPDATE registered_model_aliases SET version = version + 1")
        with pytest.raises(LedgerError, match="but the alias names version 2"):
            check(registry.uri)
        assert registry.stop() == 0
        again = start_registry(environment)
        again.wait_until_ready()
        *_, last = check(again.uri).entries
        assert (last.outcome, last.before, last.after) == ("found", first, second)
        for guard in GUARDS[make_url(database).get_backend_name()]:
            execute(guard)
        execute("UPDATE toxic_ledger SET actor = 'somebody else' WHERE sequence = 1")
        with pytest.raises(LedgerError, match="Entry 1 of the ledger was changed"):
            check(again.uri)
        execute("DELETE FROM toxic_ledger WHERE sequence = 1")
        with pytest.raises(LedgerError, match="Entry 1 of the ledger is missing"):
            check(again.uri)
