"""The database of corrections and of the review: its address, tables, migration and transactions.

SQLite by default, PostgreSQL if its address is set. A database with the old table `feedback`, which had
columns per label, or without callers or digests, is migrated on first use; the digests of its texts are
computed later, in steps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_bytes
from threading import Lock
from typing import Any, Final

import sqlalchemy as sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from toxic_core.errors import ConfigurationError
from toxic_inference.corrections.record import FeedbackUnavailableError
from toxic_inference.corrections.tables import (
    SQLITE,
    correction_digests,
    corrections,
    digest_of,
    label_rows,
    metadata,
    secret_row,
    unnamed_corrections,
)

_DRIVERS = {SQLITE: "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_BUSY_SECONDS = 5
_LOCK = 0x746F786963  # any number without another lock in the database
_AT_ONCE: Final = "toxic_begin_immediately"

_OLD_TABLE: Final = "feedback"
_OLD_COLUMNS: Final = ("id", "text", "language", "created_at", "model_version", "source", "actor")
_OLD_LABELS: Final = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
"""The labels that the old table had a column `label_…` and a column `score_…` for."""


class Database:
    """Connects to the database, and makes its tables.

    Args:
        url: `sqlite:///folder/file.db`, or `postgresql://user:password@host/database`.

    Raises:
        ConfigurationError: the address can't be used, or the SQLite file can't be written. An unreachable
            PostgreSQL doesn't stop the start: corrections are refused until it answers, scoring works.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            driver = _DRIVERS[parsed.get_backend_name()]
        except (ArgumentError, KeyError) as error:
            raise ConfigurationError(
                "INFERENCE_FEEDBACK_URL must be sqlite:///folder/file.db or "
                "postgresql://user:password@host/database."
            ) from error
        self._engine = _engine(parsed.set(drivername=driver))
        self._prepared = False
        self._preparing = Lock()
        if driver == SQLITE:
            if not parsed.database:
                raise ConfigurationError(
                    "INFERENCE_FEEDBACK_URL names no file. Set it to sqlite:///folder/file.db."
                )
            try:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
                self._prepare()
            except (SQLAlchemyError, OSError) as error:
                raise ConfigurationError(
                    f"The feedback file {parsed.database} can't be written: {_reason(error)}. Set "
                    "INFERENCE_STATE_DIR to a writable folder, or INFERENCE_FEEDBACK_URL to another database."
                ) from error

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def connection(self) -> Iterator[sql.Connection]:
        """Open a transaction."""
        try:
            self._prepare()
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise FeedbackUnavailableError(
                f"Corrections can't be stored or read now: {_reason(error)}."
            ) from error

    def _prepare(self) -> None:
        """Create the tables and migrate the old one, in one transaction, once per process."""
        with self._preparing:
            if self._prepared:
                return
            at_once = self._engine.execution_options(**{_AT_ONCE: True})
            with at_once.begin() as connection:
                if connection.dialect.name != SQLITE:
                    # Replicas that start together would both find no table, and one would fail.
                    connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCK)))
                metadata.create_all(connection)
                if connection.execute(sql.select(secret_row)).first() is None:
                    connection.execute(sql.insert(secret_row).values(key=token_bytes(32)))
                known = {column["name"] for column in sql.inspect(connection).get_columns("correction")}
                for column, kind in (("caller", "VARCHAR(256)"), ("digest", "VARCHAR(64)")):
                    if column not in known:
                        connection.execute(sql.text(f"ALTER TABLE correction ADD COLUMN {column} {kind}"))
                for index in (correction_digests, unnamed_corrections):
                    index.create(connection, checkfirst=True)
                if sql.inspect(connection).has_table(_OLD_TABLE):
                    _migrate(connection)
            self._prepared = True


def digest_in(connection: sql.Connection) -> sql.ColumnElement[str]:
    """Return `digest_of` a correction's text, as the database computes it."""
    text = corrections.c.text
    if connection.dialect.name == SQLITE:
        return sql.func.toxic_digest(text)
    return sql.func.encode(sql.func.sha256(sql.func.convert_to(text, "UTF8")), "hex")


def _migrate(connection: sql.Connection) -> None:
    """Move every correction of the old table, and drop it.

    A replica of an older release that starts later makes the old table again; the next start moves it too.
    """
    old = sql.Table(_OLD_TABLE, sql.MetaData(), autoload_with=connection)
    if missing := {*_OLD_COLUMNS, *(f"label_{label}" for label in _OLD_LABELS)} - set(old.c.keys()):
        raise ConfigurationError(
            f"The table {_OLD_TABLE} isn't this service's: it has no {', '.join(sorted(missing))}. "
            "Rename it, or set INFERENCE_FEEDBACK_URL to another database."
        )
    connection.execute(sql.delete(old).where(old.c.id.in_(sql.select(corrections.c.id))))
    kept = sql.select(*(old.c[column] for column in _OLD_COLUMNS)).order_by(old.c.place)
    connection.execute(sql.insert(corrections).from_select(list(_OLD_COLUMNS), kept))
    for label in _OLD_LABELS:
        value, score = old.c[f"label_{label}"], old.c[f"score_{label}"]
        said = sql.select(old.c.id, sql.literal(label), value, score).where(
            sql.or_(value.is_not(None), score.is_not(None))
        )
        connection.execute(sql.insert(label_rows).from_select(["id", "label", "value", "score"], said))
    old.drop(connection)


def _engine(url: URL) -> sql.Engine:
    if url.get_backend_name() != SQLITE:
        return sql.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": _BUSY_SECONDS})
    engine = sql.create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @sql.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        # The driver would begin a transaction at the first change of a row only, not at a change of a table.
        connection.isolation_level = None
        # A condition may be computed for rows without a text too.
        digest = lambda text: None if text is None else digest_of(text)  # noqa: E731
        connection.create_function("toxic_digest", 1, digest, deterministic=True)
        # With a write-ahead log, the default of `synchronous` would lose the last corrections to a power cut.
        # With secure_delete, a deletion overwrites the bytes.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sql.event.listens_for(engine, "begin")
    def begin(connection: sql.Connection) -> None:
        # A transaction that reads first and writes later fails if another process wrote in between.
        at_once = connection.get_execution_options().get(_AT_ONCE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if at_once else "BEGIN")

    return engine


def _reason(error: Exception) -> str:
    """Return the driver's message: SQLAlchemy's repeats the statement with its values, texts included."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
