"""The catalog's own dataset types for encoders, classifiers, bundles, digests and model versions.

Nodes get objects instead of paths; only these datasets call the modules that read and write the files. A
dataset that writes its path when it is loaded describes itself as `fetched`, so that a run locks that path.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar, Generic, Never, NoReturn, TypeVar

import keras
import mlflow
from kedro.io import AbstractDataset, DatasetError

from toxic_core.contract import Bundle, file_digest, open_bundle
from toxic_core.errors import ConfigurationError, ContractError, RegistryUnavailableError, UnknownModelError
from toxic_core.registered import CHAMPION
from toxic_model.registered import Registry, VersionedBundle, open_folder
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.modelling.classifier import Encoder, write_keras
from toxic_training.modelling.encoders.files import EncoderFiles, write_encoder
from toxic_training.paths import from_start
from toxic_training.release.baseline import Baseline, BaselineParts, pack, read_baseline
from toxic_training.release.bundle import BundleParts, write_bundle
from toxic_training.release.model_version import Release, register
from toxic_training.scoring.exported import ExportedModel, ExportParts, read_export, write_export

logger = logging.getLogger(__name__)

In = TypeVar("In")
Out = TypeVar("Out")


class _PathDataset(AbstractDataset[In, Out], Generic[In, Out]):
    """A dataset at one path, which `reader` reads and `writer` writes."""

    reader: Callable[[Path], Out]
    writer: Callable[[In, Path], object]

    def __init__(self, filepath: str, metadata: dict[str, object] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Out:
        """Read it."""
        return self.reader(self._path)

    def save(self, data: In) -> None:
        """Replace it."""
        self.writer(data, self._path)

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, object]:
        return {"filepath": str(self._path)}


class EncoderDataset(_PathDataset[EncoderFiles, Encoder]):
    """An encoder as a folder in Hugging Face's layout. Loading checks it and reads only the tokenizer."""

    reader = Encoder.open
    writer = staticmethod(write_encoder)


class KerasModelDataset(_PathDataset[keras.Model, keras.Model]):
    """A Keras model, without its optimiser, in Keras's own `.keras` format."""

    reader = staticmethod(partial(keras.saving.load_model, compile=False))
    writer = staticmethod(write_keras)


class ExportedModelDataset(_PathDataset[ExportParts, ExportedModel]):
    """A SavedModel with its tokenizer, in a folder; scoring loads the SavedModel itself."""

    reader = staticmethod(read_export)
    writer = staticmethod(write_export)


class OperatingPointDataset(_PathDataset[OperatingPoint, OperatingPoint]):
    """Calibration and thresholds as JSON."""

    reader = OperatingPoint.read
    writer = staticmethod(OperatingPoint.write)


class BundleDataset(_PathDataset[BundleParts, Bundle]):
    """A model bundle: saving seals it, loading verifies it."""

    reader = staticmethod(open_bundle)
    writer = staticmethod(write_bundle)


class BaselineDataset(_PathDataset[BaselineParts, Baseline]):
    """A packed classifier, which loading verifies."""

    reader = staticmethod(read_baseline)
    writer = staticmethod(pack)


class FileDigestDataset(_PathDataset[Never, str]):
    """The SHA-256 digest of a file, in hexadecimal."""

    reader = staticmethod(file_digest)

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Raise DatasetError."""
        raise DatasetError(f"The digest of {self._path} can't be saved.")


class _ReadOnlyDataset(_PathDataset[Never, Out], Generic[Out]):
    """A dataset that nodes can't save. It always exists, because loading it explains what is missing."""

    refusal: ClassVar[str]

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Raise DatasetError."""
        raise DatasetError(self.refusal)

    def _exists(self) -> bool:
        return True


class PathDataset(_ReadOnlyDataset[Path]):
    """A path itself, which may not exist, for a node that reads and writes its own file while it runs."""

    refusal = "The node that takes this path writes it."
    reader = Path


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

    def _describe(self) -> dict[str, object]:
        return {"filepath": str(self._path), "fetched": True}


class LazyChampionDataset(_ReadOnlyDataset[Callable[[], Bundle | None]]):
    """What `ChampionDataset` loads, fetched when the loaded function is called."""

    refusal = ChampionDataset.refusal

    def __init__(self, model_name: str, filepath: str, metadata: dict[str, object] | None = None) -> None:
        super().__init__(filepath, metadata)
        self._champion = ChampionDataset(model_name, filepath)

    def load(self) -> Callable[[], Bundle | None]:
        """Return the function that fetches the champion."""
        return self._champion.load

    def _describe(self) -> dict[str, object]:
        return {"filepath": str(self._path), "fetched": True}


class _ChosenDataset(_ReadOnlyDataset[Out], Generic[Out]):
    """The verified bundle that a run is about: the folder `bundle`, or the version `registered` of a model.

    A registered version, given by its number or an alias, is fetched into the folder `filepath`.
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
        if (self._bundle is None) == (self._registered is None):
            raise ConfigurationError(
                "Choose the model by either BUNDLE=<a bundle's folder> or VERSION=<number or alias>."
            )
        if self._bundle is not None:
            return open_folder(from_start(self._bundle))
        return Registry(model_name=self._model_name).fetch(str(self._registered), self._path)

    def _describe(self) -> dict[str, object]:
        chosen = {"bundle": self._bundle, "registered": self._registered}
        return {"filepath": str(self._path), "fetched": self._bundle is None, **chosen}


class ChosenBundleDataset(_ChosenDataset[Bundle]):
    """The bundle that a run is about."""

    def load(self) -> Bundle:
        """Open it."""
        return self._open().bundle


class VersionedBundleDataset(_ChosenDataset[VersionedBundle]):
    """The bundle that a run is about, with its version."""

    def load(self) -> VersionedBundle:
        """Open it."""
        return self._open()


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
    """A version of a registered model; saving logs it to the active MLflow run and registers the next one."""

    def __init__(self, metadata: dict[str, object] | None = None) -> None:
        self.metadata = metadata

    def save(self, data: Release) -> None:
        """Register it."""
        register(data)

    def load(self) -> NoReturn:
        """Raise DatasetError."""
        raise DatasetError("A registered version can't be loaded; ask the registry for it.")

    def _describe(self) -> dict[str, object]:
        return {}
