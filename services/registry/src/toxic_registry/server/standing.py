"""The aliases as they are in a transaction, and the champion as the ledger approves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelAlias
from sqlalchemy import func, select
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
    address: Any = func.coalesce(table.storage_location, table.source)
    found = session.scalars(select(address).where(table.current_stage != STAGE_DELETED_INTERNAL))
    return {str(each) for each in found if each}


@dataclass(frozen=True, slots=True)
class Standing:
    """What a promotion is judged against.

    Attributes:
        champion: the version that the alias names.
        previous: the version that a rollback returns to.
        approved: the version that the ledger approves as champion; it differs from the alias if the alias was
            moved in the database.
        digest: of the approved version's contract; empty if the ledger has none.
        is_deleted: whether the approved version no longer exists.
    """

    champion: int | None
    previous: int | None
    approved: int | None
    digest: str
    is_deleted: bool = False


def standing_of(session: Session, name: str) -> Standing:
    """Return what a promotion in the model `name` is judged against."""
    aliases = aliases_now(session)
    entry = next((entry for entry in approvals(session, name) if entry.alias == CHAMPION), None)
    champion, previous = aliases.get((name, CHAMPION)), aliases.get((name, PREVIOUS))
    if entry is None:
        return Standing(champion, previous, champion, "")
    existing: Any = select(SqlModelVersion.version).where(
        SqlModelVersion.name == name,
        SqlModelVersion.version == entry.after,
        SqlModelVersion.current_stage != STAGE_DELETED_INTERNAL,
    )
    is_deleted = session.execute(existing).first() is None
    return Standing(champion, previous, entry.after, entry.evidence_digest, is_deleted=is_deleted)


class RacedError(MlflowException):
    """The champion changed while a promotion was judged."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The champion of {name} keeps changing; try again.", error_code=TEMPORARILY_UNAVAILABLE
        )
