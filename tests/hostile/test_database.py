"""A compromised inference pod has its own database role: corrections, without the registry's tables."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sql
from sqlalchemy.exc import ProgrammingError

from toxic_inference.corrections.record import Feedback, FeedbackSource
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_testing.registry import PostgresServer
from toxic_testing.registry.tables import create_tables

pytestmark = [pytest.mark.server, pytest.mark.hostile(28)]

SCRIPT = Path(__file__).resolve().parents[2] / "infra" / "kubernetes" / "base" / "database-roles.sh"


@pytest.fixture(params=["postgres", "registry"])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """PostgreSQL as this release makes it, and as release 0.1 did."""
    running = PostgresServer(request.param)
    yield running
    running.stop()


def make_roles(server: PostgresServer, superuser: str) -> None:
    """Run the script, as PostgreSQL's image does."""
    host, _, port = server.host.partition(":")
    environment = {
        "PATH": f"{Path(shutil.which('psql') or '').parent}:{os.environ['PATH']}",
        "PGHOST": host,
        "PGPORT": port,
        "POSTGRES_USER": superuser,
        "REGISTRY_DB_PASSWORD": "one's",
        "INFERENCE_DB_PASSWORD": "other",
    }
    subprocess.run(["bash", str(SCRIPT)], env=environment, check=True, capture_output=True, text=True)


def address(server: PostgresServer, role: str) -> str:
    """Return the registry's database, as a role."""
    return f"postgresql+psycopg://{role}@{server.host}/registry"


def run(engine: sql.Engine, statement: str) -> object:
    """Run a statement that answers one value."""
    with engine.begin() as connection:
        return connection.execute(sql.text(statement)).scalar()


def correction(name: str) -> Feedback:
    """Return a correction."""
    return Feedback(
        id=name,
        text="a kind word",
        language=None,
        labels={"toxic": True},
        scores={},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        model_version="1",
        source=FeedbackSource.NATIVE,
        actor=None,
    )


def test_each_service_has_the_rights_that_it_needs(
    server: PostgresServer, request: pytest.FixtureRequest
) -> None:
    """MLflow's tables are closed to inference, and corrections of an older stack become its own."""
    superuser = request.node.callspec.params["server"]
    make_roles(server, superuser)
    create_tables(address(server, "registry"))
    registry = sql.create_engine(address(server, "registry"))
    if superuser == "registry":
        old = DatabaseFeedbackStore(address(server, "registry"))
        old.add(correction("old"))
        old.close()
    else:
        assert run(registry, "SELECT rolsuper FROM pg_roles WHERE rolname = 'registry'") is False
    make_roles(server, superuser)
    store = DatabaseFeedbackStore(address(server, "inference"))
    store.add(correction("new"))
    store.close()
    inference = sql.create_engine(address(server, "inference"))
    assert run(inference, "SELECT count(*) FROM correction") == 1 + (superuser == "registry")
    for statement in (
        "SELECT count(*) FROM public.model_versions",
        "DELETE FROM public.registered_model_aliases",
        "CREATE TABLE public.mine (one integer)",
        "CREATE SCHEMA other",
        "CREATE ROLE other",
        "SET ROLE registry",
    ):
        with pytest.raises(ProgrammingError, match="permission denied"):
            run(inference, statement)
    registry.dispose()
    inference.dispose()
