"""The floor: the bare model on the batches that the service would make, and the machine's matrix products.

`python -m benchmarks.peers.floor BUNDLE` reads texts as JSON from standard input and prints figures as JSON.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from toxic_core.tokens import EncodedBatch, Int32Array, Tokeniser, pad
from toxic_inference.serving.packing import choose_batch

_WAITING = 32
"""Rows that wait at any moment: as many as there are callers in the run that this is the floor of."""

_TOKEN_BUDGET = 4_096
_SIDE = 1_024
_PRODUCTS = 40
_REFERENCE = 5
"""Texts whose scores the peers' answers are held against."""


class _Variable(Protocol):
    """The part of a TensorFlow variable that is used here."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> Iterable[int]: ...


def batches(rows: Sequence[Int32Array], *, pad_id: int) -> Iterator[EncodedBatch]:
    """Pack rows as the batch scheduler does with so many callers who ask again at once."""
    left = list(rows)
    while left:
        window = left[:_WAITING]
        chosen = set(choose_batch([len(row) for row in window], budget=_TOKEN_BUDGET))
        yield pad([window[index] for index in sorted(chosen)], pad_id=pad_id)
        left = [row for index, row in enumerate(left) if index not in chosen]


def matmul_rate() -> float:
    """Return float32 operations a second in large matrix products."""
    left = tf.random.uniform((_SIDE, _SIDE))
    multiply = tf.function(lambda first, second: tf.reduce_sum(first @ second))
    multiply(left, left).numpy()
    started = time.perf_counter()
    for _ in range(_PRODUCTS):
        multiply(left, left).numpy()
    return 2 * _SIDE**3 * _PRODUCTS / (time.perf_counter() - started)


def operations(variables: Iterable["_Variable"], packed: Sequence[EncodedBatch]) -> float:
    """Return the operations of the model's products with its weights on real tokens: 2 a weight and token.

    Embedding tables are looked up and not multiplied with; attention's own products and padding don't count.
    """
    kernels = [tuple(variable.shape) for variable in variables if "kernel" in variable.name]
    tokens = sum(int(batch.attention_mask.sum()) for batch in packed)
    return 2.0 * tokens * sum(int(np.prod(shape)) for shape in kernels)


def main() -> None:
    """Measure and print."""
    folder = Path(sys.argv[1])
    contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
    tokeniser = Tokeniser.from_file(
        folder / "tokenizer/tokenizer.json", max_tokens=contract["max_tokens"], pad_id=contract["pad_id"]
    )
    texts = json.load(sys.stdin)
    rows = tokeniser.token_ids(texts)
    packed = list(batches(rows, pad_id=contract["pad_id"]))
    model = tf.saved_model.load(str(folder / "saved_model"))
    signature = model.signatures["serving_default"]

    def infer(batch: EncodedBatch) -> list[list[float]]:
        ids, mask = tf.constant(batch.input_ids), tf.constant(batch.attention_mask)
        scores: list[list[float]] = signature(input_ids=ids, attention_mask=mask)["scores"].numpy().tolist()
        return scores

    for _ in range(2):  # the first traces and warms up
        started, used = time.perf_counter(), time.process_time()
        for batch in packed:
            infer(batch)
    seconds = time.perf_counter() - started
    figures = {
        "rate": len(texts) / seconds,
        "cpu_per_thousand": (time.process_time() - used) / len(texts) * 1_000,
        "matmul_per_second": matmul_rate(),
        "operations_per_second": operations(signature.variables, packed) / seconds,
        "reference": [infer(pad([ids], pad_id=contract["pad_id"]))[0] for ids in rows[:_REFERENCE]],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
