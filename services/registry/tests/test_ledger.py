from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from toxic_registry.ledger.entries import (
    ENTRY,
    Change,
    Entry,
    LedgerError,
    Outcome,
    aliases_of,
    append_to,
    verify_aliases,
    verify_chain,
    verify_champions,
    verify_times,
)
from toxic_registry.ledger.table import append, approvals, create_ledger

START = datetime(2026, 11, 23, 10, tzinfo=UTC)


def chain(*changes: tuple[str, int | None, int | None, Outcome]) -> list[Entry]:
    """Make a chain of entries, one per minute."""
    entries: list[Entry] = []
    for minute, (alias, before, after, outcome) in enumerate(changes):
        change = Change("m", alias, before, after, outcome, actor="zoe", reason="„why“")
        last = entries[-1] if entries else None
        entries.append(append_to(last, change, now=START + timedelta(minutes=minute)))
    return entries


CHAIN = chain(
    ("champion", None, 1, Outcome.ACCEPTED),
    ("champion", 1, 2, Outcome.REFUSED),
    ("champion", 1, 3, Outcome.OVERRIDDEN),
    ("challenger", None, 4, Outcome.FOUND),
    ("challenger", 4, None, Outcome.ACCEPTED),
)


def test_whole_chain_is_counted() -> None:
    """An empty ledger is valid too."""
    assert verify_chain(CHAIN) == 5
    assert verify_chain([]) == 0


@pytest.mark.parametrize("index", range(len(CHAIN)))
@pytest.mark.parametrize(
    "change",
    [
        {"actor": "max"}, {"reason": ""}, {"after": 9}, {"before": 9}, {"alias": "previous"}, {"model": "n"},
        {"evidence_digest": "0"},
    ],
)  # fmt: skip
def test_changing_any_field_breaks_the_chain_at_its_entry(index: int, change: dict[str, Any]) -> None:
    """An entry's hash covers all of its fields."""
    entries = list(CHAIN)
    entries[index] = replace(entries[index], **change)
    with pytest.raises(LedgerError, match=f"Entry {index + 1} of the ledger was changed"):
        verify_chain(entries)


def test_changing_a_time_breaks_the_chain() -> None:
    """An entry can't be backdated."""
    entries = [replace(CHAIN[0], time="2020-01-01T00:00:00.000000+00:00"), *CHAIN[1:]]
    with pytest.raises(LedgerError, match="Entry 1"):
        verify_chain(entries)


def test_rehashed_entry_breaks_the_chain_at_the_next() -> None:
    """Computing a changed entry's hash again breaks the link from the entry after it."""
    forged = append_to(CHAIN[0], Change("m", "champion", 1, 2, Outcome.REFUSED, actor="max"), now=START)
    with pytest.raises(LedgerError, match="Entry 3 of the ledger doesn't follow"):
        verify_chain([CHAIN[0], forged, *CHAIN[2:]])


@pytest.mark.parametrize("index", range(len(CHAIN) - 1))
def test_removing_an_entry_breaks_the_chain(index: int) -> None:
    """The message names the first missing entry."""
    with pytest.raises(LedgerError, match=f"Entry {index + 1} of the ledger is missing"):
        verify_chain(CHAIN[:index] + CHAIN[index + 1 :])


def test_entries_removed_from_the_end_disagree_with_the_aliases() -> None:
    """The chain alone stays valid."""
    verify_aliases(CHAIN, {("m", "champion"): 3})
    with pytest.raises(
        LedgerError, match="ends with champion of m at version 1, but the alias names version 3"
    ):
        verify_aliases(CHAIN[:2], {("m", "champion"): 3})
    with pytest.raises(LedgerError, match="no version"):
        verify_aliases(CHAIN, {})


@pytest.mark.parametrize(("minutes", "champion"), [(-1, None), (0, 1), (1, 1), (1.5, 1), (2, 3), (1000, 3)])
def test_champion_at_a_moment_is_the_last_one_accepted(minutes: float, champion: int | None) -> None:
    """A refused change has no effect, and a change at the moment itself counts."""
    aliases = aliases_of(CHAIN, until=START + timedelta(minutes=minutes))
    assert aliases.get(("m", "champion")) == champion


@pytest.mark.parametrize("entry", CHAIN)
def test_entry_survives_the_wire(entry: Entry) -> None:
    """`GET /ledger` has every field, with `from` and `to` for the versions."""
    record = ENTRY.dump_python(entry, by_alias=True)
    assert (record["from"], record["to"]) == (entry.before, entry.after)
    assert ENTRY.validate_python(record) == entry


def test_hash_of_an_entry_never_changes() -> None:
    """Ledgers of earlier releases must verify: this hash was computed by the first one."""
    assert CHAIN[0].hash == "123def0204c725f8bf78c9cb9cc9a26fcc6ed3568cf813a8b364731ffc88f248"


@pytest.mark.hostile(38)
def test_clock_that_goes_back_does_not_reorder_the_ledger() -> None:
    """An entry is never older than the one before it, so that the champion of a moment stays the same."""
    change = Change("m", "champion", 3, 5, Outcome.ACCEPTED, actor="zoe")
    entry = append_to(CHAIN[-1], change, now=START - timedelta(days=1))
    assert entry.time == CHAIN[-1].time
    assert verify_chain([*CHAIN, entry]) == len(CHAIN) + 1


SECOND = Change("m", "champion", 1, 2, Outcome.ACCEPTED, actor="zoe")


def older(last: Entry, change: Change = SECOND) -> Entry:
    """Return an entry a day older than `last`, which it follows."""
    return append_to(replace(last, time=""), change, now=START - timedelta(days=1))


def test_times_that_go_back_are_named() -> None:
    """The clock of release 0.1 may have been set back: the chain is whole, and nobody need have forged it."""
    entries = [*CHAIN, older(CHAIN[-1]), older(older(CHAIN[-1]))]
    assert verify_chain(entries) == len(entries)
    assert verify_times(entries) == [len(CHAIN) + 1]
    assert verify_times(CHAIN) == verify_times([]) == []


@pytest.mark.hostile(38)
def test_times_that_go_back_since_release_0_2_are_an_error() -> None:
    """It records a digest with every alias and never an older time, so such an entry is backdated."""
    change = Change("m", "candidate", None, 2, Outcome.ACCEPTED, actor="zoe", evidence_digest="0" * 64)
    old = older(CHAIN[-1])
    upgraded = append_to(old, change, now=START)
    assert verify_times([*CHAIN, old, upgraded]) == [old.sequence]
    with pytest.raises(LedgerError, match=f"Entry {upgraded.sequence + 1} of the ledger is older"):
        verify_times([*CHAIN, old, upgraded, older(upgraded)])


def test_champion_that_was_moved_without_the_registry_is_an_error_until_the_next_promotion() -> None:
    """A restart records the move as found, which is no approval; one from before the ledger is allowed."""
    first = ("champion", None, 1, Outcome.FOUND)
    verify_champions(chain(first))
    moved = chain(first, ("champion", 1, 2, Outcome.FOUND), ("champion", 2, 3, Outcome.REFUSED))
    with pytest.raises(LedgerError, match=r"from version 1 to 2 without the registry \(entry 2\)"):
        verify_champions(moved)
    verify_champions(chain(first, ("champion", 1, 2, Outcome.FOUND), ("champion", 2, 3, Outcome.OVERRIDDEN)))
    with pytest.raises(LedgerError, match=r"from version none to 9 without the registry \(entry 3\)"):
        verify_champions(
            chain(first, ("champion", 1, None, Outcome.FOUND), ("champion", None, 9, Outcome.FOUND))
        )


def test_version_found_after_a_removal_is_not_approved(session: Session) -> None:
    """Removing the alias in the database and setting it again, with a restart each, approves nothing."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for before, after in ((None, 1), (1, None), (None, 9)):
        append(session, Change("another", "champion", before, after, Outcome.FOUND, "registry"), now=now)
    assert [entry.after for entry in approvals(session, "another")] == [1]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A session on a database with a ledger of two entries."""
    engine = create_engine(f"sqlite:///{tmp_path}/ledger.db")
    create_ledger(engine)
    with Session(engine) as session:
        for version in (1, 2):
            append(session, Change("m", "champion", None, version, Outcome.ACCEPTED, actor="zoe"), now=START)
        session.commit()
        yield session
    engine.dispose()


REPLACE = (
    "INSERT OR REPLACE INTO toxic_ledger SELECT sequence, time, 'max', model, alias, before, after, outcome, "
    "reason, evidence_digest, previous_hash, hash FROM toxic_ledger WHERE sequence = 2"
)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE toxic_ledger SET actor = 'max'", "DELETE FROM toxic_ledger WHERE sequence = 2", REPLACE],
)
def test_database_refuses_to_change_an_entry(session: Session, statement: str) -> None:
    """Also in a database with the triggers of an older release, or without them."""
    for guard in ("update", "delete", "replace"):
        session.execute(text(f"DROP TRIGGER toxic_ledger_no_{guard}"))
    session.commit()
    create_ledger(session.get_bind().engine)
    with pytest.raises(DatabaseError, match="append-only"):
        session.execute(text(statement))
