"""Bundles of registered versions, fetched to be measured.

Invariant: what is returned is verified; a folder holds a whole bundle or the one before.
"""

import logging
import shutil
from pathlib import Path

import mlflow.artifacts
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException

from toxic_core.contract import BUNDLE_ARTIFACT_PATH, Bundle, open_bundle
from toxic_core.errors import ContractError, RegistryUnavailableError, UnknownModelError

logger = logging.getLogger(__name__)

CHAMPION = "champion"


def fetch_champion(model_name: str, folder: Path) -> Bundle | None:
    """Fetch the champion's bundle into `folder`, or say in the log why there is none to compare with."""
    try:
        return fetch_version(model_name, CHAMPION, folder)
    except (UnknownModelError, RegistryUnavailableError, ContractError) as error:
        logger.info("No champion to compare with: %s", error)
        return None


def resolve_version(model_name: str, version: str) -> str:
    """Return the number of a version, which may be given by an alias.

    Raises:
        UnknownModelError: there is no such model, version or alias.
        RegistryUnavailableError: the registry doesn't answer.
    """
    try:
        return _resolve(model_name, version)
    except (MlflowException, RequestException) as error:
        reason = str(error).strip().splitlines()[0]
        raise RegistryUnavailableError(
            f"The registry at {mlflow.get_tracking_uri()} doesn't tell version {version}: {reason}"
        ) from error


def fetch_version(model_name: str, version: str, folder: Path) -> Bundle:
    """Fetch a version's bundle into `folder`, replacing what is there.

    Args:
        model_name: the registered model.
        version: its number, or an alias.
        folder: where the bundle is to lie.

    Raises:
        UnknownModelError: there is no such model, version or alias.
        ContractError: what the version holds is no bundle that this code reads.
        RegistryUnavailableError: the registry doesn't answer.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        number = _resolve(model_name, version)
        uri = f"models:/{model_name}/{number}/{BUNDLE_ARTIFACT_PATH}"
        fetched = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(partial)))
    except (MlflowException, RequestException) as error:
        reason = str(error).strip().splitlines()[0]
        raise RegistryUnavailableError(
            f"The registry at {mlflow.get_tracking_uri()} doesn't give version {version}: {reason}"
        ) from error
    if not fetched.is_dir() or not any(fetched.iterdir()):
        raise ContractError(f"Version {number} of {model_name} holds no files at {BUNDLE_ARTIFACT_PATH}.")
    contract = open_bundle(fetched).contract
    shutil.rmtree(folder, ignore_errors=True)
    fetched.rename(folder)
    shutil.rmtree(partial, ignore_errors=True)
    logger.info("Fetched version %s of %s", number, model_name)
    return Bundle(path=folder, contract=contract)


def _resolve(model_name: str, version: str) -> str:
    client = MlflowClient()
    try:
        if version.isdecimal():
            return str(client.get_model_version(model_name, version).version)
        aliases = client.get_registered_model(model_name).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise UnknownModelError(f"The registry has no {model_name} version {version}.") from error
        raise
    if version not in aliases:
        raise UnknownModelError(
            f"{model_name} has no alias {version}; it has {', '.join(sorted(aliases)) or 'none'}."
        )
    return str(aliases[version])
