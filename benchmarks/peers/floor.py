"""The floor: the bare model on the batches that the service would make, and the machine's matrix products.

`python -m benchmarks.peers.floor BUNDLE` reads texts as JSON from standard input and prints figures as JSON.
Every runtime that gives the bundle's recorded scores is measured, one batch after the other or side by side,
whichever is faster; `rate` is that of the one that serves.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from toxic_core.contract import Bundle, Contract, open_bundle
from toxic_core.telemetry import disable_telemetry
from toxic_core.tokens import EncodedBatch, Int32Array, pad
from toxic_inference.serving.batching.policy import nearest_lengths
from toxic_inference.settings import Settings
from toxic_model.loaded import Infer, LoadedModel
from toxic_model.opening import open_model
from toxic_model.precision import Precision
from toxic_model.runtime import any_of
from toxic_model.runtimes.openvino import compile_model

disable_telemetry()
import openvino as ov  # noqa: E402 - after telemetry is off
from openvino import opset13 as operation  # noqa: E402

_WAITING = 32
"""Rows that wait at any moment: as many as there are callers in the run that this is the floor of."""

_SIDE = 1_024
_PRODUCTS = 40
_REFERENCE = 5
"""Texts to compare the peers' scores on."""

_PRODUCT_TYPES = ("MatMul", "Einsum")
_THREADS = os.cpu_count() or 1


def batches(rows: Sequence[Int32Array], *, pad_id: int) -> Iterator[EncodedBatch]:
    """Pack rows as the batch scheduler does with so many callers who ask again at once."""
    budget: int = Settings.model_fields["batch_token_budget"].default
    left = list(rows)
    while left:
        window = left[:_WAITING]
        chosen = set(nearest_lengths([len(row) for row in window], budget=budget))
        yield pad([window[index] for index in sorted(chosen)], pad_id=pad_id)
        left = [row for index, row in enumerate(left) if index not in chosen]


def matmul_rate(precision: Precision) -> float:
    """Return operations a second in large matrix products."""
    left = operation.parameter([_SIDE, _SIDE], np.float32)
    weights = np.random.default_rng(1).random((_SIDE, _SIDE), np.float32)
    product = operation.matmul(left, operation.constant(weights), transpose_a=False, transpose_b=False)
    model = ov.Model([product], [left])
    request = compile_model(ov.Core(), model, precision, threads=_THREADS).create_infer_request()
    request.infer([weights])
    started = time.perf_counter()
    for _ in range(_PRODUCTS):
        request.infer([weights])
    return 2 * _SIDE**3 * _PRODUCTS / (time.perf_counter() - started)


def operations(saved_model: Path, packed: Sequence[EncodedBatch]) -> float:
    """Return the operations of the model's products with its weights on real tokens: 2 a weight and token.

    Embedding tables are looked up and not multiplied with; attention's own products and padding don't count.
    """
    model = ov.Core().read_model(str(saved_model))
    tokens = sum(int(batch.attention_mask.sum()) for batch in packed)
    return (
        2.0
        * tokens
        * sum(_weights(node) for node in model.get_ops() if node.get_type_name() in _PRODUCT_TYPES)
    )


def _weights(node: "ov.Node") -> int:
    """Return the size of the constant that a product has on its right; 0 without one."""
    shape = node.input_value(1).get_partial_shape()
    return int(np.prod(shape.to_shape())) if shape.is_static else 0


def models(bundle: Bundle) -> Iterator[LoadedModel]:
    """Yield the bundle's model in every way that this machine computes it, the one that serves last."""
    yield open_model(bundle, threads=_THREADS, runtime="tensorflow")
    yield open_model(bundle, threads=_THREADS, runtime="openvino", precision="float32")
    yield open_model(bundle, threads=_THREADS, runtime="openvino")


def main() -> None:
    """Measure and print."""
    bundle = open_bundle(Path(sys.argv[1]))
    contract = bundle.contract
    tokeniser = bundle.tokeniser()
    texts = json.load(sys.stdin)
    rows = tokeniser.token_ids(texts)
    packed = list(batches(rows, pad_id=contract.pad_id))
    figures: dict[str, object] = {}
    for model in models(bundle):
        measured = _measure(model, packed, texts=len(texts))
        figures |= measured | {f"rate.{model.runtime}": measured["rate"], "runtime": model.runtime}
        if "reference" not in figures:
            figures["reference"] = _reference(model.whole, rows[:_REFERENCE], contract)
        model.close()
    figures["matmul_per_second"] = matmul_rate(Precision(str(figures["runtime"]).partition("-")[2]))
    figures["operations_per_second"] = _operations_per_second(
        bundle, packed, texts=len(texts), figures=figures
    )
    print(json.dumps(figures))


def _measure(model: LoadedModel, packed: Sequence[EncodedBatch], *, texts: int) -> dict[str, float]:
    """Measure one batch after the other, and on all streams at once if there are any; keep the faster."""
    found = [_loop([model.whole], packed, texts=texts)]
    if model.streams:
        found.append(_loop(model.streams, packed, texts=texts))
    return max(found, key=lambda figures: figures["rate"])


def _loop(executables: Sequence[Infer], packed: Sequence[EncodedBatch], *, texts: int) -> dict[str, float]:
    infer = any_of(executables)
    with ThreadPoolExecutor(len(executables)) as executor:
        for _ in range(2):  # the first warms up
            started, used = time.perf_counter(), time.process_time()
            for _ in executor.map(infer, packed):
                pass
    seconds = time.perf_counter() - started
    return {"rate": texts / seconds, "cpu_per_thousand": (time.process_time() - used) / texts * 1_000}


def _reference(infer: Infer, rows: Sequence[Int32Array], contract: Contract) -> list[list[float]]:
    return [infer(pad([ids], pad_id=contract.pad_id))[0].tolist() for ids in rows]


def _operations_per_second(
    bundle: Bundle, packed: Sequence[EncodedBatch], *, texts: int, figures: dict[str, object]
) -> float:
    rate = figures["rate"]
    assert isinstance(rate, float)  # noqa: S101  as it was measured
    return operations(bundle.saved_model, packed) / texts * rate


if __name__ == "__main__":
    main()
