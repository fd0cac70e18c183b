"""The aliases as they are in a transaction, and the champion as the ledger approves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelAlias
from sqlalchemy import select
from sqlalchemy.orm import Session

from toxic_core.registered import CHAMPION, PREVIOUS
from toxic_registry.gate.alias_rules import Aliases
from toxic_registry.ledger.table import approvals


def aliases_now(session: Session) -> Aliases:
    """Return the version per (model, alias) in MLflow's table."""
    table = SqlRegisteredModelAlias
    rows: Sequence[Any] = session.execute(select(table.name, table.alias, table.version)).all()
    return {(name, alias): int(version) for name, alias, version in rows}


def locations_now(session: Session) -> set[str]:
    """Return the addresses of the files of every registered version."""
    table = SqlModelVersion
    rows: Sequence[Any] = session.execute(select(table.storage_location, table.source)).all()
    return {str(address) for row in rows for address in row if address}


@dataclass(frozen=True, slots=True)
class Standing:
    """What a promotion is judged against.

    Attributes:
        champion: the version that the alias names.
        previous: the version that a rollback returns to.
        approved: the version that the ledger approves as champion; it differs from the alias if the alias was
            moved in the database.
        digest: of the approved version's contract; empty if the ledger has none.
    """

    champion: int | None
    previous: int | None
    approved: int | None
    digest: str


def standing_of(session: Session, name: str) -> Standing:
    """Return what a promotion in the model `name` is judged against."""
    aliases = aliases_now(session)
    entry = next((entry for entry in approvals(session, name) if entry.alias == CHAMPION), None)
    champion, previous = aliases.get((name, CHAMPION)), aliases.get((name, PREVIOUS))
    if entry is None:
        return Standing(champion, previous, champion, "")
    return Standing(champion, previous, entry.after, entry.evidence_digest)


class RacedError(MlflowException):
    """The champion changed while a promotion was judged."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The champion of {name} keeps changing; try again.", error_code=TEMPORARILY_UNAVAILABLE
        )
