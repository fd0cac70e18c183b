"""MLflow's database before the server uses it: whether it answers, and its schema.

Invariant: a database is migrated only by one process at a time, before the first request, and where it is a
file, only after a copy of it was written beside it.
"""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from toxic_core.errors import ConfigurationError

_log = structlog.stdlib.get_logger(__name__)

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_ADVICE = "see REGISTRY_BACKEND_STORE_URI."


def check_database(uri: str) -> None:
    """Connect once: MLflow itself would retry a wrong address for more than a minute.

    Raises:
        ConfigurationError: the address isn't a database that MLflow knows, or it doesn't answer.
    """
    url = _parse(uri)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() not in _DATABASES:
        raise ConfigurationError(f"MLflow keeps nothing in {shown}; use one of {', '.join(_DATABASES)}.")
    try:
        engine = create_engine(url)
        if url.get_backend_name() == "postgresql":
            _check_encoding(engine, shown)
        with engine.connect() as connection:
            # SQLite opens any file; only a query finds that it is no database.
            connection.execute(
                text("SELECT 1" if url.get_backend_name() != "sqlite" else "PRAGMA user_version")
            )
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise ConfigurationError(
            f"The registry can't use the database {shown}: {first_line(error)}; {_ADVICE}"
        ) from error


def _check_encoding(engine: Engine, shown: str) -> None:
    # Without one the driver gives bytes, which SQLAlchemy ends on before its first query: asked beneath it.
    arguments, options = engine.dialect.create_connect_args(engine.url)
    dbapi = engine.dialect.loaded_dbapi
    try:
        connection = dbapi.connect(*arguments, **options)
    except dbapi.Error as error:
        raise ConfigurationError(
            f"The registry can't use the database {shown}: {first_line(error)}; {_ADVICE}"
        ) from error
    with closing(connection), closing(connection.cursor()) as cursor:
        cursor.execute("SHOW server_encoding")
        (found,) = cursor.fetchone()
    if found in {"SQL_ASCII", b"SQL_ASCII"}:
        raise ConfigurationError(
            f"The registry can't use the database {shown}: it has no text encoding (SQL_ASCII); make one by "
            f"CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8', and {_ADVICE}"
        )


def upgrade_database(uri: str) -> None:
    """Bring the schema of an older MLflow's database up to this one's; nothing happens to a new one.

    Raises:
        ConfigurationError: it can't be, such as that of a newer MLflow; a copy of a file is kept.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  imported only once it is configured
    from mlflow.store.db import utils  # noqa: PLC0415

    engine = create_engine(_parse(uri))
    try:
        found, wanted = utils._get_schema_version(engine), utils._get_latest_schema_revision()  # noqa: SLF001  `mlflow db upgrade` is a command, not a function
        if found is None or found == wanted:
            return
        copy = _back_up(engine.url, found)
        _log.info("database.upgrading", found=found, wanted=wanted, copy=str(copy) if copy else None)
        utils._upgrade_db(engine)  # noqa: SLF001
        _log.info("database.upgraded", revision=wanted)
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise ConfigurationError(f"MLflow's database can't be upgraded: {first_line(error)}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "alembic":
            raise
        raise ConfigurationError(
            f"MLflow's database can't be upgraded, as if a newer MLflow made it: {first_line(error)}"
        ) from error
    finally:
        engine.dispose()


def first_line(error: Exception) -> str:
    """Return what an error says, without the page of background that SQLAlchemy puts behind it."""
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0].rstrip(".;") if str(cause).strip() else type(cause).__name__


def _back_up(url: URL, revision: str) -> Path | None:
    """Copy an SQLite file, as one consistent state; other databases have backups of their own."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    source = Path(url.database)
    # Never over an earlier copy: after a failed upgrade the file itself may be half a migration.
    copy = source.with_name(f"{source.name}.{revision}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.backup")
    partial = copy.with_name(f"{copy.name}.partial")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(partial)) as new:
        old.backup(new)
    partial.replace(copy)
    return copy


def _parse(uri: str) -> URL:
    try:
        return make_url(uri)
    except ArgumentError as error:
        raise ConfigurationError(
            f"The registry's database address isn't one, such as sqlite:////folder/mlflow.db; {_ADVICE}"
        ) from error
