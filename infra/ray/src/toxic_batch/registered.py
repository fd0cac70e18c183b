"""Which model scores: a bundle's folder, or a version of the registered model.

Owns everything that knows MLflow, imported only where the registry is asked.

Invariant: what is returned is verified, and its version is a number even where an alias was asked for: an
alias may move while a job runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toxic_core.contract import BUNDLE_ARTIFACT_PATH, CONTRACT_FILE, Bundle, file_digest, open_bundle
from toxic_core.errors import ContractError, RegistryUnavailableError, UnknownModelError

_DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Chosen:
    """The model of a job.

    Attributes:
        bundle: verified.
        version: its number in the registry; elsewhere the beginning of its contract's SHA-256.
        digest: its contract's SHA-256, and so all of its files'.
    """

    bundle: Bundle
    version: str
    digest: str


def open_folder(folder: Path) -> Chosen:
    """Return the bundle in a folder.

    Raises:
        ContractError: it is none, or is damaged.
    """
    bundle = open_bundle(folder)
    digest = file_digest(folder / CONTRACT_FILE)
    return Chosen(bundle=bundle, version=digest[:_DIGEST_LENGTH], digest=digest)


@dataclass(frozen=True, slots=True)
class Registry:
    """An MLflow registry.

    Attributes:
        uri: its address.
        model_name: the registered model.
    """

    uri: str
    model_name: str

    def fetch(self, version: str, folder: Path) -> Chosen:
        """Fetch a version into `folder`.

        Args:
            version: its number, or an alias.
            folder: where its files go.

        Raises:
            UnknownModelError: there is no such model, version or alias.
            ContractError: what the version holds is no bundle that this code reads.
            RegistryUnavailableError: the registry doesn't answer.
        """
        import mlflow  # noqa: PLC0415  see the module's docstring

        # Artifact addresses are resolved against the process's registry: there is no argument for it.
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        with self._answering(version):
            number = self._number(version)
            source = f"models:/{self.model_name}/{number}/{BUNDLE_ARTIFACT_PATH}"
            fetched = Path(mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=str(folder)))
        if not fetched.is_dir() or not any(fetched.iterdir()):
            raise ContractError(
                f"Version {number} of {self.model_name} has no files at {BUNDLE_ARTIFACT_PATH}; "
                "register it through the training pipeline."
            )
        chosen = open_folder(fetched)
        return Chosen(bundle=chosen.bundle, version=number, digest=chosen.digest)

    def _number(self, version: str) -> str:
        from mlflow import MlflowClient  # noqa: PLC0415  see the module's docstring

        client = MlflowClient(self.uri, self.uri)
        if version.isdecimal():
            return str(client.get_model_version(self.model_name, version).version)
        aliases = client.get_registered_model(self.model_name).aliases
        if version not in aliases:
            raise UnknownModelError(
                f"{self.model_name} has no alias {version}; it has {', '.join(sorted(aliases)) or 'none'}."
            )
        return str(aliases[version])

    @contextmanager
    def _answering(self, version: str) -> Iterator[None]:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  see the module's docstring
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
                f"The registry at {self.uri} doesn't give version {version}: {reason}"
            ) from error
