"""Checks and migrates MLflow's database before the server uses it.

Invariant: a migration runs before the first request, and an SQLite file is copied first.
"""

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from toxic_core.errors import ConfigurationError
from toxic_core.files import replacing

_log = structlog.stdlib.get_logger(__name__)

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_ADVICE = "see REGISTRY_BACKEND_STORE_URI."


_CHECK_SECONDS = 3.0


class DatabaseProbe:
    """Checks, for health probes, whether a database answers. Thread-safe.

    One check runs at a time, so that a database which doesn't answer keeps one thread, not all of them.

    Args:
        engine: connects to the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()

    def fault(self) -> str:
        """Return why the database doesn't answer, in one line; empty if it does."""
        if not self._turn.acquire(timeout=_CHECK_SECONDS):
            return f"The registry's database doesn't answer within {_CHECK_SECONDS:g} s."
        try:
            with self._engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            return f"The registry's database doesn't answer: {first_line(error)}"
        finally:
            self._turn.release()
        return ""


def check_database(uri: str) -> None:
    """Connect to the database once; MLflow would retry a wrong address for more than a minute.

    Raises:
        ConfigurationError: MLflow doesn't support the database, or the database doesn't answer.
    """
    url = _parse(uri)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() not in _DATABASES:
        raise ConfigurationError(f"MLflow doesn't support {shown}; use one of {', '.join(_DATABASES)}.")
    # libpq's drivers decode text by this encoding; without it, SQLAlchemy fails on an SQL_ASCII database.
    options = {"client_encoding": "utf8"} if url.get_driver_name() in {"psycopg", "psycopg2"} else {}
    queries = {
        "sqlite": "PRAGMA user_version",  # SQLite opens any file; a query that reads it shows what it is
        "postgresql": "SHOW server_encoding",
    }
    try:
        engine = create_engine(url, connect_args=options)
        with engine.connect() as connection:
            answer = connection.execute(text(queries.get(url.get_backend_name(), "SELECT 1"))).scalar()
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise ConfigurationError(
            f"The registry can't use the database {shown}: {first_line(error)}; {_ADVICE}"
        ) from error
    if answer == "SQL_ASCII":
        raise ConfigurationError(
            f"The registry can't use the database {shown}: it has no text encoding (SQL_ASCII). "
            f"Create one with CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8', and {_ADVICE}"
        )


def upgrade_database(uri: str) -> None:
    """Migrate the schema of an older MLflow's database to this one's; a new database needs nothing.

    Raises:
        ConfigurationError: the migration failed, or a newer MLflow made the database. The copy is kept.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  imported only once it is configured
    from mlflow.store.db import utils  # noqa: PLC0415

    engine = create_engine(_parse(uri))
    try:
        found, wanted = utils._get_schema_version(engine), utils._get_latest_schema_revision()  # noqa: SLF001  `mlflow db upgrade` is a command, not a function
        if found is None or found == wanted:
            return
        copy = _copy_file(engine.url, found)
        _log.info("database.upgrading", found=found, wanted=wanted, copy=str(copy) if copy else None)
        utils._upgrade_db(engine)  # noqa: SLF001
        _log.info("database.upgraded", revision=wanted)
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise ConfigurationError(f"MLflow's database can't be upgraded: {first_line(error)}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "alembic":
            raise
        raise ConfigurationError(
            f"MLflow's database can't be upgraded; a newer MLflow may have made it: {first_line(error)}"
        ) from error
    finally:
        engine.dispose()


def first_line(error: Exception) -> str:
    """Return an error's first line, without the background that SQLAlchemy appends."""
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0].rstrip(".;") if str(cause).strip() else type(cause).__name__


def _copy_file(url: URL, revision: str) -> Path | None:
    """Copy an SQLite file in one consistent state; other databases have their own backups."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    source = Path(url.database)
    # Never over an earlier copy: a failed migration may have left the file itself half migrated.
    copy = source.with_name(f"{source.name}.{revision}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.backup")
    with (
        replacing(copy) as partial,
        closing(sqlite3.connect(source)) as old,
        closing(sqlite3.connect(partial)) as new,
    ):
        old.backup(new)
    return copy


def _parse(uri: str) -> URL:
    try:
        return make_url(uri)
    except ArgumentError as error:
        raise ConfigurationError(
            f"The registry's database address isn't valid, such as sqlite:////folder/mlflow.db; {_ADVICE}"
        ) from error
