"""The origin of versions, as the settings choose it: a registry with a cache on disk, or a folder.

Invariant: an unusable registry cache or folder is reported at the start, as one `ConfigurationError`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from toxic_core.errors import ConfigurationError
from toxic_inference.adapters.bundle_cache import BundleCache
from toxic_inference.adapters.directory_source import DirectorySource
from toxic_inference.adapters.folders import check_writable
from toxic_inference.adapters.loader import BundleStore
from toxic_inference.adapters.mlflow_source import MlflowRegistry
from toxic_inference.adapters.served_file import ServedFile
from toxic_inference.serving.interfaces import AspiredVersion, Source
from toxic_inference.settings import Settings

if TYPE_CHECKING:
    from toxic_inference.otel.tracing import Tracing

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where versions come from.

    Attributes:
        source: lists the wanted versions.
        store: has their files.
        recall: returns what was served before the last stop; None if the source is local and always there.
        remember: stores what is served, for the next start.
    """

    source: Source
    store: BundleStore
    recall: Callable[[], tuple[AspiredVersion, ...]] | None
    remember: Callable[[tuple[AspiredVersion, ...]], None]


def open_origin(settings: Settings, tracing: "Tracing | None" = None) -> Origin:
    """Return the origin that the settings choose; calls of the registry are traced by `tracing`.

    Raises:
        ConfigurationError: the cache or the model folder can't be used.
    """
    if (models := settings.model_directory) is not None:
        if not models.is_dir():
            raise ConfigurationError(
                f"INFERENCE_MODEL_DIRECTORY names {models}, which isn't a folder; "
                "create it, with one numbered subfolder per version."
            )
        directory = DirectorySource(
            models,
            alias=settings.model_alias,
            pinned=settings.pinned_versions,
            max_bytes=settings.max_bundle_bytes,
        )
        _log.info("source.directory", folder=str(models), alias=settings.model_alias)
        return Origin(directory, directory, recall=None, remember=lambda _: None)
    registry = MlflowRegistry(
        settings.registry_uri,
        model_name=settings.model_name,
        aliases=settings.aliases,
        pinned=settings.pinned_versions,
        max_bytes=settings.max_bundle_bytes,
        require_approval=settings.require_approval,
        tracing=tracing,
    )
    folder = settings.cache_dir / settings.model_name
    check_writable(folder, setting="INFERENCE_CACHE_DIR")
    cache = BundleCache(
        folder,
        size_limit_bytes=settings.cache_size_bytes,
        max_bundle_bytes=settings.max_bundle_bytes,
        download=registry.download,
    )
    served = ServedFile(
        folder / "routes.json",
        registry=settings.registry_uri,
        require_approval=settings.require_approval,
    )
    _log.info("source.registry", uri=settings.registry_uri, aliases=settings.aliases, cache=str(folder))
    return Origin(registry, cache, recall=served.recall, remember=served.remember)
