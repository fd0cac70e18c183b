from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from toxic_registry.ledger.entries import Change, Entry, LedgerError, Outcome, append_to
from toxic_registry.ledger.head import HeadFile, keep_head, read_head

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


def test_kept_head_moves_to_the_registry_s(path: Path, tmp_path: Path) -> None:
    """The first time there is none to compare with."""
    kept, registry = tmp_path / "kept.json", HeadFile(path)
    for entries in (ledger(1, 2, 3), ledger(1, 2, 3, 4)):
        registry.check(entries)
        keep_head(kept, registry.head, entries=entries)
        assert read_head(kept) == registry.head


@pytest.mark.hostile(29)
def test_kept_head_never_goes_back(tmp_path: Path) -> None:
    """An older head of the registry is signed too, but whoever sends it may rewrite what comes after it."""
    kept, registry = tmp_path / "kept.json", HeadFile(tmp_path / "head.json")
    registry.check(ledger(1, 2))
    older = registry.head
    registry.check(ledger(1, 2, 3))
    keep_head(kept, registry.head, entries=ledger(1, 2, 3))
    with pytest.raises(LedgerError, match=r"has 2 entries, but the one in .*kept\.json has 3"):
        keep_head(kept, older, entries=ledger(1, 2, 3, 4))
    assert read_head(kept) == registry.head


def test_registry_with_another_key_or_without_a_head_does_not_replace_the_kept_one(
    path: Path, tmp_path: Path
) -> None:
    """Another registry's ledger may begin with the same entries."""
    kept, other = tmp_path / "kept.json", HeadFile(tmp_path / "other.json")
    other.check(ledger(1, 2, 3))
    keep_head(kept, HeadFile(path).head, entries=ledger(1, 2, 3))
    for head in (None, other.head):
        with pytest.raises(LedgerError, match="another registry"):
            keep_head(kept, head, entries=ledger(1, 2, 3))
    assert read_head(kept) == HeadFile(path).head
