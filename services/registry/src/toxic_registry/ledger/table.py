"""The ledger's table, beside MLflow's tables in the same database.

Invariant: the table is append-only. A session appends only while it holds the ledger's lock (`take_lock`), so
the entries of all processes form one chain. Triggers in the database reject UPDATE and DELETE.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from toxic_registry.ledger.entries import ENTRY, Change, Entry, append_to

_METADATA = sa.MetaData()

_LEDGER = sa.Table(
    "toxic_ledger",
    _METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(256), nullable=False),
    sa.Column("model", sa.String(256), nullable=False),
    sa.Column("alias", sa.String(256), nullable=False),
    sa.Column("before", sa.Integer),
    sa.Column("after", sa.Integer),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("evidence_digest", sa.String(64), nullable=False),
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

_LOCK = sa.Table(
    "toxic_ledger_lock", _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("taken", sa.Integer, nullable=False),
)  # fmt: skip

_PAGE_SIZE = 1000

_SQLITE_TRIGGER = (
    "CREATE TRIGGER toxic_ledger_no_{0} BEFORE {0} ON toxic_ledger "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
)
_POSTGRESQL_FUNCTION = (
    "CREATE OR REPLACE FUNCTION toxic_ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN RAISE EXCEPTION 'the ledger is append-only'; END$$"
)
_POSTGRESQL_TRIGGER = (
    "CREATE TRIGGER toxic_ledger_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON toxic_ledger "
    "FOR EACH STATEMENT EXECUTE FUNCTION toxic_ledger_append_only()"
)
for _dialect, _statement in (
    ("sqlite", _SQLITE_TRIGGER.format("update")),
    ("sqlite", _SQLITE_TRIGGER.format("delete")),
    ("postgresql", _POSTGRESQL_FUNCTION),
    ("postgresql", _POSTGRESQL_TRIGGER),
):
    sa.event.listen(_LEDGER, "after_create", sa.DDL(_statement).execute_if(dialect=_dialect))


def create_ledger(engine: sa.Engine) -> None:
    """Create the ledger's tables if they are missing."""
    try:
        _METADATA.create_all(engine)
    except (OperationalError, ProgrammingError):
        _METADATA.create_all(engine)  # another process created one between the check and the creation
    try:
        with engine.begin() as connection:
            if connection.execute(sa.select(_LOCK.c.id)).first() is None:
                connection.execute(sa.insert(_LOCK).values(id=1, taken=0))
    except IntegrityError:
        return  # another process was first


def take_lock(session: Session) -> None:
    """Wait for the ledger's lock, which the session holds until its transaction ends.

    This must be the transaction's first statement: it takes SQLite's single write lock, or PostgreSQL's lock
    of this row.
    """
    session.execute(sa.update(_LOCK).where(_LOCK.c.id == 1).values(taken=_LOCK.c.taken + 1))


def append(session: Session, change: Change, *, now: datetime) -> Entry:
    """Append the entry that records `change`; the session must hold the lock."""
    found = (
        session.execute(sa.select(_LEDGER).order_by(_LEDGER.c.sequence.desc()).limit(1)).mappings().first()
    )
    entry = append_to(_entry(found) if found else None, change, now=now)
    session.execute(sa.insert(_LEDGER).values(asdict(entry)))
    return entry


def page(session: Session, *, after: int, limit: int) -> tuple[Entry, ...]:
    """Return up to `limit` entries with a sequence number above `after`."""
    query = sa.select(_LEDGER).where(_LEDGER.c.sequence > after).order_by(_LEDGER.c.sequence).limit(limit)
    return tuple(_entry(row) for row in session.execute(query).mappings())


def every_entry(session: Session) -> Iterator[Entry]:
    """Yield all entries, the oldest first."""
    last = 0
    while entries := page(session, after=last, limit=_PAGE_SIZE):
        yield from entries
        last = entries[-1].sequence


def _entry(row: RowMapping) -> Entry:
    return ENTRY.validate_python(dict(row), by_alias=False, by_name=True)
