"""MLflow's model registry store, with the gate and the ledger in front of every alias.

The store stands behind MLflow's handlers, so every route, present or future, passes through it. Each change
is one database transaction that holds the ledger's lock. The store compares the aliases before and after it
and appends an entry per difference.

Invariant: at every commit the ledger's last entries match the aliases. `champion` and `canary` move only
through the gate, and `previous` only with `champion`. A killed process leaves a complete change or none.
"""

import re
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import structlog
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_EXHAUSTED,
)
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy.orm import Session

from toxic_core.registered import CANARY, CHALLENGER, CHAMPION, PREVIOUS
from toxic_registry.caller import Caller, Role
from toxic_registry.gate.alias_names import check_name
from toxic_registry.gate.alias_rules import Aliases, Permit, RefusedError, check, compare, refusal
from toxic_registry.gate.gate import Gate, Verdict
from toxic_registry.ledger.entries import Change, Entry, Outcome, aliases_of
from toxic_registry.ledger.table import (
    append,
    approvals,
    create_ledger,
    every_entry,
    first_as_champion,
    page,
    take_lock,
    take_snapshot,
    version_digests,
)
from toxic_registry.server.middleware import current_caller
from toxic_registry.server.standing import RacedError, Standing, aliases_now, locations_now, standing_of

_log = structlog.stdlib.get_logger(__name__)

REASON_TAG = "promotion.reason"
REFUSED_TAG = "promotion.refused"

_NAMELESS = "a rollback needs the name of a person: sign in, or use `toxic-registry rollback`"
_ADOPTED = " (the shipped model, compared per source)"
_CHAMPION_DELETED = "the approved champion was deleted, so there is nothing to compare it with"
_NO_VERSION = "The version's number is larger than any version's."
_FORECAST = "**The gate would"
_MAX_AGAINST = 500
_MAX_DESCRIPTION = 5000  # of MLflow's column
_MAX_TAG_LENGTH = 4000
_MOST_PROMOTING = 8
_MAX_RACES = 10


class GatedStore(SqlAlchemyStore):
    """MLflow's SQL store behind the gate. Thread-safe; several processes can share the database.

    Args:
        db_uri: SQLAlchemy address of the database.
        gate: judges each new champion.
        digest: returns the SHA-256 of the contract of the version at an address; empty if it has none.
        check: raises an error if the ledger isn't the one that this registry wrote.
        emit: called with each entry after its commit; must neither block nor raise.
        clock: returns the current time.
    """

    def __init__(
        self,
        db_uri: str,
        *,
        gate: Gate,
        digest: Callable[[str], str],
        check: Callable[[Sequence[Entry]], None] = lambda _: None,
        emit: Callable[[Entry], None] = lambda _: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(db_uri)
        self._gate = gate
        self._digest = digest
        self._emit = emit
        self._clock = clock
        self._promotion = threading.Lock()
        self._promoting = threading.BoundedSemaphore(_MOST_PROMOTING)
        self._writing = threading.Lock()
        self._joined: ContextVar[Session | None] = ContextVar("session", default=None)
        self._new_session = self.ManagedSessionMaker
        self.ManagedSessionMaker = self._own_or_joined_session
        create_ledger(self.engine)
        with self._new_session() as session:
            entries_before = tuple(every_entry(session))
        check(entries_before)
        # Aliases that moved without this server, such as before there was a ledger.
        with self._transaction() as session:
            recorded, found = aliases_of(every_entry(session)), aliases_now(session)
            changes = compare(recorded, found, actor="registry")
            entries = self._append(session, (replace(change, outcome=Outcome.FOUND) for change in changes))
        self._emit_all(entries)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias to a version: `champion` and `canary` through the gate, others unconditionally."""
        if alias in {CHAMPION, CANARY}:
            # Requests that wait hold threads, which readers need too.
            if not self._promoting.acquire(blocking=False):
                raise MlflowException(
                    "Other promotions are judged now; try later.", error_code=RESOURCE_EXHAUSTED
                )
            try:
                # One at a time: judging downloads the version, and the verdict holds only for one champion.
                with self._promotion:
                    self._promote(name, version, alias=alias)
            finally:
                self._promoting.release()
            return
        check_name(alias)
        digest = self._digest(str(self.get_model_version_download_uri(name, version)))
        with self._change(digests={(name, alias): digest}) as session:
            if alias == PREVIOUS:
                raise _previous_refusal(session, name, int(version))
            super().set_registered_model_alias(name, alias, version)
        if alias == CHALLENGER:
            try:
                self._forecast(name, version)
            except Exception:  # noqa: BLE001 - the alias is set: the training that set it must not fail
                _log.exception("promotion.forecast_failed", model=name, version=version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias other than `champion` and `previous`."""
        with self._change() as session:
            if alias == PREVIOUS:
                raise _previous_refusal(session, name, None)
            super().delete_registered_model_alias(name, alias)

    def delete_model_version(self, name: str, version: str) -> None:
        """Delete a version with its aliases, unless it is champion."""
        with self._change():
            super().delete_model_version(name, version)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model, unless it has a champion."""
        with self._change():
            super().delete_registered_model(name)

    def rename_registered_model(self, name: str, new_name: str) -> object:
        """Rename a model, unless it has a champion, which services find by the model's name."""
        with self._change():
            return super().rename_registered_model(name, new_name)

    def ledger_page(self, *, after: int, limit: int) -> tuple[tuple[Entry, ...], Aliases]:
        """Return up to `limit` entries with a sequence number above `after`, and the aliases then."""
        with self._writing, self._new_session() as session:
            take_snapshot(session)
            return page(session, after=after, limit=limit), aliases_now(session)

    def approvals(self, model: str) -> tuple[tuple[Entry, ...], dict[int, str]]:
        """Return the ledger's approving entry per alias of `model`, and the digest per version."""
        with self._new_session() as session:
            return approvals(session, model), version_digests(session, model)

    def locations(self) -> set[str]:
        """Return the addresses of the files of every registered version."""
        with self._new_session() as session:
            return locations_now(session)

    def _promote(self, name: str, version: str, *, alias: str) -> None:
        """Judge a version against the champion and set `alias`; retry if the champion changed meanwhile.

        A canary that becomes champion has ended its trial.
        """
        # First, since it refuses what is no version's number.
        uri = str(self.get_model_version_download_uri(name, version))
        caller, number = current_caller(), int(version)
        if caller.role < Role.PROMOTER:
            with self._new_session() as session:
                before = aliases_now(session).get((name, alias))
            text = f"{caller.actor} has no role that promotes; ask for promoter."
            refused = Change(name, alias, before, number, Outcome.REFUSED, caller.actor, text)
            self._record_refusal(refused)
            raise RefusedError(refused)
        for _ in range(_MAX_RACES):
            with self._new_session() as session:
                standing, before = standing_of(session, name), aliases_now(session).get((name, alias))
            if alias == CHAMPION and standing.champion == number == standing.approved and standing.digest:
                return
            verdict = self._judge(name, number, uri=uri, standing=standing)
            permit = self._permit(
                Change(name, alias, before, number, Outcome.REFUSED, caller.actor), caller, verdict=verdict
            )
            promoting = permit if alias == CHAMPION else None
            given = (PREVIOUS, standing.digest) if promoting else (CANARY, verdict.digest)
            digests = {(name, given[0]): given[1]}
            with suppress(RacedError), self._change(promoting, digests=digests) as session:
                if standing_of(session, name) != standing:
                    raise RacedError(name)
                super().set_registered_model_alias(name, alias, version)
                self._set_tag(name, version, tag=REFUSED_TAG, text="")
                if alias == CANARY:
                    return
                if standing.approved not in {None, number} and not standing.is_deleted:
                    super().set_registered_model_alias(name, PREVIOUS, str(standing.approved))
                if aliases_now(session).get((name, CANARY)) == number:
                    super().delete_registered_model_alias(name, CANARY)
                self._set_tag(name, version, tag=REASON_TAG, text=permit.reason)
                return
        raise RacedError(name)

    def _forecast(self, name: str, version: str) -> None:
        """Write into the first line of a version's description whether the gate would accept it now.

        A busy gate writes none: the line is for people, and the gate judges again at a promotion. A forecast
        takes no place among the promotions that wait.
        """
        if not self._promotion.acquire(blocking=False):
            return
        try:
            with self._new_session() as session:
                standing = standing_of(session, name)
            uri = str(self.get_model_version_download_uri(name, version))
            verdict = self._judge(name, int(version), uri=uri, standing=standing)
        finally:
            self._promotion.release()
        against = textwrap.shorten("; ".join(verdict.reasons), _MAX_AGAINST, placeholder=" …")  # on one line
        rival = f"version {standing.approved}" if standing.approved else "no champion"
        line = f"{_FORECAST} {'refuse' if against else 'accept'} this version** (compared with {rival})"
        line = f"{line}: {against}" if against else f"{line}."
        described = super().get_model_version(name, version).description or ""
        rest = re.sub(rf"^{re.escape(_FORECAST)}[^\n]*\n*", "", described)
        super().update_model_version(name, version, f"{line}\n\n{rest}"[:_MAX_DESCRIPTION])

    def _judge(self, name: str, number: int, *, uri: str, standing: Standing) -> Verdict:
        """Judge a version by the policy, or by its files alone if its content was accepted as champion."""
        adopt = current_caller().adopt
        if standing.previous == number and not adopt:
            verdict = self._gate.judge_return(uri)
            with self._new_session() as session:
                first = first_as_champion(session, name, number, verdict.digest)
            if verdict.reasons:
                return verdict
            if first and first.outcome is Outcome.ACCEPTED:
                reasons = () if current_caller().named else (_NAMELESS,)
                return replace(verdict, reasons=reasons)
        if standing.approved in {None, number} or standing.is_deleted:
            verdict = self._gate.judge(uri, champion_uri=None, adopt=adopt)
            return replace(verdict, reasons=(*verdict.reasons, *([_CHAMPION_DELETED] * standing.is_deleted)))
        champion_uri = str(self.get_model_version_download_uri(name, str(standing.approved)))
        digest = standing.digest
        return self._gate.judge(uri, champion_uri=champion_uri, champion_digest=digest, adopt=adopt)

    def _permit(self, wanted: Change, caller: Caller, *, verdict: Verdict) -> Permit:
        """Return the permit for a change that the gate allows, or record and raise its refusal."""
        name, after = wanted.model, int(wanted.after or 0)
        if not verdict.reasons:
            reason = f"{caller.reason}{_ADOPTED if caller.adopt else ''}".strip()
            return Permit(name, after, reason=reason, evidence_digest=verdict.digest)
        against = "; ".join(verdict.reasons)
        may = caller.role >= Role.OVERRIDE and wanted.alias == CHAMPION
        if caller.override and may and caller.named and caller.reason and verdict.digest:
            reason = f"{caller.reason} (against: {against})"
            return Permit(name, after, Outcome.OVERRIDDEN, reason, evidence_digest=verdict.digest)
        text = f"The gate refuses version {after} of {name} as {wanted.alias}: {against}."
        if caller.override:
            text += " An override needs the role override, a name, a reason, and files that can be verified."
        refused = replace(wanted, reason=text, evidence_digest=verdict.digest)
        self._record_refusal(refused)
        raise RefusedError(refused)

    @contextmanager
    def _change(
        self, permit: Permit | None = None, *, digests: Mapping[tuple[str, str], str] = MappingProxyType({})
    ) -> Iterator[Session]:
        """Run a change and append its entries in one transaction; roll it back if it is refused.

        `digests` are those of the versions that aliases other than `champion` move to.
        """
        caller = current_caller()
        try:
            with self._transaction() as session:
                before = aliases_now(session)
                yield session
                session.flush()
                changes = list(
                    compare(before, aliases_now(session), actor=caller.actor, reason=caller.reason)
                )
                if permit and not any(c.alias == CHAMPION for c in changes):
                    changes.append(permit.approve_in_place(caller.actor))
                given = [replace(c, evidence_digest=digests.get((c.model, c.alias), "")) for c in changes]
                entries = self._append(session, [check(change, permit) for change in given])
        except RefusedError as error:
            self._record_refusal(error.change)
            raise
        self._emit_all(entries)

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with self._writing, self._new_session(read_only=False) as session:
            token = self._joined.set(session)
            try:
                take_lock(session)
                yield session
            finally:
                self._joined.reset(token)

    @contextmanager
    def _own_or_joined_session(self, read_only: bool = True) -> Iterator[Session]:  # noqa: FBT001, FBT002  MLflow's signature
        """Replace MLflow's session maker: inside a change, MLflow's methods join its transaction."""
        if (joined := self._joined.get()) is not None:
            yield joined
            return
        try:
            with self._new_session(read_only=read_only) as session:
                yield session
        except MlflowException as error:
            if isinstance(error.__cause__, OverflowError):  # of a database's integer
                raise MlflowException(_NO_VERSION, error_code=INVALID_PARAMETER_VALUE) from error
            raise

    def _record_refusal(self, change: Change) -> None:
        with self._transaction() as session:
            entries = self._append(session, [change])
            if change.after is not None and change.alias in {CHAMPION, CANARY}:
                self._set_tag(change.model, str(change.after), tag=REFUSED_TAG, text=change.reason)
        self._emit_all(entries)

    def _set_tag(self, name: str, version: str, *, tag: str, text: str) -> None:
        if text:
            super().set_model_version_tag(name, version, ModelVersionTag(tag, text[:_MAX_TAG_LENGTH]))
        else:
            super().delete_model_version_tag(name, version, tag)

    def _append(self, session: Session, changes: Iterable[Change]) -> list[Entry]:
        return [append(session, change, now=self._clock()) for change in changes]

    def _emit_all(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._emit(entry)


def _previous_refusal(session: Session, name: str, after: int | None) -> RefusedError:
    """Refuse to move `previous`, even to the version that it names already."""
    before = aliases_now(session).get((name, PREVIOUS))
    return refusal(Change(name, PREVIOUS, before, after, Outcome.REFUSED, current_caller().actor))
