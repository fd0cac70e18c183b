"""From a version's name to a model that serves it: `BundleLoader`."""

from collections.abc import Callable
from functools import cache, partial

from toxic_core.contract import Bundle
from toxic_core.errors import ConfigurationError
from toxic_core.tokens import EncodedBatch
from toxic_inference.adapters.bundles import BundleStore
from toxic_inference.adapters.collector import settle
from toxic_inference.serving.interfaces import Float32Array, Servable, ServableId
from toxic_inference.settings import Settings
from toxic_model.loaded import LoadedModel
from toxic_model.opening import choose_runtimes, open_model
from toxic_model.runtime import any_of


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
    """Implements `Loader`.

    Args:
        store: hands out the verified bundles.
        open_model: opens a bundle and replays its warm-up, as `toxic_model.opening.open_model` does.
    """

    def __init__(self, store: BundleStore, open_model: Callable[[Bundle], LoadedModel]) -> None:
        self._store = store
        self._open_model = open_model

    def load(self, servable_id: ServableId) -> Servable:
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
        return BundleServable(model, release=lambda: self._store.release(servable_id))


class BundleServable:
    """Implements `Servable` on a loaded model."""

    def __init__(self, model: LoadedModel, *, release: Callable[[], None]) -> None:
        self.contract = model.contract
        self.encoder = model.tokenizer
        self.runtime = model.runtime
        self.side_by_side = bool(model.streams)
        self._model = model
        self._release = release
        self._any_stream = any_of(model.streams)

    def infer(self, batch: EncodedBatch, *, alone: bool = True) -> Float32Array:
        """Return raw scores, float32 [batch, labels].

        Raises:
            InvalidTensorError: the model can't compute this batch.
        """
        return self._model.whole(batch) if alone else self._any_stream(batch)

    def close(self) -> None:
        """Free the model and release its bundle."""
        self._model.close()
        self._release()
