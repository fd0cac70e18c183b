"""Where versions come from, as the settings say: a registry with a cache on disk, or a folder.

Invariant: whatever keeps either from being used shows here, at the start, as one `ConfigurationError`.
"""

from dataclasses import dataclass
from pathlib import Path

import structlog

from toxic_core.errors import ConfigurationError
from toxic_inference.adapters.bundle_cache import BundleCache
from toxic_inference.adapters.bundles import BundleStore
from toxic_inference.adapters.directory_source import DirectorySource
from toxic_inference.adapters.folders import check_writable
from toxic_inference.adapters.mlflow_source import MlflowRegistry
from toxic_inference.adapters.route_file import RouteFile
from toxic_inference.serving.interfaces import AspiredVersion, RouteMemory, Source
from toxic_inference.settings import Settings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wants versions, who has their files, and what was last served.

    Attributes:
        source: wants them.
        store: has their files.
        memory: knows what was served before; None where the source is local and always there.
    """

    source: Source
    store: BundleStore
    memory: RouteMemory | None

    def remember(self, served: tuple[AspiredVersion, ...]) -> None:
        """Keep what is served for the next start, where that makes sense."""
        if self.memory is not None:
            self.memory.remember(served)


def open_origin(settings: Settings) -> Origin:
    """Return where versions come from.

    Raises:
        ConfigurationError: the cache or the model folder can't be used.
    """
    if settings.model_directory is not None:
        return _directory_origin(settings.model_directory, settings)
    registry = MlflowRegistry(
        settings.registry_uri,
        model_name=settings.model_name,
        aliases=settings.aliases,
        pinned=settings.pinned_versions,
        max_bytes=settings.max_bundle_bytes,
    )
    folder = settings.cache_dir / settings.model_name
    check_writable(folder, setting="INFERENCE_CACHE_DIR")
    cache = BundleCache(
        folder,
        size_limit_bytes=settings.cache_size_bytes,
        max_bundle_bytes=settings.max_bundle_bytes,
        download=registry.download,
    )
    memory = RouteFile(folder / "routes.json", registry=settings.registry_uri)
    _log.info("source.registry", uri=settings.registry_uri, aliases=settings.aliases, cache=str(folder))
    return Origin(registry, cache, memory)


def _directory_origin(folder: Path, settings: Settings) -> Origin:
    if not folder.is_dir():
        raise ConfigurationError(
            f"INFERENCE_MODEL_DIRECTORY names {folder}, which isn't a folder; "
            "make it, with one numbered subfolder a version."
        )
    directory = DirectorySource(
        folder,
        alias=settings.model_alias,
        pinned=settings.pinned_versions,
        max_bytes=settings.max_bundle_bytes,
    )
    _log.info("source.directory", folder=str(folder), alias=settings.model_alias)
    return Origin(directory, directory, memory=None)
