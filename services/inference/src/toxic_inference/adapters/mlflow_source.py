"""The MLflow model registry: which versions its aliases name or an operator pinned, and their files.

Owns everything that knows MLflow, and imports it only when a registry is first asked: the import takes
seconds, and a start from the cache must not wait for it.

Invariant: an alias or model that doesn't exist in the registry is left out; a registry that doesn't answer
is an error, never an empty set.
"""

import errno
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass, field, replace
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from shutil import disk_usage
from typing import TYPE_CHECKING

import structlog
from pydantic import BaseModel, ValidationError

from toxic_core.contract import BUNDLE_ARTIFACT_PATH
from toxic_core.errors import ContractError, RegistryUnavailableError
from toxic_inference.serving.interfaces import AspiredVersion, ServableId

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from toxic_inference.otel.tracing import Tracing

_log = structlog.get_logger(__name__)

_APPROVALS_PATH = "/ledger/approved"
_FINGERPRINT_LENGTH = 16
_MOST_FILES = 10_000

_BOUNDED_HTTP = {
    # MLflow retries for a minute by default; the poller asks again soon anyway.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


class _Approval(BaseModel):
    version: int
    digest: str


class _AliasApproval(_Approval):
    alias: str


class _Approvals(BaseModel):
    """What the registry's ledger approves: version and digest per alias, digest per version."""

    aliases: tuple[_AliasApproval, ...]
    versions: tuple[_Approval, ...]

    def by_alias(self) -> dict[str, tuple[str, str | None]]:
        """Return version and digest by alias; without its own digest, an alias has its version's, if any."""
        return {a.alias: (str(a.version), a.digest or self.digest_of(str(a.version))) for a in self.aliases}

    def digest_of(self, version: str) -> str:
        return next((each.digest for each in self.versions if str(each.version) == version), "")


@dataclass(eq=False)
class MlflowRegistry:
    """Implements `Source`, and downloads for the bundle cache.

    Attributes:
        uri: the registry's address, such as http://127.0.0.1:5000.
        model_name: the registered model.
        aliases: which aliases are served, the most important first.
        pinned: versions that are served independent of the aliases.
        max_bytes: the largest bundle that is fetched.
        require_approval: whether aliases and digests come from the registry's ledger, not from MLflow.
        tracing: makes a span of each poll and download, and sends its context along; None for no spans.
    """

    uri: str
    _: KW_ONLY
    model_name: str
    aliases: Sequence[str]
    max_bytes: int
    pinned: Sequence[str] = ()
    require_approval: bool = False
    tracing: "Tracing | None" = None
    _client: "MlflowClient | None" = field(default=None, init=False)
    _seen_as_of: tuple[int | None, int | None] = field(default=(None, None), init=False)
    _seen: dict[str, ServableId] = field(default_factory=dict, init=False)

    def aspired(self) -> tuple[AspiredVersion, ...]:
        """Return the versions that the aliases name now, then the pinned ones.

        Raises:
            RegistryUnavailableError: the registry doesn't answer, or not as a registry, or lacks the ledger
                of approvals that is required.
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  see the module's docstring

        aliases: dict[ServableId, set[str]] = {}
        with self._traced("registry.poll"), self._unavailable_unless_answered():
            approvals = self._approvals() if self.require_approval else None
            for alias, servable_id in self._named_versions(approvals).items():
                aliases.setdefault(servable_id, set()).add(alias)
            for version in self.pinned:
                try:
                    found = self._connect().get_model_version(self.model_name, version)
                except MlflowException as error:
                    # Not a number, or no version: as with an alias, it may come to be.
                    if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                        raise
                else:
                    digest = None if approvals is None else approvals.digest_of(version)
                    pinned = replace(_id_of(found), digest=digest)
                    # An alias of the same version brings the same content.
                    if all(pinned.version != named.version for named in aliases):
                        aliases[pinned] = set()
        return tuple(AspiredVersion(s, frozenset(names)) for s, names in aliases.items())

    def download(self, servable_id: ServableId, folder: Path) -> Path:
        """Fetch a version's bundle into `folder`; return the bundle's path in it.

        Raises:
            ContractError: the version holds no bundle, or one that is too large.
            OSError: the disk has no room for it.
            RegistryUnavailableError: the registry doesn't answer.
        """
        import mlflow.artifacts  # noqa: PLC0415  see the module's docstring

        client = self._connect()
        uri = f"models:/{self.model_name}/{servable_id.version}/{BUNDLE_ARTIFACT_PATH}"
        with self._traced("registry.download"), self._unavailable_unless_answered():
            version = client.get_model_version(self.model_name, servable_id.version)
            if _id_of(version) != replace(servable_id, digest=None):
                raise ContractError(f"Version {servable_id.version} was replaced in the registry meanwhile.")
            size = self._check_size(uri, what=f"Version {servable_id.version}")
            folder.mkdir(parents=True, exist_ok=True)
            if (free := disk_usage(folder).free) < size:
                message = f"Version {servable_id.version} takes {size:,} bytes, and {free:,} are free"
                raise OSError(errno.ENOSPC, message, str(folder))
            bundle = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
        if not bundle.is_dir() or not any(bundle.iterdir()):
            raise ContractError(
                f"Version {servable_id.version} of {self.model_name!r} has no files at "
                f"{BUNDLE_ARTIFACT_PATH}; register it through the training pipeline."
            )
        return bundle

    def _check_size(self, uri: str, *, what: str) -> int:
        """Return a bundle's size, before its first byte is fetched; refuse one that is too large."""
        import mlflow.artifacts  # noqa: PLC0415  see the module's docstring

        size = files = 0
        folders = [""]
        while folders and files < _MOST_FILES and size <= self.max_bytes:
            folder = folders.pop()
            for found in mlflow.artifacts.list_artifacts(artifact_uri=f"{uri}/{folder}".rstrip("/")):
                files += 1
                size += found.file_size or 0
                if found.is_dir:
                    folders.append(f"{folder}/{PurePosixPath(found.path).name}".lstrip("/"))
        if folders or size > self.max_bytes:
            raise ContractError(
                f"{what} is larger than {self.max_bytes:,} bytes or {_MOST_FILES:,} files; it isn't fetched."
            )
        return size

    def _approvals(self) -> "_Approvals":
        """Return what the registry's ledger approves.

        Raises:
            RegistryUnavailableError: the server has no such ledger.
        """
        from mlflow.utils.credentials import get_default_host_creds  # noqa: PLC0415  see the module's docstring
        from mlflow.utils.rest_utils import http_request  # noqa: PLC0415

        self._connect()
        answer = http_request(
            get_default_host_creds(self.uri), _APPROVALS_PATH, "GET", params={"model": self.model_name}
        )
        advice = {
            HTTPStatus.NOT_FOUND: "It has no ledger that approves versions: upgrade it, or set "
            "INFERENCE_REQUIRE_APPROVAL=false for a plain MLflow.",
            HTTPStatus.UNAUTHORIZED: "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
            HTTPStatus.FORBIDDEN: "Its user needs the role reader.",
        }
        try:
            return _Approvals.model_validate_json(answer.content)
        except ValidationError as error:
            raise RegistryUnavailableError(
                f"The registry at {self.uri} answers {answer.status_code} to {_APPROVALS_PATH}. "
                + advice.get(answer.status_code, "Its log says why.")
            ) from error

    def _named_versions(self, approvals: "_Approvals | None") -> dict[str, ServableId]:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  see the module's docstring

        client = self._connect()
        try:
            registered = client.get_registered_model(self.model_name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        # The second moves with each version made or deleted, so no number can have changed hands since.
        as_of = registered.creation_timestamp, registered.last_updated_timestamp
        if as_of != self._seen_as_of:
            self._seen_as_of, self._seen = as_of, {}
        numbers = {alias: (str(number), None) for alias, number in registered.aliases.items()}
        named = numbers if approvals is None else approvals.by_alias()
        found: dict[str, ServableId] = {}
        for alias in self.aliases:
            if alias in named:
                number, digest = named[alias]
                if number not in self._seen:
                    self._seen[number] = _id_of(client.get_model_version(self.model_name, number))
                found[alias] = replace(self._seen[number], digest=digest)
        return found

    def _connect(self) -> "MlflowClient":
        if self._client is None:
            for name, value in _BOUNDED_HTTP.items():
                os.environ.setdefault(name, value)
            # The poller logs once that the registry is gone; urllib3 would log it at every poll.
            logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
            import mlflow  # noqa: PLC0415  see the module's docstring

            # Artifact addresses are resolved against the process's registry: there is no argument for it.
            mlflow.set_tracking_uri(self.uri)
            mlflow.set_registry_uri(self.uri)
            self._client = mlflow.MlflowClient(self.uri, self.uri)
            if self.tracing is not None:
                try:
                    _send_headers(self.tracing.headers)
                except (ImportError, AttributeError) as error:
                    _log.warning("otel.no_context_for_registry", error=str(error))
        return self._client

    def _traced(self, name: str) -> AbstractContextManager[None]:
        return nullcontext() if self.tracing is None else self.tracing.calling(name)

    @contextmanager
    def _unavailable_unless_answered(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  see the module's docstring
        from requests import RequestException  # noqa: PLC0415  comes with mlflow

        try:
            yield
        except (MlflowException, RequestException) as error:
            # MLflow has only the text of what failed while it wrote files.
            if (reason := os.strerror(errno.ENOSPC)) in str(error):
                raise OSError(errno.ENOSPC, reason) from error
            # What it began with: "Connection refused", not the five layers of HTTP around it.
            cause: BaseException = error
            while (earlier := cause.__cause__ or cause.__context__) is not None:
                cause = earlier
            reason = str(cause).partition("\n")[0] or type(error).__name__
            raise RegistryUnavailableError(
                f"The model registry at {self.uri} doesn't answer as expected: {reason}"
            ) from error


def _send_headers(headers: Callable[[], Mapping[str, str]]) -> None:
    """Let MLflow add headers to each request of this process; plugins do the same by an entry point.

    Raises:
        ImportError: this MLflow has no such registry, which isn't public.
        AttributeError: it has another form.
    """
    from mlflow.tracking.request_header.abstract_request_header_provider import (  # noqa: PLC0415  as above
        RequestHeaderProvider,
    )
    from mlflow.tracking.request_header.registry import (  # noqa: PLC0415
        _request_header_provider_registry,
    )

    class TraceHeaders(RequestHeaderProvider):
        def in_context(self) -> bool:
            return True

        def request_headers(self) -> dict[str, str]:
            return dict(headers())

    _request_header_provider_registry.register(TraceHeaders)


def _id_of(version: "ModelVersion") -> ServableId:
    """Identify a version, as another registry can have one of the same number."""
    facts = f"{version.source}|{version.run_id}|{version.creation_timestamp}"
    fingerprint = hashlib.sha256(facts.encode()).hexdigest()[:_FINGERPRINT_LENGTH]
    return ServableId(str(version.version), fingerprint)
