"""A client of a running registry, over HTTP through MLflow's own client.

Invariant: every failure of MLflow's client becomes one of our errors, with one line of text.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response
from pydantic import BaseModel, ValidationError

from toxic_core.errors import RegistryUnavailableError
from toxic_core.registered import CANARY, CHAMPION, MODEL_NAME, PREVIOUS
from toxic_registry.caller import Caller, to_headers
from toxic_registry.client.promotion import Promotion, PromotionRefusedError, resolve
from toxic_registry.client.report import ModelVersion
from toxic_registry.ledger.entries import Entry
from toxic_registry.ledger.head import Head

_ALIAS_PATH = "/api/2.0/mlflow/registered-models/alias"

_PROBE_SECONDS = 5.0
_BOUNDED_RETRIES = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def bound_retries() -> None:
    """Make MLflow's client give up within seconds instead of minutes, unless its variables are set."""
    for variable, value in _BOUNDED_RETRIES.items():
        os.environ.setdefault(variable, value)


class _LedgerAlias(BaseModel):
    model: str
    alias: str
    version: int


class _LedgerPage(BaseModel):
    rows: list[Entry]
    next: int | None
    head: Head | None = None
    key: str = ""
    aliases: list[_LedgerAlias]


@dataclass(frozen=True, slots=True)
class Ledger:
    """A registry's whole ledger.

    Attributes:
        entries: the oldest first.
        aliases: the registry's version per (model, alias), read together with the last entry.
        head: the head outside the database, read before the entries; None if there is none.
        key: the public key of the registry, which signs the head.
    """

    entries: tuple[Entry, ...]
    aliases: Mapping[tuple[str, str], int]
    head: Head | None = None
    key: str = ""


class RegistryClient:
    """Reads and moves aliases in the registry at one address. Blocking; not thread-safe.

    Every method may raise `RegistryUnavailableError`.
    """

    def __init__(self, uri: str, *, model: str = MODEL_NAME) -> None:
        self._uri = uri
        self._model = model
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._credentials = get_default_host_creds(uri)

    def aliases(self) -> Mapping[str, int]:
        """Return the version number per alias; empty if the model isn't registered."""
        with self._errors():
            try:
                model = self._client.get_registered_model(self._model)
            except RestException as error:
                if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                    return {}
                raise
            return {alias: int(number) for alias, number in model.aliases.items()}

    def versions(self) -> tuple[ModelVersion, ...]:
        """Return every version, the newest first; empty if the model isn't registered."""
        found: list[ModelVersion] = []
        token: str | None = None
        while True:
            with self._errors():
                page = self._client.search_model_versions(f"name = '{self._model}'", page_token=token)
            found += [
                ModelVersion(
                    number=int(version.version),
                    created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC),
                    run_id=version.run_id or "",
                    tags=dict(version.tags),
                )
                for version in page
            ]
            token = page.token
            if not token:
                return tuple(sorted(found, key=lambda version: version.number, reverse=True))

    def promote(self, version_or_alias: str, caller: Caller) -> Promotion:
        """Make a version champion; requesting the present champion confirms it, if nothing approves it yet.

        Raises:
            UnknownModelError: the model has no such version or alias.
            PromotionRefusedError: the registry refused.
        """
        number, aliases = self._resolve(version_or_alias)
        self._request("POST", caller, alias=CHAMPION, version=str(number))
        return Promotion(self._model, champion=number, replaced=aliases.get(CHAMPION))

    def try_out(self, version_or_alias: str, caller: Caller) -> int:
        """Make a version the canary; return its number. Raises as `promote`."""
        number, _ = self._resolve(version_or_alias)
        self._request("POST", caller, alias=CANARY, version=str(number))
        return number

    def withdraw(self, caller: Caller) -> int:
        """End the canary's trial; return its number.

        Raises:
            PromotionRefusedError: there is no canary, or the registry refused.
        """
        number = self.aliases().get(CANARY)
        if number is None:
            raise PromotionRefusedError(f"{self._model} has no canary to withdraw.")
        self._request("DELETE", caller, alias=CANARY)
        return number

    def roll_back(self, caller: Caller) -> Promotion:
        """Make the previous champion champion again; a second call undoes the first.

        Raises:
            PromotionRefusedError: there is no previous champion, or the registry refused.
        """
        if PREVIOUS not in self.aliases():
            raise PromotionRefusedError(f"{self._model} has no previous champion to roll back to.")
        return self.promote(PREVIOUS, caller)

    def ledger(self) -> Ledger:
        """Return the whole ledger; raises `RegistryUnavailableError` if the server has none."""
        entries: list[Entry] = []
        first: _LedgerPage | None = None
        after: int | None = 0
        while True:
            with self._errors():
                answer = http_request(self._credentials, "/ledger", "GET", params={"after": after})
                verify_rest_response(answer, "/ledger")
            try:
                page = _LedgerPage.model_validate_json(answer.content)
            except ValidationError as error:
                raise RegistryUnavailableError(
                    f"The server at {self._uri} has no ledger; set REGISTRY_URI to a registry's address."
                ) from error
            entries += page.rows
            first = first or page
            after = page.next
            if after is None:
                aliases = {(a.model, a.alias): a.version for a in page.aliases}
                return Ledger(tuple(entries), aliases, first.head, first.key)

    def _resolve(self, version_or_alias: str) -> tuple[int, Mapping[str, int]]:
        aliases = self.aliases()
        numbers = [version.number for version in self.versions()]
        return resolve(version_or_alias, model=self._model, numbers=numbers, aliases=aliases), aliases

    def _request(self, method: str, caller: Caller, **change: str) -> None:
        # MLflow's client takes no headers, but its HTTP layer, with sign-in and retries, does.
        with self._errors():
            answer = http_request(
                self._credentials,
                _ALIAS_PATH,
                method,
                extra_headers=to_headers(caller),
                json={"name": self._model, **change},
            )
            verify_rest_response(answer, _ALIAS_PATH)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except RestException as error:
            if error.get_http_status_code() >= HTTPStatus.INTERNAL_SERVER_ERROR:
                self._raise_database_fault(error)
            raise PromotionRefusedError(f"The registry refused: {error.message}") from error
        except MlflowException as error:
            self._raise_database_fault(error)
            reason = str(error).strip().splitlines()[0]
            raise RegistryUnavailableError(
                f"No registry answers at {self._uri}. Start one with `make serve` or `make demo`, or set "
                f"REGISTRY_URI to another address. ({reason})"
            ) from error

    def _raise_database_fault(self, error: MlflowException) -> None:
        """Raise an error with the right advice if the registry runs, but its database doesn't."""
        with suppress(requests.RequestException):
            answer = requests.get(f"{self._uri.rstrip('/')}/health/ready", timeout=_PROBE_SECONDS)
            if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and "database" in answer.text:
                raise RegistryUnavailableError(
                    f"The registry at {self._uri} runs, but can't read or change anything. "
                    f"{answer.text.splitlines()[0]} Start the database; the registry reconnects to it."
                ) from error
