import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import create_engine

from toxic_core.errors import ConfigurationError
from toxic_registry.client.registry_client import RegistryClient
from toxic_registry.ledger.entries import verify_aliases, verify_chain
from toxic_registry.server.database import upgrade_database
from toxic_testing.registry import PostgresServer, RegistryProcess

pytestmark = pytest.mark.slow

StartRegistry = Callable[..., RegistryProcess]

DATA = Path(__file__).parent / "data"
OLD_REVISION = "6953534de441"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/own.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database("old")


def load_old(database: str) -> None:
    """Fill an empty database with the dump of MLflow 3.0.0."""
    engine = create_engine(database)
    script = (DATA / f"mlflow-3.0.0.{engine.dialect.name}.sql").read_text(encoding="utf-8")
    raw = engine.raw_connection()
    with closing(raw), closing(raw.cursor()) as cursor:
        if engine.dialect.name == "sqlite":
            cursor.executescript(script)
        else:
            cursor.execute(script)
        raw.commit()
    engine.dispose()


def revision(file: Path) -> str:
    """Return the schema revision of an SQLite file."""
    with closing(sqlite3.connect(file)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_database_of_the_oldest_mlflow_is_upgraded_at_start(
    start_registry: StartRegistry, tmp_path: Path, empty_database: str
) -> None:
    """Runs, versions and aliases are kept, the ledger records the champion, and an SQLite file is copied."""
    load_old(empty_database)
    registry = start_registry(
        {"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_BACKEND_STORE_URI": empty_database}
    )
    registry.wait_until_ready()
    assert registry.events().count("database.upgraded") == 1
    client = MlflowClient(registry.uri, registry.uri)
    model = client.get_registered_model("toxic-comments")
    assert {alias: int(number) for alias, number in model.aliases.items()} == {"champion": 2}
    version = client.get_model_version("toxic-comments", "1")
    assert version.tags == {"encoder": "tiny"}
    assert version.run_id is not None
    assert client.get_run(version.run_id).data.metrics == {"auc": 0.93}
    ledger = RegistryClient(registry.uri).ledger()
    assert verify_chain(ledger.entries) == 1
    verify_aliases(ledger.entries, ledger.aliases)
    (entry,) = ledger.entries
    assert (entry.outcome, entry.after) == ("found", 2)
    copies = list(tmp_path.glob(f"own.db.{OLD_REVISION}-*.backup"))
    assert len(copies) == (1 if empty_database.startswith("sqlite") else 0)
    assert all(revision(copy) == OLD_REVISION for copy in copies)


def test_database_of_a_newer_mlflow_is_refused_untouched(tmp_path: Path) -> None:
    """The error is one line, and the file stays unchanged."""
    file = tmp_path / "mlflow.db"
    load_old(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fffffffffff1'")
        connection.commit()
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="newer MLflow"):
        upgrade_database(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_new_database_needs_no_upgrade(tmp_path: Path) -> None:
    """A database without tables isn't copied."""
    upgrade_database(f"sqlite:///{tmp_path}/mlflow.db")
    assert list(tmp_path.glob("*.backup")) == []
