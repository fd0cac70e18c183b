"""A running registry as an `AliasStore`, over HTTP through MLflow's own client.

Invariant: every failure of MLflow's client leaves this module as one of our errors, with one line of text.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient

from toxic_core.errors import RegistryUnavailableError
from toxic_registry.aliases import MODEL_NAME, Alias, ModelVersion, PromotionRefusedError

REASON_TAG = "promotion.reason"

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


class RegistryClient:
    """Reads and moves aliases in the registry at one address. Blocking; not thread-safe."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def aliases(self) -> Mapping[str, int]:
        """Return the version number behind every alias; empty where the model isn't registered."""
        with self._errors():
            try:
                model = self._client.get_registered_model(MODEL_NAME)
            except RestException as error:
                if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                    return {}
                raise
            return {alias: int(number) for alias, number in model.aliases.items()}

    def versions(self) -> Sequence[ModelVersion]:
        """Return every version, the newest first; empty where the model isn't registered."""
        with self._errors():
            return tuple(sorted(self._search(), key=lambda version: version.number, reverse=True))

    def set_alias(self, alias: Alias, number: int) -> None:
        """Point `alias` to a version; see `AliasStore`."""
        with self._errors():
            self._client.set_registered_model_alias(MODEL_NAME, alias.value, str(number))

    def delete_alias(self, alias: Alias) -> None:
        """Remove `alias`."""
        with self._errors():
            self._client.delete_registered_model_alias(MODEL_NAME, alias.value)

    def record_reason(self, number: int, reason: str) -> None:
        """Note on a version why it was last made champion; an empty reason removes the note."""
        with self._errors():
            if reason:
                self._client.set_model_version_tag(MODEL_NAME, str(number), REASON_TAG, reason)
            else:
                self._client.delete_model_version_tag(MODEL_NAME, str(number), REASON_TAG)

    def _search(self) -> Iterator[ModelVersion]:
        token: str | None = None
        while True:
            page = self._client.search_model_versions(f"name = '{MODEL_NAME}'", page_token=token)
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
