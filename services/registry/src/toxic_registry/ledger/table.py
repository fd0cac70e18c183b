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

from toxic_core.registered import CHAMPION
from toxic_registry.ledger.entries import ENTRY, Change, Entry, Outcome, append_to

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
    "CREATE TRIGGER IF NOT EXISTS toxic_ledger_no_{0} BEFORE {1} ON toxic_ledger {2}"
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
)
# INSERT OR REPLACE deletes without the trigger for DELETE.
_IF_THERE = "WHEN EXISTS (SELECT 1 FROM toxic_ledger WHERE sequence = NEW.sequence) "
_POSTGRESQL_FUNCTION = (
    "CREATE OR REPLACE FUNCTION toxic_ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN RAISE EXCEPTION 'the ledger is append-only'; END$$"
)
_POSTGRESQL_TRIGGER = (
    "CREATE OR REPLACE TRIGGER toxic_ledger_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON toxic_ledger "
    "FOR EACH STATEMENT EXECUTE FUNCTION toxic_ledger_append_only()"
)
_GUARDS = {
    "sqlite": (
        _SQLITE_TRIGGER.format("update", "UPDATE", ""),
        _SQLITE_TRIGGER.format("delete", "DELETE", ""),
        _SQLITE_TRIGGER.format("replace", "INSERT", _IF_THERE),
    ),
    "postgresql": (_POSTGRESQL_FUNCTION, _POSTGRESQL_TRIGGER),
}


def create_ledger(engine: sa.Engine) -> None:
    """Create the ledger's tables and triggers if they are missing."""
    try:
        _METADATA.create_all(engine)
    except (OperationalError, ProgrammingError):
        _METADATA.create_all(engine)  # another process created one between the check and the creation
    with engine.begin() as connection:
        for statement in _GUARDS.get(engine.dialect.name, ()):
            connection.exec_driver_sql(statement)
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


def take_snapshot(session: Session) -> None:
    """Make all queries of the session's transaction read one state of the database.

    The transaction must not have read anything. Without it, SQLite begins no transaction for queries, and
    PostgreSQL shows each query what was committed before it.
    """
    if session.get_bind().dialect.name == "sqlite":
        session.execute(sa.text("BEGIN"))
    else:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


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


def approvals(session: Session, model: str) -> tuple[Entry, ...]:
    """Return the entry that decides what each alias of `model` serves, in the order of their sequence.

    It is the last accepted or overridden one. `found` counts only as the first entry of an alias: a version
    that came later without this server, in place of another one or of none, isn't approved.
    """
    return tuple(e for e in _last_entries(session, model, _LEDGER.c.alias) if e.after is not None)


def version_digests(session: Session, model: str) -> dict[int, str]:
    """Return the last digest of each version of `model`, the gate's before those of other aliases."""
    has_digest = sa.and_(_LEDGER.c.evidence_digest != "", _LEDGER.c.after.is_not(None))
    by_gate = _LEDGER.c.alias == CHAMPION
    entries = [
        entry
        for condition in (sa.not_(by_gate), by_gate)
        for entry in _last_entries(session, model, _LEDGER.c.after, has_digest, condition)
    ]
    return {entry.after: entry.evidence_digest for entry in entries if entry.after is not None}


def first_as_champion(session: Session, model: str, version: int, digest: str) -> Entry | None:
    """Return the entry that made this content of a version champion for the first time."""
    query = (
        sa.select(_LEDGER)
        .where(_of(model), _LEDGER.c.alias == CHAMPION, _LEDGER.c.after == version)
        .where(_LEDGER.c.evidence_digest == digest)
        .order_by(_LEDGER.c.sequence)
        .limit(1)
    )
    found = session.execute(query).mappings().first()
    return _entry(found) if found else None


def _last_entries(
    session: Session, model: str, by: sa.ColumnElement[object], *conditions: sa.ColumnElement[bool]
) -> Iterator[Entry]:
    last = sa.select(sa.func.max(_LEDGER.c.sequence)).where(_of(model), *conditions).group_by(by)
    query = sa.select(_LEDGER).where(_LEDGER.c.sequence.in_(last)).order_by(_LEDGER.c.sequence)
    return map(_entry, session.execute(query).mappings())


def _of(model: str) -> sa.ColumnElement[bool]:
    earlier = _LEDGER.alias()
    is_first = ~sa.exists().where(
        earlier.c.model == _LEDGER.c.model,
        earlier.c.alias == _LEDGER.c.alias,
        earlier.c.outcome != Outcome.REFUSED,
        earlier.c.sequence < _LEDGER.c.sequence,
    )
    return sa.and_(
        _LEDGER.c.model == model,
        _LEDGER.c.outcome != Outcome.REFUSED,
        sa.or_(_LEDGER.c.outcome != Outcome.FOUND, is_first),
    )


def _entry(row: RowMapping) -> Entry:
    return ENTRY.validate_python(dict(row), by_alias=False, by_name=True)
