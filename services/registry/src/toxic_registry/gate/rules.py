"""What a transaction may do to aliases, told from the aliases before and after it.

Invariant: `champion` and `previous` move only by a permit, whatever else a transaction did: deleting or
renaming what they name moves them too, and is refused for that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModelAlias
from sqlalchemy import select
from sqlalchemy.orm import Session

from toxic_registry.gate.aliases import Alias
from toxic_registry.ledger.rows import Change, Outcome
from toxic_registry.server.caller import current_caller

Aliases = dict[tuple[str, str], int]
"""The version behind every (model, alias)."""


class RefusedError(MlflowException):
    """A change that isn't allowed; a 4xx, which clients raise at once and never retry.

    Attributes:
        change: the refused change, for the ledger.
    """

    def __init__(self, change: Change) -> None:
        super().__init__(change.reason, error_code=INVALID_PARAMETER_VALUE)
        self.change = change


@dataclass(frozen=True, slots=True)
class Permit:
    """What a transaction may do to `champion`, and what its row says beyond who asked."""

    model: str
    outcome: Outcome = Outcome.ACCEPTED
    reason: str = ""
    evidence_digest: str = ""


def read_aliases(session: Session) -> Aliases:
    """Return every alias as `session` sees it."""
    table = SqlRegisteredModelAlias
    rows: Sequence[Any] = session.execute(select(table.name, table.alias, table.version)).all()
    return {(name, alias): int(version) for name, alias, version in rows}


def standing_in(aliases: Aliases, name: str) -> tuple[int | None, int | None]:
    """Return a model's champion and previous champion."""
    return aliases.get((name, Alias.CHAMPION)), aliases.get((name, Alias.PREVIOUS))


def compare(before: Aliases, after: Aliases) -> Iterator[Change]:
    """Yield every difference, `champion` last, so that the last row of a promotion is the promotion."""
    caller = current_caller()
    for model, alias in sorted(before.keys() | after.keys(), key=lambda k: (k[1] == Alias.CHAMPION, k)):
        old, new = before.get((model, alias)), after.get((model, alias))
        if old != new:
            yield Change(model, alias, old, new, Outcome.ACCEPTED, caller.actor, caller.reason)


def permitted_changes(before: Aliases, after: Aliases, permit: Permit | None) -> list[Change]:
    """Return the changes that a transaction made.

    Raises:
        RefusedError: it moved an alias that it has no permit for.
    """
    changes: list[Change] = []
    for change in compare(before, after):
        permitted = permit is not None and permit.model == change.model
        if change.alias not in {Alias.CHAMPION, Alias.PREVIOUS}:
            changes.append(change)
        elif permit is not None and permitted:
            is_champion = change.alias == Alias.CHAMPION
            digest = permit.evidence_digest if is_champion else ""
            changes.append(
                replace(change, outcome=permit.outcome, reason=permit.reason, evidence_digest=digest)
            )
        elif change.alias == Alias.PREVIOUS and change.after is None:
            changes.append(change)  # its version was deleted
        else:
            raise RefusedError(replace(change, outcome=Outcome.REFUSED, reason=_why_not(change)))
    return changes


def not_by_hand(session: Session, name: str, after: int | None) -> RefusedError:
    """Return the refusal of moving `previous` by hand, even to where it stands."""
    before = read_aliases(session).get((name, Alias.PREVIOUS))
    change = Change(name, Alias.PREVIOUS, before, after, Outcome.REFUSED, current_caller().actor)
    return RefusedError(replace(change, reason=_why_not(change)))


def _why_not(change: Change) -> str:
    if change.alias == Alias.PREVIOUS:
        return f"The alias previous of {change.model} isn't set by hand: it moves with champion."
    if change.after is None:
        return (
            f"Version {change.before} is champion of {change.model}: neither it, its alias nor the model "
            "may be deleted or renamed. Make another version champion first."
        )
    return f"{change.model} gets a champion by the alias alone, not by another model's name."
