"""From a version's name to a model that serves it: `BundleLoader`."""

import gc
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Protocol

from toxic_core.contract import Bundle
from toxic_core.errors import ConfigurationError, ContractError
from toxic_inference.adapters.memory import give_back_memory
from toxic_inference.serving.interfaces import ServableId
from toxic_inference.settings import Settings
from toxic_model.choice import Choices
from toxic_model.loaded import LoadedModel
from toxic_model.opening import choose_runtimes, open_model


class BundleStore(Protocol):
    """Hands out verified bundles on local disk. Thread-safe; every call may block."""

    def checkout(self, servable_id: ServableId) -> Bundle:
        """Return the version's bundle, verified, and keep it on disk until `release`.

        Raises:
            ContractError: the bundle is damaged or isn't one.
            RegistryUnavailableError: it isn't here and can't be fetched now.
        """
        ...

    def release(self, servable_id: ServableId) -> None:
        """Allow the bundle to be removed."""
        ...


def settle() -> None:
    """Exclude all existing objects from garbage collection; call it after libraries were imported.

    Python looks through all living objects whenever enough were added, under load about once a second, and
    every thread waits; most of them belong to libraries and are never garbage. Measured on two cores under
    load: a full collection stopped every caller for 60 ms before and for 5 ms at most afterwards; with
    TensorFlow for 365 ms and 1 ms.
    """
    gc.collect()  # what is garbage now would stay forever
    gc.freeze()


def model_opener(settings: Settings) -> Callable[[Bundle], LoadedModel]:
    """Return the function that opens a bundle as the settings require.

    Raises:
        ConfigurationError: the runtime is unknown or isn't installed.
    """
    try:
        choose_runtimes(settings.runtime)
    except ConfigurationError as error:
        raise ConfigurationError(f"INFERENCE_RUNTIME can't be used: {error}") from error
    return partial(
        open_model,
        threads=settings.threads,
        overlap=settings.window_overlap_tokens,
        runtime=settings.runtime,
        precision=settings.precision,
        choices=Choices(settings.cache_dir / "precisions.json"),
        # Once per runtime, before the model is read: what is settled is never freed as garbage.
        imported=cache(lambda _: settle()),
    )


class BundleLoader:
    """Loads versions.

    Args:
        store: hands out the verified bundles.
        open_model: opens a bundle and replays its warm-up, as `toxic_model.opening.open_model` does.
    """

    def __init__(self, store: BundleStore, open_model: Callable[[Bundle], LoadedModel]) -> None:
        self._store = store
        self._open_model = open_model

    def load(self, servable_id: ServableId) -> LoadedModel:
        """Return the version, ready to serve.

        Raises:
            ContractError: the bundle is damaged or isn't one, or its files were replaced meanwhile.
            SignatureError: the SavedModel can't be read, or its signature isn't the contract's.
            WarmupError: its scores aren't the recorded ones.
            RegistryUnavailableError: the bundle isn't here and can't be fetched now.
        """
        bundle = self._store.checkout(servable_id)
        try:
            model = self._open_model(bundle)
        except BaseException:
            self._store.release(servable_id)
            raise

        give_back_memory()

        def close() -> None:
            model.close()
            give_back_memory()
            self._store.release(servable_id)

        try:
            bundle.check_unchanged()
        except ContractError:
            close()
            raise
        return replace(model, close=close)
