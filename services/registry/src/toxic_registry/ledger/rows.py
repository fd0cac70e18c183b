"""The ledger of alias changes: what a row says, and how each row vouches for the one before.

Owns the form of a row, the chain of hashes and what can be read from a sequence of rows. Knows no database,
so that whoever holds the rows can check them.

Invariant: a row's hash covers every field of it and the hash of the row before, so no row can be changed,
removed from the middle or put in without every later hash showing it. Rows removed from the end show in that
the aliases no longer agree.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum

from toxic_core.errors import ToxicError

FIRST_HASH = "0" * 64
"""What the first row names as the hash before it."""


class LedgerError(ToxicError):
    """The ledger doesn't hold together, or not with the aliases."""


class Outcome(StrEnum):
    """What became of a change."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    OVERRIDDEN = "overridden"
    """Accepted against the gate, for a named person's reason."""
    FOUND = "found"
    """Made without this server, and found when it started."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an alias that was asked for.

    Attributes:
        model: the registered model.
        alias: by name.
        before: the version it named; None for none.
        after: the version it was to name; None for none.
        outcome: what became of it.
        actor: who asked.
        reason: why they asked, or why it was refused.
        evidence_digest: SHA-256 of the version's `contract.json`; empty where none was looked at.
    """

    model: str
    alias: str
    before: int | None
    after: int | None
    outcome: Outcome
    actor: str
    reason: str = ""
    evidence_digest: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row: a change, its place and its seal.

    Attributes:
        sequence: from 1, without gaps.
        time: ISO 8601 in UTC, to the microsecond.
        change: what happened.
        previous_hash: the hash of the row before.
        hash: SHA-256 over all of the above.
    """

    sequence: int
    time: str
    change: Change
    previous_hash: str
    hash: str


def seal(change: Change, *, after: Entry | None, now: datetime) -> Entry:
    """Make the row of `change` that follows the row `after`, or is the first."""
    sequence = 1 if after is None else after.sequence + 1
    previous_hash = FIRST_HASH if after is None else after.hash
    time = now.astimezone(UTC).isoformat(timespec="microseconds")
    return Entry(
        sequence, time, change, previous_hash,
        hash=_hash(sequence, time, change=change, previous_hash=previous_hash),
    )  # fmt: skip


def check_chain(entries: Iterable[Entry]) -> int:
    """Return how many rows there are, each sealed and following the one before.

    Raises:
        LedgerError: one isn't; named by its sequence number.
    """
    sequence, last_hash = 0, FIRST_HASH
    for entry in entries:
        sequence += 1
        if entry.sequence != sequence:
            raise LedgerError(f"Row {sequence} of the ledger is missing; row {entry.sequence} stands there.")
        if entry.previous_hash != last_hash:
            raise LedgerError(f"Row {sequence} of the ledger doesn't follow the row before it.")
        last_hash = _hash(entry.sequence, entry.time, change=entry.change, previous_hash=entry.previous_hash)
        if entry.hash != last_hash:
            raise LedgerError(
                f"Row {sequence} of the ledger was changed: its hash isn't that of its content."
            )
    return sequence


def aliases_of(entries: Iterable[Entry], *, until: datetime | None = None) -> dict[tuple[str, str], int]:
    """Return the version behind every (model, alias), after all rows or after those until `until`."""
    aliases: dict[tuple[str, str], int] = {}
    for entry in entries:
        change = entry.change
        if change.outcome is Outcome.REFUSED or (until and datetime.fromisoformat(entry.time) > until):
            continue
        if change.after is None:
            aliases.pop((change.model, change.alias), None)
        else:
            aliases[change.model, change.alias] = change.after
    return aliases


def check_aliases(entries: Iterable[Entry], aliases: Mapping[tuple[str, str], int]) -> None:
    """Check that the rows end where the aliases stand.

    Raises:
        LedgerError: an alias was moved behind the ledger's back, or rows are missing at its end.
    """
    told = aliases_of(entries)
    for key in sorted(told.keys() | aliases.keys()):
        if told.get(key) != aliases.get(key):
            model, alias = key
            raise LedgerError(
                f"The ledger ends with {alias} of {model} at {_version(told.get(key))}, "
                f"but the alias names {_version(aliases.get(key))}."
            )


def as_record(entry: Entry) -> dict[str, object]:
    """Return a row as the flat object that `GET /ledger` gives."""
    change = entry.change
    return {
        "sequence": entry.sequence, "time": entry.time, "actor": change.actor, "model": change.model,
        "alias": change.alias, "from": change.before, "to": change.after, "outcome": change.outcome.value,
        "reason": change.reason, "evidence_digest": change.evidence_digest,
        "previous_hash": entry.previous_hash, "hash": entry.hash,
    }  # fmt: skip


def _hash(sequence: int, time: str, *, change: Change, previous_hash: str) -> str:
    content = {"sequence": sequence, "time": time, "previous_hash": previous_hash, **asdict(change)}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _version(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"
