"""A running registry as an `AliasStore`, over HTTP through MLflow's own client.

Invariant: every failure of MLflow's client leaves this module as one of our errors, with one line of text.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response
from pydantic import BaseModel, Field, ValidationError

from toxic_core.errors import RegistryUnavailableError
from toxic_registry.gate.aliases import MODEL_NAME, Alias, ModelVersion, PromotionRefusedError, Request
from toxic_registry.ledger.rows import Change, Entry, Outcome
from toxic_registry.server.caller import headers_of

_ALIAS_PATH = "/api/2.0/mlflow/registered-models/alias"

_BOUNDED_RETRIES = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def bound_retries() -> None:
    """Make MLflow's client give up within seconds instead of minutes, unless its variables say otherwise."""
    for variable, value in _BOUNDED_RETRIES.items():
        os.environ.setdefault(variable, value)


class LedgerRow(BaseModel):
    """One row of `GET /ledger`."""

    sequence: int
    time: str
    actor: str
    model: str
    alias: str
    before: int | None = Field(alias="from")
    after: int | None = Field(alias="to")
    outcome: Outcome
    reason: str
    evidence_digest: str
    previous_hash: str
    hash: str

    def entry(self) -> Entry:
        """Return the row as the ledger knows it."""
        change = Change(
            self.model, self.alias, self.before, self.after,
            outcome=self.outcome, actor=self.actor, reason=self.reason,
            evidence_digest=self.evidence_digest,
        )  # fmt: skip
        return Entry(self.sequence, self.time, change, self.previous_hash, hash=self.hash)


class LedgerAlias(BaseModel):
    """One alias of `GET /ledger`."""

    model: str
    alias: str
    version: int


class LedgerPage(BaseModel):
    """The answer of `GET /ledger`."""

    rows: list[LedgerRow]
    next: int | None
    aliases: list[LedgerAlias]


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that a registry's ledger says.

    Attributes:
        entries: every row, the oldest first.
        aliases: the version behind every (model, alias), as they stood with the last row.
    """

    entries: tuple[Entry, ...]
    aliases: Mapping[tuple[str, str], int]


class RegistryClient:
    """Reads and moves aliases in the registry at one address. Blocking; not thread-safe."""

    def __init__(self, uri: str, *, model: str = MODEL_NAME) -> None:
        self._uri = uri
        self._model = model
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._credentials = get_default_host_creds(uri)

    def aliases(self) -> Mapping[str, int]:
        """Return the version number behind every alias; empty where the model isn't registered."""
        with self._errors():
            try:
                model = self._client.get_registered_model(self._model)
            except RestException as error:
                if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                    return {}
                raise
            return {alias: int(number) for alias, number in model.aliases.items()}

    def versions(self) -> Sequence[ModelVersion]:
        """Return every version, the newest first; empty where the model isn't registered."""
        with self._errors():
            return tuple(sorted(self._search(), key=lambda version: version.number, reverse=True))

    def promote(self, number: int, request: Request) -> None:
        """Ask for a version to become champion; see `AliasStore`."""
        body = {"name": self._model, "alias": Alias.CHAMPION.value, "version": str(number)}
        headers = headers_of(actor=request.actor, reason=request.reason, override=request.override)
        with self._errors():
            # MLflow's client has no place for a header, but its HTTP layer (sign-in, retries) has.
            answer = http_request(self._credentials, _ALIAS_PATH, "POST", extra_headers=headers, json=body)
            verify_rest_response(answer, _ALIAS_PATH)

    def ledger(self) -> Ledger:
        """Return every row of the ledger, the oldest first, and the aliases as they stand after the last.

        Raises:
            RegistryUnavailableError: no registry with a ledger answers.
        """
        entries: list[Entry] = []
        after: int | None = 0
        page = None
        while after is not None:
            with self._errors():
                answer = http_request(self._credentials, "/ledger", "GET", params={"after": after})
                verify_rest_response(answer, "/ledger")
            try:
                page = LedgerPage.model_validate_json(answer.content)
            except ValidationError as error:
                raise RegistryUnavailableError(
                    f"{self._uri} is no registry with a ledger; name one with REGISTRY_URI."
                ) from error
            entries += [row.entry() for row in page.rows]
            after = page.next
        aliases = {(a.model, a.alias): a.version for a in page.aliases} if page else {}
        return Ledger(entries=tuple(entries), aliases=aliases)

    def _search(self) -> Iterator[ModelVersion]:
        token: str | None = None
        while True:
            page = self._client.search_model_versions(f"name = '{self._model}'", page_token=token)
            for found in page:
                yield ModelVersion(
                    number=int(found.version),
                    created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, tz=UTC),
                    run_id=found.run_id or "",
                    tags=dict(found.tags),
                )
            token = page.token
            if not token:
                return

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except RestException as error:
            raise PromotionRefusedError(f"The registry refused: {error.message}") from error
        except MlflowException as error:
            reason = str(error).strip().splitlines()[0]
            raise RegistryUnavailableError(
                f"No registry answers at {self._uri}; start one with `make serve` or `make demo`, or name "
                f"another with REGISTRY_URI. ({reason})"
            ) from error
