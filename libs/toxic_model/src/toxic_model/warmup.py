"""Replaying a bundle's warm-up examples.

Invariant: an executable passes only if it gives the recorded scores for the examples that it is given, all in
one batch and each by itself, which proves the attention mask too. A quick start gives it the shorter half.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, cycle
from math import inf

import numpy as np

from toxic_core.contract import WARMUP_TOLERANCE, Bundle
from toxic_core.tokens import Int32Array, Tokeniser, pad
from toxic_model.errors import InvalidTensorError, WarmupError
from toxic_model.runtime import Executable, Float32Array, Infer


@dataclass(frozen=True, slots=True)
class WarmUp:
    """A bundle's warm-up examples, tokenised.

    Attributes:
        rows: token ids of each example, int32 [tokens].
        recorded: the scores that each example must give, float32 [examples, labels].
        pad_id: token id of padding.
        on_streams: whether the executable's streams compute examples too.
    """

    rows: Sequence[Int32Array]
    recorded: Float32Array
    pad_id: int
    on_streams: bool = True

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
        streams = cycle(self._streams(executable))
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
        """Return the shorter half of the examples, for `whole` alone: a fraction of the work."""
        half = np.argsort([len(row) for row in self.rows], kind="stable")[: (len(self.rows) + 1) // 2]
        rows = [self.rows[index] for index in half]
        return WarmUp(rows, self.recorded[half], self.pad_id, on_streams=False)

    def rate(self, executable: Executable, *, seconds: float) -> float:
        """Return the tokens per second of an executable that `check` has warmed up.

        The geometric mean over three kinds of batches: the shortest example alone, the shorter half together,
        and the longer half on every stream at once. Each is computed twice at least, then for as long as
        `seconds` allow, and its shortest time counts.
        """
        rows = sorted(self.rows, key=len)
        middle = (len(rows) + 1) // 2
        batches = [pad(part, pad_id=self.pad_id) for part in (rows[:1], rows[:middle], rows[middle - 1 :])]
        streams = self._streams(executable)
        best = [inf] * len(batches)
        with ThreadPoolExecutor(len(streams)) as threads:
            calls: list[Callable[[], object]] = [
                lambda: executable.whole(batches[0]),
                lambda: executable.whole(batches[1]),
                lambda: list(threads.map(lambda infer: infer(batches[2]), streams)),
            ]
            end = time.perf_counter() + seconds
            for turn in count():
                for index, call in enumerate(calls):
                    started = time.perf_counter()
                    call()
                    best[index] = min(best[index], time.perf_counter() - started)
                if turn and time.perf_counter() > end:
                    break
        tokens = [batch.input_ids.size for batch in batches]
        tokens[2] *= len(streams)
        return float(np.exp(np.mean(np.log(np.divide(tokens, best)))))

    def _streams(self, executable: Executable) -> tuple[Infer, ...]:
        return (self.on_streams and executable.streams) or (executable.whole,)
