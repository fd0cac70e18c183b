"""The ledger's rows in the database, beside MLflow's tables.

Invariant: rows are only ever added, by a session that has taken the ledger's lock (`take_lock`), which it
holds until it ends: so rows of all processes form one chain. The database itself refuses to change or remove
a row.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import (
    DDL,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from toxic_registry.ledger.rows import Change, Entry, Outcome, seal

_METADATA = MetaData()

_LEDGER = Table(
    "toxic_ledger",
    _METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("time", String(40), nullable=False),
    Column("actor", String(256), nullable=False),
    Column("model", String(256), nullable=False),
    Column("alias", String(256), nullable=False),
    Column("before", Integer),
    Column("after", Integer),
    Column("outcome", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence_digest", String(64), nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

_LOCK = Table(
    "toxic_ledger_lock", _METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("taken", Integer, nullable=False),
)  # fmt: skip

_PAGE = 1000

for _operation in ("UPDATE", "DELETE"):
    event.listen(
        _LEDGER,
        "after_create",
        DDL(
            f"CREATE TRIGGER toxic_ledger_no_{_operation.lower()} BEFORE {_operation} ON toxic_ledger "
            "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        ).execute_if(dialect="sqlite"),
    )
event.listen(
    _LEDGER,
    "after_create",
    DDL(
        "CREATE OR REPLACE FUNCTION toxic_ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'the ledger is append-only'; END$$"
    ).execute_if(dialect="postgresql"),
)
event.listen(
    _LEDGER,
    "after_create",
    DDL(
        "CREATE TRIGGER toxic_ledger_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON toxic_ledger "
        "FOR EACH STATEMENT EXECUTE FUNCTION toxic_ledger_append_only()"
    ).execute_if(dialect="postgresql"),
)


def create_ledger(engine: Engine) -> None:
    """Make the tables where they are missing."""
    try:
        _METADATA.create_all(engine)
    except (OperationalError, ProgrammingError):
        _METADATA.create_all(engine)  # another process made one between the look and the making
    try:
        with engine.begin() as connection:
            if connection.execute(select(_LOCK.c.id)).first() is None:
                connection.execute(insert(_LOCK).values(id=1, taken=0))
    except IntegrityError:
        return  # another process was first


def take_lock(session: Session) -> None:
    """Wait until no other session may add rows or move aliases; held until `session` ends.

    The first statement of the transaction: SQLite then holds its one write lock, PostgreSQL this row's.
    """
    session.execute(update(_LOCK).where(_LOCK.c.id == 1).values(taken=_LOCK.c.taken + 1))


def append(session: Session, change: Change, *, now: datetime) -> Entry:
    """Add the row of `change`; the session holds the lock."""
    last = session.execute(select(_LEDGER).order_by(_LEDGER.c.sequence.desc()).limit(1)).first()
    entry = seal(change, after=None if last is None else _entry(last), now=now)
    session.execute(
        insert(_LEDGER).values(
            sequence=entry.sequence, time=entry.time, previous_hash=entry.previous_hash, hash=entry.hash,
            actor=change.actor, model=change.model, alias=change.alias, before=change.before,
            after=change.after, outcome=change.outcome.value, reason=change.reason,
            evidence_digest=change.evidence_digest,
        )
    )  # fmt: skip
    return entry


def page(session: Session, *, after: int, limit: int) -> tuple[Entry, ...]:
    """Return up to `limit` rows that follow the row numbered `after`."""
    query = select(_LEDGER).where(_LEDGER.c.sequence > after).order_by(_LEDGER.c.sequence).limit(limit)
    return tuple(_entry(row) for row in session.execute(query))


def every_entry(session: Session) -> Iterator[Entry]:
    """Yield all rows, the oldest first."""
    last = 0
    while rows := page(session, after=last, limit=_PAGE):
        yield from rows
        last = rows[-1].sequence


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    fields = row._mapping  # noqa: SLF001  SQLAlchemy's public name for it
    return Entry(
        sequence=fields["sequence"],
        time=fields["time"],
        change=Change(
            model=fields["model"], alias=fields["alias"], before=fields["before"], after=fields["after"],
            outcome=Outcome(fields["outcome"]), actor=fields["actor"], reason=fields["reason"],
            evidence_digest=fields["evidence_digest"],
        ),
        previous_hash=fields["previous_hash"],
        hash=fields["hash"],
    )  # fmt: skip
