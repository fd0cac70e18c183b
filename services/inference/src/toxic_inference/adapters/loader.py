"""From a version's name to what serves it: its bundle, its tokenizer, and the fastest runtime that is right.

Invariant: what `load` returns gave the scores that its warm-up examples record; a runtime that can't show
that for a bundle isn't used for it, and the last one's verdict is the version's.
"""

from collections.abc import Sequence

import structlog

from toxic_core.contract import Bundle
from toxic_core.errors import ToxicError
from toxic_core.tokens import EncodedBatch, Tokeniser
from toxic_inference.adapters.bundles import BundleStore
from toxic_inference.adapters.runtime import Model, Rehearsal, Runtime
from toxic_inference.serving.interfaces import Float32Array, Servable, ServableId

_log = structlog.get_logger(__name__)


class BundleLoader:
    """Implements `Loader`: verifies, loads, replays the warm-up.

    Args:
        store: hands out the verified bundles.
        runtimes: what may compute them, the fastest first; at least one.
        window_overlap: how many tokens the windows of a long text share.
    """

    def __init__(self, store: BundleStore, runtimes: Sequence[Runtime], *, window_overlap: int = 0) -> None:
        self._store = store
        *self._preferred, self._last = runtimes
        self._window_overlap = window_overlap

    def load(self, servable_id: ServableId) -> Servable:
        """Return the version, ready to serve.

        Raises:
            ContractError: the bundle is damaged or isn't one.
            SignatureError: the SavedModel can't be loaded, or its signature is another.
            WarmupError: its scores aren't the recorded ones.
            RegistryUnavailableError: the bundle isn't here and can't be fetched now.
        """
        bundle = self._store.checkout(servable_id)
        try:
            encoder = Tokeniser.from_file(
                bundle.tokenizer,
                max_tokens=bundle.contract.max_tokens,
                pad_id=bundle.contract.pad_id,
                overlap=self._window_overlap,
            )
            model = self._open(bundle, Rehearsal.of(bundle, encoder))
        except BaseException:
            self._store.release(servable_id)
            raise
        return BundleServable(bundle, encoder, model, servable_id=servable_id, store=self._store)

    def _open(self, bundle: Bundle, rehearsal: Rehearsal) -> Model:
        for runtime in self._preferred:
            try:
                return runtime.open(bundle, rehearsal)
            except ToxicError as error:
                _log.warning("runtime.declined", runtime=type(runtime).__name__, reason=str(error))
        return self._last.open(bundle, rehearsal)


class BundleServable:
    """Implements `Servable` on a loaded model."""

    def __init__(
        self, bundle: Bundle, encoder: Tokeniser, model: Model, *, servable_id: ServableId, store: BundleStore
    ) -> None:
        self.contract = bundle.contract
        self.encoder = encoder
        self._model = model
        self._id = servable_id
        self._store = store

    @property
    def runtime(self) -> str:
        """What computes it."""
        return self._model.runtime

    @property
    def side_by_side(self) -> bool:
        """Whether batches may be computed at the same time."""
        return self._model.side_by_side

    def infer(self, batch: EncodedBatch, *, alone: bool = True) -> Float32Array:
        """Return raw scores, float32 [batch, labels].

        Raises:
            InvalidTensorError: the model refuses these inputs.
        """
        return self._model.infer(batch, alone=alone)

    def close(self) -> None:
        """Free the model and let its bundle go."""
        self._model.close()
        self._store.release(self._id)
