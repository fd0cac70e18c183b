"""The catalog's own dataset types for encoders, classifiers, bundles, digests and model versions.

Nodes get objects instead of paths; only these datasets call the modules that read and write the files.
"""

import logging
from pathlib import Path
from typing import ClassVar, Generic, Never, NoReturn, TypeVar

import keras
import mlflow
from kedro.io import AbstractDataset, DatasetError

from toxic_core.contract import Bundle, file_digest, open_bundle
from toxic_core.errors import ConfigurationError, ContractError, RegistryUnavailableError, UnknownModelError
from toxic_core.files import replacing
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


class _ReadOnlyDataset(_PathDataset[Never, Out], Generic[Out]):
    """A dataset that nodes can't save. It always exists, because loading it explains what is missing."""

    refusal: ClassVar[str]

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Raise DatasetError."""
        raise DatasetError(self.refusal)

    def _exists(self) -> bool:
        return True


class EncoderDataset(_PathDataset[EncoderFiles, Encoder]):
    """An encoder as a folder in Hugging Face's layout. Loading checks it and reads only the tokenizer."""

    def save(self, data: EncoderFiles) -> None:
        """Write the folder."""
        write_encoder(data, self._path)

    def load(self) -> Encoder:
        """Check the folder and read the tokenizer."""
        files = read_encoder(self._path)
        return Encoder(folder=self._path, tokenizer=files.tokenizer, pad_id=files.pad_id)


class KerasModelDataset(_PathDataset[keras.Model, keras.Model]):
    """A Keras model in Keras's own `.keras` format."""

    def save(self, data: keras.Model) -> None:
        """Replace the file atomically."""
        with replacing(self._path) as partial:
            named = partial.with_suffix(".keras")  # Keras insists on the suffix
            data.save(named)
            named.rename(partial)

    def load(self) -> keras.Model:
        """Read the file, without its optimiser."""
        return keras.saving.load_model(self._path, compile=False)


class ExportedModelDataset(_PathDataset[ExportParts, ExportedModel]):
    """A SavedModel with its tokenizer, in a folder."""

    def save(self, data: ExportParts) -> None:
        """Export the classifier."""
        write_export(data, self._path)

    def load(self) -> ExportedModel:
        """Open the export; the SavedModel itself is loaded for scoring."""
        return read_export(self._path)


class OperatingPointDataset(_PathDataset[OperatingPoint, OperatingPoint]):
    """Calibration and thresholds as JSON."""

    def save(self, data: OperatingPoint) -> None:
        """Replace the file atomically."""
        with replacing(self._path) as partial:
            partial.write_text(data.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def load(self) -> OperatingPoint:
        """Read and validate the file."""
        return OperatingPoint.model_validate_json(self._path.read_bytes())


class BundleDataset(_PathDataset[BundleParts, Bundle]):
    """A model bundle."""

    def save(self, data: BundleParts) -> None:
        """Write and seal the bundle."""
        write_bundle(data, self._path)

    def load(self) -> Bundle:
        """Open and verify the bundle."""
        return open_bundle(self._path)


class BaselineDataset(_PathDataset[BaselineParts, Baseline]):
    """A packed classifier."""

    def save(self, data: BaselineParts) -> None:
        """Pack the classifier."""
        pack(data, self._path)

    def load(self) -> Baseline:
        """Read and verify the folder."""
        return read_baseline(self._path)


class ChampionDataset(_ReadOnlyDataset[Bundle | None]):
    """The registry's champion, fetched into the folder `filepath`; None if there is none."""

    refusal = "The champion can't be saved; promote a version instead."

    def __init__(self, model_name: str, filepath: str, metadata: dict[str, object] | None = None) -> None:
        super().__init__(filepath, metadata)
        self._model_name = model_name

    def load(self) -> Bundle | None:
        """Fetch the champion, or log why there is none to compare with."""
        try:
            return Registry(model_name=self._model_name).fetch(CHAMPION, self._path).bundle
        except (UnknownModelError, RegistryUnavailableError, ContractError) as error:
            logger.info("No champion to compare with: %s", error)
            return None


class _ChosenDataset(_ReadOnlyDataset[Out], Generic[Out]):
    """The bundle that a run is about: a folder, or a registered version.

    Args:
        model_name: the registered model.
        filepath: folder that a registered version is fetched into.
        bundle: a bundle's folder.
        registered: a registered version's number or alias.
    """

    refusal = "A bundle that is evaluated or scores can't be saved."

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

    def _open(self) -> VersionedBundle:
        """Open and verify the bundle; a registered version is fetched first.

        Raises:
            ConfigurationError: neither a folder nor a version is named, or both are.
        """
        if (self._bundle is None) == (self._registered is None):
            raise ConfigurationError(
                "Choose the model by either BUNDLE=<a bundle's folder> or VERSION=<number or alias>."
            )
        if self._bundle is not None:
            return open_folder(Path(self._bundle))
        return Registry(model_name=self._model_name).fetch(str(self._registered), self._path)

    def _describe(self) -> dict[str, object]:
        return {"filepath": str(self._path), "bundle": self._bundle, "registered": self._registered}


class ChosenBundleDataset(_ChosenDataset[Bundle]):
    """The bundle that a run is about."""

    def load(self) -> Bundle:
        """Open and verify it; a registered version is fetched first."""
        return self._open().bundle


class VersionedBundleDataset(_ChosenDataset[VersionedBundle]):
    """The bundle that a run is about, with its version."""

    def load(self) -> VersionedBundle:
        """Open and verify it; a registered version is fetched first."""
        return self._open()


class FileDigestDataset(_PathDataset[Never, str]):
    """The SHA-256 digest of a file, in hexadecimal."""

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Raise DatasetError."""
        raise DatasetError(f"The digest of {self._path} can't be saved.")

    def load(self) -> str:
        """Read the file and return its digest."""
        return file_digest(self._path)


class PathDataset(_ReadOnlyDataset[Path]):
    """A path itself, for a node that reads and writes its own file while it runs."""

    refusal = "The node that takes this path writes it."

    def load(self) -> Path:
        """Return the path, whether or not it exists."""
        return self._path


class RunMetricsDataset(AbstractDataset[dict[str, float], Never]):
    """Figures as metrics of the active MLflow run, sent in one request, named with a prefix and a dot."""

    def __init__(self, prefix: str, metadata: dict[str, object] | None = None) -> None:
        self._prefix = prefix
        self.metadata = metadata

    def save(self, data: dict[str, float]) -> None:
        """Log them."""
        mlflow.log_metrics({f"{self._prefix}.{name}": value for name, value in data.items()})

    def load(self) -> NoReturn:
        """Raise DatasetError."""
        raise DatasetError("A run's metrics can't be loaded; see the run in MLflow.")

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
        """Raise DatasetError."""
        raise DatasetError("A registered version can't be loaded; ask the registry for it.")

    def _describe(self) -> dict[str, object]:
        return {}
