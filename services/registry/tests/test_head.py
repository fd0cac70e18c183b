from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from toxic_registry.ledger.entries import Change, Entry, LedgerError, Outcome, append_to
from toxic_registry.ledger.head import HeadFile, read_head

START = datetime(2026, 11, 23, 10, tzinfo=UTC)


def ledger(*versions: int, outcome: Outcome = Outcome.ACCEPTED) -> list[Entry]:
    """Return a ledger in which each version became champion."""
    entries: list[Entry] = []
    for minute, version in enumerate(versions):
        change = Change("m", "champion", None, version, outcome, actor="zoe")
        last = entries[-1] if entries else None
        entries.append(append_to(last, change, now=START + timedelta(minutes=minute)))
    return entries


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The head of a ledger with three entries."""
    head = HeadFile(tmp_path / "head.json")
    head.check(ledger(1, 2))
    head.advance(ledger(1, 2, 3)[-1])
    return tmp_path / "head.json"


def test_ledger_that_goes_on_is_accepted_and_advances_the_head(path: Path) -> None:
    """Other registries on the same database may have written to it."""
    HeadFile(path).check(ledger(1, 2, 3, 4))
    head = read_head(path)
    assert head is not None
    assert (head.size, head.hash) == (4, ledger(1, 2, 3, 4)[-1].hash)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (ledger(1, 2), "removed from its end"),
        ([], "removed from its end"),
        (ledger(1, 7, 3), "rewritten"),
        (ledger(1, 2, 3, outcome=Outcome.OVERRIDDEN), "rewritten"),
        (ledger(9, 9, 9, 9), "rewritten"),
    ],
)
def test_ledger_without_the_head_s_entries_is_an_error(
    path: Path, entries: list[Entry], message: str
) -> None:
    """A chain that is whole by itself isn't enough."""
    with pytest.raises(LedgerError, match=f"{message}.*remove .*head.json"):
        HeadFile(path).check(entries)


def test_head_of_another_key_is_an_error(path: Path) -> None:
    """Someone who can write the file but not read the key can't move the head."""
    head = read_head(path)
    assert head is not None
    for forged in (head.model_copy(update={"size": 2}), head.model_copy(update={"hash": "0" * 64})):
        path.write_text(forged.model_dump_json())
        with pytest.raises(LedgerError, match="isn't signed by the registry's key"):
            HeadFile(path).check(ledger(1, 2, 3))
    path.with_suffix(".key").unlink()
    path.write_text(head.model_dump_json())
    with pytest.raises(LedgerError, match="isn't signed by the registry's key"):
        HeadFile(path).check(ledger(1, 2, 3))


def test_head_never_goes_back(path: Path) -> None:
    """Threads may report their entries in another order than they were committed in."""
    HeadFile(path).advance(ledger(1, 2)[-1])
    head = read_head(path)
    assert head is not None
    assert head.size == 3


def test_damaged_head_is_an_error(path: Path) -> None:
    """It is no reason to begin a new one."""
    path.write_text("{}")
    with pytest.raises(LedgerError, match="isn't a head"):
        HeadFile(path)


def test_head_that_cannot_be_written_stops_no_promotion(path: Path) -> None:
    """The entry is in the database already; the next start writes the head."""
    head = HeadFile(path)
    path.unlink()
    path.mkdir()
    head.advance(ledger(1, 2, 3, 4)[-1])
