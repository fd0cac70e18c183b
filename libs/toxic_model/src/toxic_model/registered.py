"""Which version scores: a bundle's folder, or a version of a registered model.

Invariant: a returned bundle is verified, and has the content that the registry's ledger records, if any. Its
version is a number even if an alias was asked for, because an alias may move while a job runs.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

from toxic_core.contract import BUNDLE_ARTIFACT_PATH, CONTRACT_FILE, Bundle, file_digest, open_bundle
from toxic_core.errors import ContractError, RegistryUnavailableError, UnknownModelError
from toxic_core.registered import MODEL_NAME

_DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True)
class VersionedBundle:
    """A verified bundle and its version.

    Attributes:
        bundle: verified.
        version: its number in the registry; without a registry, the beginning of `digest`.
        digest: SHA-256 of its contract, and so of all its files.
    """

    bundle: Bundle
    version: str
    digest: str


def open_folder(folder: Path) -> VersionedBundle:
    """Return the bundle in a folder.

    Raises:
        ContractError: it isn't a bundle, or is damaged.
    """
    bundle = open_bundle(folder)
    digest = file_digest(folder / CONTRACT_FILE)
    return VersionedBundle(bundle=bundle, version=digest[:_DIGEST_LENGTH], digest=digest)


@dataclass(frozen=True, slots=True)
class Registry:
    """A model in an MLflow registry. MLflow is imported by the first call.

    Attributes:
        uri: the registry's address; None for the one that this process already uses.
        model_name: the registered model.
    """

    uri: str | None = None
    model_name: str = MODEL_NAME

    def resolve(self, version: str) -> str:
        """Return the number of a version that is given by its number or an alias.

        Raises:
            UnknownModelError: there is no such model, version or alias.
            RegistryUnavailableError: the registry doesn't answer.
        """
        from mlflow import MlflowClient  # noqa: PLC0415  takes seconds

        with self._answering(version):
            client = MlflowClient(self.uri, self.uri)
            if version.isdecimal():
                return str(client.get_model_version(self.model_name, version).version)
            aliases = client.get_registered_model(self.model_name).aliases
        if version not in aliases:
            raise UnknownModelError(
                f"{self.model_name} has no alias {version}; it has {', '.join(sorted(aliases)) or 'none'}."
            )
        return str(aliases[version])

    def fetch(self, version: str, folder: Path) -> VersionedBundle:
        """Fetch a version's bundle as `folder`, replacing what is there only by a whole, verified bundle.

        Two processes mustn't fetch into one folder at the same time; the caller prevents it.

        Args:
            version: its number, or an alias.
            folder: the folder to write.

        Raises:
            UnknownModelError: there is no such model, version or alias.
            ContractError: the version has no bundle that this code reads, or another content than the ledger
                records.
            RegistryUnavailableError: the registry doesn't answer.
        """
        import mlflow  # noqa: PLC0415  takes seconds

        number = self.resolve(version)
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        if self.uri is not None:
            # Artifact addresses are resolved against the process's registry: no argument overrides it.
            mlflow.set_tracking_uri(self.uri)
            mlflow.set_registry_uri(self.uri)
        with self._answering(version):
            uri = f"models:/{self.model_name}/{number}/{BUNDLE_ARTIFACT_PATH}"
            fetched = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(partial)))
        if not fetched.is_dir() or not any(fetched.iterdir()):
            raise ContractError(
                f"Version {number} of {self.model_name} has no files at {BUNDLE_ARTIFACT_PATH}; "
                "register it through the training pipeline."
            )
        opened = open_folder(fetched)
        with self._answering(version):
            recorded = self._recorded(number)
        if recorded not in {None, opened.digest}:
            raise ContractError(
                f"The files of version {number} of {self.model_name} aren't those that the registry's ledger "
                "records: they were replaced. Register the version again."
            )
        shutil.rmtree(folder, ignore_errors=True)
        fetched.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
        return replace(opened, bundle=replace(opened.bundle, path=folder), version=number)

    def _recorded(self, number: str) -> str | None:
        """Return the digest of a version in the registry's ledger; None if it has none, as a plain MLflow."""
        from mlflow import get_tracking_uri  # noqa: PLC0415  takes seconds
        from mlflow.utils.credentials import get_default_host_creds  # noqa: PLC0415
        from mlflow.utils.rest_utils import http_request  # noqa: PLC0415

        uri = self.uri or get_tracking_uri()
        if not uri.startswith(("http://", "https://")):
            return None
        path = "/ledger/approved"
        answer = http_request(get_default_host_creds(uri), path, "GET", params={"model": self.model_name})
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        answer.raise_for_status()
        recorded = {str(each["version"]): str(each["digest"]) for each in answer.json()["versions"]}
        return recorded.get(number)

    @contextmanager
    def _answering(self, version: str) -> Iterator[None]:
        import mlflow  # noqa: PLC0415  takes seconds
        from mlflow.exceptions import MlflowException  # noqa: PLC0415
        from requests import RequestException  # noqa: PLC0415  comes with mlflow

        try:
            yield
        except (MlflowException, RequestException) as error:
            if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
                raise UnknownModelError(
                    f"The registry has no {self.model_name} version {version}."
                ) from error
            reason = str(error).strip().partition("\n")[0]
            raise RegistryUnavailableError(
                f"The registry at {self.uri or mlflow.get_tracking_uri()} doesn't return version {version}: "
                f"{reason}"
            ) from error
