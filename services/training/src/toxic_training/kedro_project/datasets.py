"""Catalog entries of this project's own kinds: encoders, classifiers, bundles, digests, model versions.

Invariant: the only modules that read or write these are the ones called here; nodes see objects, not paths.
"""

import logging
from pathlib import Path
from typing import Generic, Never, NoReturn, TypeVar

import keras
import mlflow
from kedro.io import AbstractDataset, DatasetError

from toxic_core.contract import Bundle, file_digest, open_bundle
from toxic_core.errors import ConfigurationError, ContractError, RegistryUnavailableError, UnknownModelError
from toxic_core.registered import CHAMPION
from toxic_model.registered import Registry, VersionedBundle, open_folder
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.modelling.classifier import Encoder
from toxic_training.modelling.encoders.files import EncoderFiles, read_encoder, write_encoder
from toxic_training.release.baseline import Baseline, BaselineParts, pack, read_baseline
from toxic_training.release.bundle import BundleParts, write_bundle
from toxic_training.release.model_version import Release, register
from toxic_training.scoring.exported import ExportedModel, ExportParts, read_export, write_export

logger = logging.getLogger(__name__)

In = TypeVar("In")
Out = TypeVar("Out")


class _PathDataset(AbstractDataset[In, Out], Generic[In, Out]):
    """A dataset at one path."""

    def __init__(self, filepath: str, metadata: dict[str, object] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, object]:
        return {"filepath": str(self._path)}


class EncoderDataset(_PathDataset[EncoderFiles, Encoder]):
    """An encoder as a folder in Hugging Face's layout."""

    def save(self, data: EncoderFiles) -> None:
        """Write the folder."""
        write_encoder(data, self._path)

    def load(self) -> Encoder:
        """Check the folder and read the tokenizer; the weights are left for who trains."""
        files = read_encoder(self._path)
        return Encoder(folder=self._path, tokenizer=files.tokenizer, pad_id=files.pad_id)


class KerasModelDataset(_PathDataset[keras.Model, keras.Model]):
    """A Keras model in Keras's own `.keras` format."""

    def save(self, data: keras.Model) -> None:
        """Write the file under a temporary name, then rename it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f".partial-{self._path.name}")
        data.save(partial)
        partial.replace(self._path)

    def load(self) -> keras.Model:
        """Read the file, without its optimiser."""
        return keras.saving.load_model(self._path, compile=False)


class ExportedModelDataset(_PathDataset[ExportParts, ExportedModel]):
    """A SavedModel with its tokenizer, in a folder."""

    def save(self, data: ExportParts) -> None:
        """Export the classifier."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_export(data, self._path)

    def load(self) -> ExportedModel:
        """Read what goes with the model, which whoever scores loads."""
        return read_export(self._path)


class OperatingPointDataset(_PathDataset[OperatingPoint, OperatingPoint]):
    """Calibration and thresholds as JSON."""

    def save(self, data: OperatingPoint) -> None:
        """Write the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(data.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def load(self) -> OperatingPoint:
        """Read and check the file."""
        return OperatingPoint.model_validate_json(self._path.read_bytes())


class BundleDataset(_PathDataset[BundleParts, Bundle]):
    """A model bundle: saved from its parts, loaded verified."""

    def save(self, data: BundleParts) -> None:
        """Export and seal the bundle."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_bundle(data, self._path)

    def load(self) -> Bundle:
        """Open and verify the bundle."""
        return open_bundle(self._path)


class ChampionDataset(_PathDataset[Never, Bundle | None]):
    """The registry's champion, fetched into a folder; None where there is none. Can't be saved.

    Args:
        model_name: the registered model.
        filepath: the folder.
    """

    def __init__(self, model_name: str, filepath: str, metadata: dict[str, object] | None = None) -> None:
        super().__init__(filepath, metadata)
        self._model_name = model_name

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Refuse: the champion is made by promotion."""
        raise DatasetError("The champion can't be saved; promote a version.")

    def load(self) -> Bundle | None:
        """Fetch the champion, or log why there is none to compare with."""
        try:
            return Registry(model_name=self._model_name).fetch(CHAMPION, self._path).bundle
        except (UnknownModelError, RegistryUnavailableError, ContractError) as error:
            logger.info("No champion to compare with: %s", error)
            return None

    def _exists(self) -> bool:
        return True


class VersionedBundleDataset(_PathDataset[Never, VersionedBundle]):
    """The bundle that a run is about, with its version: a folder, or a registered version. Can't be saved.

    Args:
        model_name: the registered model.
        filepath: where a registered version is fetched to.
        bundle: a bundle's folder.
        registered: a registered version's number or alias.
    """

    def __init__(
        self,
        *,
        model_name: str,
        filepath: str,
        bundle: str | None = None,
        registered: str | int | None = None,
        metadata: dict[str, object] | None = None,
    ) -> None:
        super().__init__(filepath, metadata)
        self._model_name = model_name
        self._bundle = bundle
        self._registered = registered

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Refuse: the bundle exists already."""
        raise DatasetError("A bundle that is evaluated or scores isn't saved.")

    def load(self) -> VersionedBundle:
        """Open and verify the bundle; a registered version is fetched first.

        Raises:
            ConfigurationError: neither a folder nor a version is named, or both are.
        """
        if (self._bundle is None) == (self._registered is None):
            raise ConfigurationError(
                "Name one model: BUNDLE=<a bundle's folder>, or VERSION=<number or alias>."
            )
        if self._bundle is not None:
            return open_folder(Path(self._bundle))
        return Registry(model_name=self._model_name).fetch(str(self._registered), self._path)

    def _exists(self) -> bool:
        return True


class ChosenBundleDataset(_PathDataset[Never, Bundle]):
    """The bundle of `VersionedBundleDataset`, without its version. Can't be saved."""

    def __init__(
        self,
        *,
        model_name: str,
        filepath: str,
        bundle: str | None = None,
        registered: str | int | None = None,
        metadata: dict[str, object] | None = None,
    ) -> None:
        super().__init__(filepath, metadata)
        self._versioned = VersionedBundleDataset(
            model_name=model_name, filepath=filepath, bundle=bundle, registered=registered
        )

    def save(self, data: Never) -> NoReturn:
        """Refuse: the bundle exists already."""
        self._versioned.save(data)

    def load(self) -> Bundle:
        """Open and verify the bundle; a registered version is fetched first."""
        return self._versioned.load().bundle

    def _exists(self) -> bool:
        return True


class FileDigestDataset(_PathDataset[Never, str]):
    """The SHA-256 of a file; can't be saved."""

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Refuse: a digest follows from its file."""
        raise DatasetError(f"The digest of {self._path} can't be saved.")

    def load(self) -> str:
        """Read the file and return its digest in hexadecimal."""
        return file_digest(self._path)


class BaselineDataset(_PathDataset[BaselineParts, Baseline]):
    """A packed classifier: saved from a trained one and its bundle, loaded verified."""

    def save(self, data: BaselineParts) -> None:
        """Pack the classifier."""
        pack(data, self._path)

    def load(self) -> Baseline:
        """Read and verify the folder."""
        return read_baseline(self._path)


class PathDataset(_PathDataset[Never, Path]):
    """A path itself, for what keeps its own file there while a node runs; can't be saved."""

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Refuse: who takes the path writes there."""
        raise DatasetError(f"{self._path} is written by the node that takes it.")

    def load(self) -> Path:
        """Return the path, whether or not anything is there."""
        return self._path

    def _exists(self) -> bool:
        return True


class RunMetricsDataset(AbstractDataset[dict[str, float], Never]):
    """Figures as metrics of the active MLflow run, sent in batches: hundreds of requests take long.

    Args:
        prefix: goes before every name, with a dot.
    """

    def __init__(self, prefix: str, metadata: dict[str, object] | None = None) -> None:
        self._prefix = prefix
        self.metadata = metadata

    def save(self, data: dict[str, float]) -> None:
        """Log them."""
        mlflow.log_metrics({f"{self._prefix}.{name}": value for name, value in data.items()})

    def load(self) -> NoReturn:
        """Refuse: a run's metrics are read where it is shown."""
        raise DatasetError("A run's metrics aren't loaded through the catalog.")

    def _describe(self) -> dict[str, object]:
        return {"prefix": self._prefix}


class ModelVersionDataset(AbstractDataset[Release, Never]):
    """A version of a registered model; saving registers the next one."""

    def __init__(self, metadata: dict[str, object] | None = None) -> None:
        self.metadata = metadata

    def save(self, data: Release) -> None:
        """Log the model to the active MLflow run and register it."""
        register(data)

    def load(self) -> NoReturn:
        """Refuse: versions are read from the registry by whoever serves them."""
        raise DatasetError("A registered version isn't loaded through the catalog; ask the registry.")

    def _describe(self) -> dict[str, object]:
        return {}
