"""MLflow's model registry store, with the gate and the ledger in front of every alias.

It stands behind MLflow's handlers, so that no route, present or future, moves an alias around it: whoever
calls the store passes here. Every change is one database transaction that holds the ledger's lock: the
aliases before and after it are compared, and each difference is a row.

Invariant: at every commit the ledger's rows end where the aliases stand; `champion` moves only past the gate,
and `previous` only with it. A process killed anywhere leaves a whole change or none.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy.orm import Session

from toxic_registry.gate.aliases import Alias
from toxic_registry.gate.check import Gate, Verdict
from toxic_registry.gate.rules import (
    Aliases,
    Permit,
    RefusedError,
    compare,
    not_by_hand,
    permitted_changes,
    read_aliases,
    standing_in,
)
from toxic_registry.ledger.rows import Change, Entry, Outcome, aliases_of
from toxic_registry.ledger.table import append, create_ledger, every_entry, page, take_lock
from toxic_registry.server.caller import Caller, current_caller

REASON_TAG = "promotion.reason"
REFUSED_TAG = "promotion.refused"

_TAG_LENGTH = 4000
_RACES = 10


class Observer(Protocol):
    """Told of every row, after it is committed. Must not block, nor raise."""

    def __call__(self, entry: Entry) -> None:
        """Take note of a row."""
        ...


class GatedStore(SqlAlchemyStore):
    """MLflow's SQL store, gated. Thread-safe; several processes may share the database."""

    def __init__(
        self,
        db_uri: str,
        *,
        gate: Gate,
        observers: Sequence[Observer] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(db_uri)
        self._gate = gate
        self._observers = observers
        self._clock = clock
        self._promotion = threading.Lock()
        self._writing = threading.Lock()
        self._joined: ContextVar[Session | None] = ContextVar("session", default=None)
        self._new_session = self.ManagedSessionMaker
        self.ManagedSessionMaker = self._session
        create_ledger(self.engine)
        self._reconcile()

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias to a version: `champion` through the gate, others as they are asked for."""
        if alias == Alias.CHAMPION:
            self._promote(name, version)
            return
        with self._change() as session:
            if alias == Alias.PREVIOUS:
                raise not_by_hand(session, name, int(version))
            super().set_registered_model_alias(name, alias, version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias, but for `champion` and `previous`."""
        with self._change() as session:
            if alias == Alias.PREVIOUS:
                raise not_by_hand(session, name, None)
            super().delete_registered_model_alias(name, alias)

    def delete_model_version(self, name: str, version: str) -> None:
        """Delete a version with its aliases, but not the champion."""
        with self._change():
            super().delete_model_version(name, version)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model, but not one with a champion."""
        with self._change():
            super().delete_registered_model(name)

    def rename_registered_model(self, name: str, new_name: str) -> object:
        """Rename a model, but not one with a champion: whoever serves it knows it by name."""
        with self._change():
            return super().rename_registered_model(name, new_name)

    def ledger_page(self, *, after: int, limit: int) -> tuple[tuple[Entry, ...], Aliases]:
        """Return up to `limit` rows after the row numbered `after`, and the aliases as they stand."""
        with self._writing, self._new_session() as session:
            return page(session, after=after, limit=limit), read_aliases(session)

    def _promote(self, name: str, version: str) -> None:
        caller = current_caller()
        # One at a time: a judgement downloads a version, and holds only against the champion it was made for.
        with self._promotion:
            for _ in range(_RACES):
                if self._try_promotion(name, version, caller):
                    return
        raise MlflowException(
            f"The champion of {name} keeps changing; try again.", error_code=TEMPORARILY_UNAVAILABLE
        )

    def _try_promotion(self, name: str, version: str, caller: Caller) -> bool:
        """Judge against the present champion, then promote; False where it changed meanwhile."""
        uri = str(self.get_model_version_download_uri(name, version))
        number = int(version)
        with self._new_session() as session:
            seen = read_aliases(session)
        champion = seen.get((name, Alias.CHAMPION))
        if champion == number:
            return True
        if seen.get((name, Alias.PREVIOUS)) == number:
            verdict = self._gate.judge_return(uri)
        else:
            verdict = self._gate.judge(uri, champion_uri=self._uri_of(name, champion))
        permit = self._permit(name, caller, verdict=verdict, before=champion, after=number)
        with self._change(permit) as session:
            if standing_in(read_aliases(session), name) != standing_in(seen, name):
                return False
            super().set_registered_model_alias(name, Alias.CHAMPION, version)
            if champion is not None:
                super().set_registered_model_alias(name, Alias.PREVIOUS, str(champion))
            self._note(name, version, tag=REASON_TAG, text=permit.reason)
            self._note(name, version, tag=REFUSED_TAG, text="")
        return True

    def _permit(
        self, name: str, caller: Caller, *, verdict: Verdict, before: int | None, after: int
    ) -> Permit:
        if not verdict.reasons:
            return Permit(name, reason=caller.reason, evidence_digest=verdict.digest)
        against = "; ".join(verdict.reasons)
        if caller.override and caller.named and caller.reason:
            return Permit(
                name,
                outcome=Outcome.OVERRIDDEN,
                reason=f"{caller.reason} (against: {against})",
                evidence_digest=verdict.digest,
            )
        text = f"Version {after} of {name} may not become champion: {against}."
        if caller.override:
            text += " An override needs a name and a reason."
        refused = Change(
            name, Alias.CHAMPION, before, after, Outcome.REFUSED, caller.actor, text, verdict.digest
        )
        self._record_refusal(refused)
        raise RefusedError(refused)

    def _uri_of(self, name: str, number: int | None) -> str | None:
        return None if number is None else str(self.get_model_version_download_uri(name, str(number)))

    @contextmanager
    def _change(self, permit: Permit | None = None) -> Iterator[Session]:
        """Run a change in one transaction, which ends with its rows, or refused and undone."""
        try:
            with self._transaction() as session:
                before = read_aliases(session)
                yield session
                session.flush()
                changes = permitted_changes(before, read_aliases(session), permit)
                entries = [append(session, change, now=self._clock()) for change in changes]
        except RefusedError as refusal:
            self._record_refusal(refusal.change)
            raise
        self._tell(entries)

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
    def _session(self, read_only: bool = True) -> Iterator[Session]:  # noqa: FBT001, FBT002  MLflow's signature
        """Stand in for MLflow's own sessions: inside a change, its methods join the change's transaction."""
        if (joined := self._joined.get()) is not None:
            yield joined
            return
        with self._new_session(read_only=read_only) as session:
            yield session

    def _record_refusal(self, change: Change) -> None:
        with self._transaction() as session:
            entry = append(session, change, now=self._clock())
            if change.after is not None and change.alias == Alias.CHAMPION:
                self._note(change.model, str(change.after), tag=REFUSED_TAG, text=change.reason)
        self._tell([entry])

    def _note(self, name: str, version: str, *, tag: str, text: str) -> None:
        if text:
            super().set_model_version_tag(name, version, ModelVersionTag(tag, text[:_TAG_LENGTH]))
        else:
            super().delete_model_version_tag(name, version, tag)

    def _reconcile(self) -> None:
        """Write down what moved without this server, such as aliases from before there was a ledger."""
        with self._transaction() as session:
            told, found = aliases_of(every_entry(session)), read_aliases(session)
            entries = [
                append(session, replace(change, outcome=Outcome.FOUND, actor="registry"), now=self._clock())
                for change in compare(told, found)
            ]
        self._tell(entries)

    def _tell(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            for observer in self._observers:
                observer(entry)
