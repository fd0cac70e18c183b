"""Replaying a bundle's warm-up examples.

Invariant: an executable passes only if it gives the recorded scores for all examples in one batch and for
each example by itself, which proves the attention mask too.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from math import inf

import numpy as np

from toxic_core.contract import WARMUP_TOLERANCE, Bundle
from toxic_core.tokens import Int32Array, Tokeniser, pad
from toxic_model.errors import InvalidTensorError, WarmupError
from toxic_model.runtime import Executable, Float32Array, Infer

_TRIALS = 5


@dataclass(frozen=True, slots=True)
class WarmUp:
    """A bundle's warm-up examples, tokenised.

    Attributes:
        rows: token ids of each example, int32 [tokens].
        recorded: the scores that each example must give, float32 [examples, labels].
        pad_id: token id of padding.
    """

    rows: Sequence[Int32Array]
    recorded: Float32Array
    pad_id: int

    @classmethod
    def of(cls, bundle: Bundle, tokenizer: Tokeniser) -> "WarmUp":
        """Read the examples.

        Raises:
            ContractError: they can't be read.
        """
        examples = bundle.warmup()
        # Only the first window: the scores of a text that is longer than the model's input were recorded so.
        encoded = tokenizer.encode_windows([example.text for example in examples], most=1)
        return cls(
            rows=[text.windows[0] for text in encoded],
            recorded=np.array([example.scores for example in examples], dtype=np.float32),
            pad_id=bundle.contract.pad_id,
        )

    def check(self, executable: Executable, *, tolerance: float = WARMUP_TOLERANCE) -> None:
        """Score the examples and compare: in one batch with all threads, and one by one on the streams.

        Raises:
            WarmupError: a score differs by more than `tolerance`, or the model and its tokenizer don't fit.
        """
        streams = cycle(executable.streams or (executable.whole,))
        try:
            together = executable.whole(pad(self.rows, pad_id=self.pad_id))
            singly = [next(streams)(pad([row], pad_id=self.pad_id)) for row in self.rows]
        except InvalidTensorError as error:
            raise WarmupError(f"The model refuses its own warm-up examples: {error}") from error
        for scores, how in ((together, "in one batch"), (np.concatenate(singly), "one by one")):
            if scores.shape != self.recorded.shape:
                raise WarmupError(
                    f"The warm-up gave scores of shape {scores.shape}, not {self.recorded.shape}."
                )
            difference = np.abs(scores - self.recorded)
            # Not `difference > tolerance`: a NaN must not pass.
            wrong = ~(difference <= tolerance).all(axis=1)
            if wrong.any():
                raise WarmupError(
                    f"{wrong.sum()} of {len(scores)} warm-up examples, scored {how}, differ by up to "
                    f"{np.max(difference[wrong]):.4g} from the recorded scores; {tolerance:g} is allowed. "
                    "The model isn't the one that was evaluated, or this machine computes differently."
                )

    def shorter(self) -> "WarmUp":
        """Return the shorter half of the examples."""
        half = np.argsort([len(row) for row in self.rows], kind="stable")[: (len(self.rows) + 1) // 2]
        return WarmUp([self.rows[index] for index in half], self.recorded[half], self.pad_id)

    def seconds(self, infer: Infer) -> float:
        """Return the shortest time in which the shorter half of the examples was computed as one batch."""
        batch = pad(self.shorter().rows, pad_id=self.pad_id)
        best = inf
        for _ in range(_TRIALS):
            started = time.perf_counter()
            infer(batch)
            best = min(best, time.perf_counter() - started)
        return best
