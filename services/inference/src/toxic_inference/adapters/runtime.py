"""The seam between a bundle and what computes it.

Owns what every runtime must show before its model serves: that it gives the scores that the bundle records.

Invariant: a rehearsed model gave its warm-up examples' scores, each alone and all in one batch, so its
attention mask is known to work too.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

import numpy as np

from toxic_core.contract import WARMUP_TOLERANCE, Bundle
from toxic_core.tokens import EncodedBatch, Int32Array, Tokeniser, pad
from toxic_inference.serving.errors import InvalidTensorError, WarmupError
from toxic_inference.serving.interfaces import Float32Array

_TRIALS = 5


class Model(Protocol):
    """A model in memory."""

    @property
    def runtime(self) -> str:
        """What computes it, and in what precision, such as `openvino-int8`."""
        ...

    @property
    def side_by_side(self) -> bool:
        """Whether batches may be computed at the same time, each not `alone`."""
        ...

    def infer(self, batch: EncodedBatch, *, alone: bool = True) -> Float32Array:
        """Return raw scores, float32 [batch, labels]; of calls at the same time none is `alone`.

        Raises:
            InvalidTensorError: the model refuses these inputs.
        """
        ...

    def close(self) -> None:
        """Free the model."""
        ...


class Runtime(Protocol):
    """Turns bundles into models."""

    def open(self, bundle: Bundle, rehearsal: "Rehearsal") -> Model:
        """Return the bundle's model, rehearsed. Blocks for seconds.

        Raises:
            ContractError, SignatureError: the model can't be read, or isn't the contract's.
            WarmupError: its scores aren't the recorded ones.
        """
        ...


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A bundle's warm-up examples, ready to be replayed.

    Attributes:
        rows: token ids of each, int32 [tokens].
        recorded: the scores that each must give, float32 [examples, labels].
        pad_id: token id of padding.
    """

    rows: Sequence[Int32Array]
    recorded: Float32Array
    pad_id: int

    @classmethod
    def of(cls, bundle: Bundle, encoder: Tokeniser) -> "Rehearsal":
        """Read the examples.

        Raises:
            ContractError: they can't be read.
        """
        examples = bundle.warmup()
        # The first window alone: what a text longer than the model reads was recorded with.
        encoded = encoder.encode_windows([example.text for example in examples], most=1)
        return cls(
            rows=[text.windows[0] for text in encoded],
            recorded=np.array([example.scores for example in examples], dtype=np.float32),
            pad_id=bundle.contract.pad_id,
        )

    def check(self, model: Model, *, tolerance: float = WARMUP_TOLERANCE) -> None:
        """Score the examples and compare: in one batch that has all processors, and one by one without.

        Raises:
            WarmupError: a score is off by more than `tolerance`, alone or in the batch, or the model and its
                tokenizer don't fit.
        """
        try:
            together = model.infer(pad(self.rows, pad_id=self.pad_id))
            alone = np.concatenate(
                [
                    model.infer(pad([row], pad_id=self.pad_id), alone=not model.side_by_side)
                    for row in self.rows
                ]
            )
        except InvalidTensorError as error:
            raise WarmupError(f"The model refuses its own warm-up examples: {error}") from error
        self._compare(together, how="in one batch", tolerance=tolerance)
        self._compare(alone, how="alone", tolerance=tolerance)

    def seconds(self, infer: Callable[[EncodedBatch], Float32Array]) -> float:
        """Return how long the shorter half of the examples takes in one batch, at best."""
        shorter = sorted(self.rows, key=len)[: (len(self.rows) + 1) // 2]
        batch = pad(shorter, pad_id=self.pad_id)
        best = inf
        for _ in range(_TRIALS):
            started = time.perf_counter()
            infer(batch)
            best = min(best, time.perf_counter() - started)
        return best

    def _compare(self, found: Float32Array, *, how: str, tolerance: float) -> None:
        if found.shape != self.recorded.shape:
            raise WarmupError(f"The warm-up gave scores of shape {found.shape}, not {self.recorded.shape}.")
        difference = np.abs(found - self.recorded)
        # Not `difference > tolerance`: a NaN must not pass.
        off = np.flatnonzero(~(difference <= tolerance).all(axis=1))
        if off.size:
            worst = float(np.max(difference[off]))
            raise WarmupError(
                f"{off.size} of {len(found)} warm-up examples, scored {how}, are off by up to {worst:.4g}; "
                f"{tolerance:g} is allowed. The model isn't the one that was evaluated."
            )
