"""Entries of the ledger of alias changes, and the hash chain that makes changes to old entries visible.

Pure functions of sequences of entries, so that any client can verify a ledger.

Invariant: an entry's hash covers all of its fields and the hash of the entry before. Changing an entry,
removing one from the middle or inserting one breaks the chain. A ledger that was rewritten, or lacks entries
at its end, disagrees with its head (`toxic_registry.ledger.head`).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import Field, TypeAdapter

from toxic_core.errors import ToxicError
from toxic_core.registered import CHAMPION

FIRST_HASH = "0" * 64
"""The first entry's `previous_hash`."""


class LedgerError(ToxicError):
    """The ledger's hash chain is broken, or the ledger disagrees with the aliases."""


class Outcome(StrEnum):
    """The result of a requested change."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    OVERRIDDEN = "overridden"
    """Accepted against the gate, for the reason that a named person gave."""
    FOUND = "found"
    """Made without this server and found when it started."""


@dataclass(frozen=True, slots=True)
class Change:
    """A requested change of an alias.

    Attributes:
        model: name of the registered model.
        alias: its name.
        before: the version that it named; None for none.
        after: the requested version; None to delete the alias.
        outcome: the result.
        actor: who requested it.
        reason: why it was requested, or why it was refused.
        evidence_digest: SHA-256 of the version's `contract.json`; empty if the gate read none.
    """

    model: str
    alias: str
    before: Annotated[int | None, Field(alias="from")]
    after: Annotated[int | None, Field(alias="to")]
    outcome: Outcome
    actor: str
    reason: str = ""
    evidence_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Change):
    """A change and its place in the hash chain.

    Attributes:
        sequence: counts from 1, without gaps.
        time: ISO 8601 in UTC, in microseconds.
        previous_hash: hash of the entry before.
        hash: SHA-256 of all other fields.
    """

    sequence: int
    time: str
    previous_hash: str
    hash: str = ""


ENTRY = TypeAdapter(Entry)
"""Reads and writes entries as `GET /ledger` returns them, with `from` and `to` for `before` and `after`."""


def append_to(last: Entry | None, change: Change, *, now: datetime) -> Entry:
    """Return the entry that records `change` after `last`, or as the first one.

    If the clock went back, the entry has the time of the one before.
    """
    time = now.astimezone(UTC).isoformat(timespec="microseconds")
    entry = Entry(
        **asdict(change),
        sequence=last.sequence + 1 if last else 1,
        time=max(time, last.time) if last else time,
        previous_hash=last.hash if last else FIRST_HASH,
    )
    return replace(entry, hash=_hash(entry))


def verify_chain(entries: Iterable[Entry]) -> int:
    """Return the number of entries if their hash chain is whole.

    Raises:
        LedgerError: an entry is missing or was changed; the message has its sequence number.
    """
    sequence, last_hash = 0, FIRST_HASH
    for entry in entries:
        sequence += 1
        if entry.sequence != sequence:
            raise LedgerError(f"Entry {sequence} of the ledger is missing; entry {entry.sequence} follows.")
        if entry.previous_hash != last_hash:
            raise LedgerError(f"Entry {sequence} of the ledger doesn't follow the entry before it.")
        last_hash = _hash(entry)
        if entry.hash != last_hash:
            raise LedgerError(
                f"Entry {sequence} of the ledger was changed: its hash doesn't match its content."
            )
    return sequence


def verify_times(entries: Sequence[Entry]) -> list[int]:
    """Return the sequence numbers of entries older than the entry before them.

    Release 0.1 wrote such entries after its clock was set back, so they may be honest. Later releases don't
    (see `append_to`), and only they record a digest with other aliases than `champion`: from the first such
    entry on, an older time is an error.

    Raises:
        LedgerError: an entry was backdated; the message has its sequence number.
    """
    older = [entry.sequence for last, entry in pairwise(entries) if entry.time < last.time]
    marks = (entry.sequence for entry in entries if entry.alias != CHAMPION and entry.evidence_digest)
    first = next(marks, len(entries))
    if backdated := [sequence for sequence in older if sequence > first]:
        raise LedgerError(
            f"Entry {backdated[0]} of the ledger is older than the entry before it: it was backdated."
        )
    return older


def aliases_of(entries: Iterable[Entry], *, until: datetime | None = None) -> dict[tuple[str, str], int]:
    """Return the version per (model, alias) after all entries, or after those up to and including `until`."""
    aliases: dict[tuple[str, str], int] = {}
    for entry in entries:
        if entry.outcome is Outcome.REFUSED or (until and datetime.fromisoformat(entry.time) > until):
            continue
        if entry.after is None:
            aliases.pop((entry.model, entry.alias), None)
        else:
            aliases[entry.model, entry.alias] = entry.after
    return aliases


def verify_aliases(entries: Iterable[Entry], aliases: Mapping[tuple[str, str], int]) -> None:
    """Check that the registry's `aliases` are those after the last entry.

    Raises:
        LedgerError: an alias was moved without the ledger, or entries are missing at its end.
    """
    recorded = aliases_of(entries)
    for key in sorted(recorded.keys() | aliases.keys()):
        by_ledger, by_registry = (
            f"version {found[key]}" if key in found else "no version" for found in (recorded, aliases)
        )
        if by_ledger != by_registry:
            model, alias = key
            raise LedgerError(
                f"The ledger ends with {alias} of {model} at {by_ledger}, but the alias names {by_registry}."
            )


def verify_champions(entries: Iterable[Entry]) -> None:
    """Check that every champion became it through the registry, or was there before the ledger.

    Raises:
        LedgerError: a champion was replaced without the registry, and no promotion followed.
    """
    last: dict[str, Entry] = {}
    followed: set[str] = set()
    for entry in entries:
        if entry.alias == CHAMPION and entry.outcome is not Outcome.REFUSED:
            followed |= {entry.model} & last.keys()
            last[entry.model] = entry
    for model, entry in sorted(last.items()):
        if entry.outcome is Outcome.FOUND and model in followed:
            raise LedgerError(
                f"The champion of {model} was moved from version {entry.before or 'none'} to "
                f"{entry.after or 'none'} without the registry (entry {entry.sequence}). Promote a version "
                "to set it right."
            )


def _hash(entry: Entry) -> str:
    content = asdict(entry)
    del content["hash"]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
