"""From a version's name to a model that serves it: `BundleLoader`."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

from toxic_core.contract import Bundle
from toxic_core.errors import ConfigurationError
from toxic_inference.adapters.bundles import BundleStore
from toxic_inference.adapters.collector import settle
from toxic_inference.serving.interfaces import ServableId
from toxic_inference.settings import Settings
from toxic_model.loaded import LoadedModel
from toxic_model.opening import choose_runtimes, open_model


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
        threads=settings.compute_threads,
        overlap=settings.window_overlap_tokens,
        runtime=settings.runtime,
        precision=settings.precision,
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
            ContractError: the bundle is damaged or isn't one.
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

        def close() -> None:
            model.close()
            self._store.release(servable_id)

        return replace(model, close=close)
