"""Which alias changes a database transaction may make, judged by the aliases before and after it.

Invariant: `champion` and `previous` move only with a `Permit`, also if a statement deletes or renames the
version or model that they name. `canary` needs none: the store judges its version before it sets it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from toxic_core.registered import CHAMPION, PREVIOUS
from toxic_registry.ledger.entries import Change, Outcome

Aliases = Mapping[tuple[str, str], int]
"""The version per (model, alias)."""


class RefusedError(MlflowException):
    """A change that isn't allowed; status 400, which clients raise at once instead of retrying.

    Attributes:
        change: the refused change, for the ledger.
    """

    def __init__(self, change: Change) -> None:
        super().__init__(change.reason, error_code=INVALID_PARAMETER_VALUE)
        self.change = change


@dataclass(frozen=True, slots=True)
class Permit:
    """Allows one transaction to make a version champion, with the facts for the ledger's entry."""

    model: str
    version: int
    outcome: Outcome = Outcome.ACCEPTED
    reason: str = ""
    evidence_digest: str = ""

    def approve_in_place(self, actor: str) -> Change:
        """Return the change for the ledger if the version is champion already, but without an approval."""
        return Change(self.model, CHAMPION, self.version, self.version, self.outcome, actor)


def compare(before: Aliases, after: Aliases, *, actor: str, reason: str = "") -> Iterator[Change]:
    """Yield every difference; `champion` comes last, so that a promotion ends with its own entry."""
    for model, alias in sorted(before.keys() | after.keys(), key=lambda k: (k[1] == CHAMPION, k)):
        old, new = before.get((model, alias)), after.get((model, alias))
        if old != new:
            yield Change(model, alias, old, new, Outcome.ACCEPTED, actor, reason)


def check(change: Change, permit: Permit | None) -> Change:
    """Return a change that a transaction made, with the permit's facts if it needed one.

    Raises:
        RefusedError: the transaction moved an alias without a permit.
    """
    if change.alias not in {CHAMPION, PREVIOUS}:
        return change
    if permit is not None and permit.model == change.model:
        digest = permit.evidence_digest if change.alias == CHAMPION else change.evidence_digest
        return replace(change, outcome=permit.outcome, reason=permit.reason, evidence_digest=digest)
    if change.alias == PREVIOUS and change.after is None:
        return change  # its version was deleted
    raise refusal(change)


def refusal(change: Change) -> RefusedError:
    """Return the error that refuses to move `champion` or `previous` without a permit."""
    if change.alias == PREVIOUS:
        reason = f"The alias previous of {change.model} can't be set directly: it moves with champion."
    elif change.after is None:
        reason = (
            f"Version {change.before} is champion of {change.model}: the alias, the version and the model "
            "can't be deleted or renamed. Make another version champion first."
        )
    else:
        reason = f"{change.model} gets a champion only by its alias, not by renaming another model."
    return RefusedError(replace(change, outcome=Outcome.REFUSED, reason=reason))
