from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from toxic_registry.ledger.rows import (
    Change,
    Entry,
    LedgerError,
    Outcome,
    aliases_of,
    check_aliases,
    check_chain,
    seal,
)

START = datetime(2026, 11, 23, 10, tzinfo=UTC)


def rows(*changes: tuple[str, int | None, int | None, Outcome]) -> list[Entry]:
    """Make a chain, a minute between one row and the next."""
    entries: list[Entry] = []
    for minute, (alias, before, after, outcome) in enumerate(changes):
        change = Change("m", alias, before, after, outcome, actor="zoe", reason="„why“")
        entries.append(
            seal(change, after=entries[-1] if entries else None, now=START + timedelta(minutes=minute))
        )
    return entries


CHAIN = rows(
    ("champion", None, 1, Outcome.ACCEPTED),
    ("champion", 1, 2, Outcome.REFUSED),
    ("champion", 1, 3, Outcome.OVERRIDDEN),
    ("challenger", None, 4, Outcome.FOUND),
    ("challenger", 4, None, Outcome.ACCEPTED),
)


def test_whole_chain_is_counted() -> None:
    """An empty ledger is whole too."""
    assert check_chain(CHAIN) == 5
    assert check_chain([]) == 0


@pytest.mark.parametrize("index", range(len(CHAIN)))
@pytest.mark.parametrize(
    "change",
    [
        {"actor": "max"}, {"reason": ""}, {"after": 9}, {"before": 9}, {"alias": "previous"}, {"model": "n"},
        {"evidence_digest": "0"},
    ],
)  # fmt: skip
def test_any_changed_field_shows_at_its_row(index: int, change: dict[str, Any]) -> None:
    """Each row's hash covers every field of it."""
    entries = list(CHAIN)
    entries[index] = replace(entries[index], change=replace(entries[index].change, **change))
    with pytest.raises(LedgerError, match=f"Row {index + 1} of the ledger was changed"):
        check_chain(entries)


def test_changed_time_shows() -> None:
    """A row can't be dated back."""
    entries = [replace(CHAIN[0], time="2020-01-01T00:00:00.000000+00:00"), *CHAIN[1:]]
    with pytest.raises(LedgerError, match="Row 1"):
        check_chain(entries)


def test_row_sealed_anew_shows_at_the_next() -> None:
    """Whoever also computes the changed row's hash breaks the link to the row after it."""
    forged = seal(replace(CHAIN[1].change, actor="max"), after=CHAIN[0], now=START)
    with pytest.raises(LedgerError, match="Row 3 of the ledger doesn't follow"):
        check_chain([CHAIN[0], forged, *CHAIN[2:]])


@pytest.mark.parametrize("index", range(len(CHAIN) - 1))
def test_removed_row_shows(index: int) -> None:
    """Wherever in the middle it stood."""
    with pytest.raises(LedgerError, match=f"Row {index + 1} of the ledger is missing"):
        check_chain(CHAIN[:index] + CHAIN[index + 1 :])


def test_rows_removed_from_the_end_show_in_the_aliases() -> None:
    """The chain alone can't tell, but then the ledger ends elsewhere than the aliases."""
    check_aliases(CHAIN, {("m", "champion"): 3})
    with pytest.raises(
        LedgerError, match="ends with champion of m at version 1, but the alias names version 3"
    ):
        check_aliases(CHAIN[:2], {("m", "champion"): 3})
    with pytest.raises(LedgerError, match="no version"):
        check_aliases(CHAIN, {})


@pytest.mark.parametrize(("minutes", "champion"), [(-1, None), (0, 1), (1, 1), (1.5, 1), (2, 3), (1000, 3)])
def test_champion_at_a_moment_is_the_last_one_accepted(minutes: float, champion: int | None) -> None:
    """A refused change made no champion, and the moment itself counts."""
    aliases = aliases_of(CHAIN, until=START + timedelta(minutes=minutes))
    assert aliases.get(("m", "champion")) == champion
