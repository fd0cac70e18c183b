"""A model in memory, ready to score.

Owns the one type that runtimes return and that serving, batch scoring and evaluation use.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_core.tokens import EncodedBatch, Tokeniser

Float32Array = NDArray[np.float32]

Infer = Callable[[EncodedBatch], Float32Array]
"""Computes one batch: raw scores, float32 [batch, labels]. Blocks; raises `InvalidTensorError`."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A verified bundle whose warm-up scores were reproduced.

    Attributes:
        contract: the bundle's contract.
        tokenizer: the bundle's tokenizer, with the contract's normalisation. Thread-safe.
        runtime: what computes the model and in which precision, such as `openvino-int8`.
        whole: computes a batch with all threads; no other batch may run at the same time.
        streams: executables that may run at the same time, one batch each, with an equal share of the
            threads; empty if the model computes one batch at a time.
        close: frees the model; called once, after the last batch.
    """

    contract: Contract
    tokenizer: Tokeniser
    runtime: str
    whole: Infer
    streams: tuple[Infer, ...]
    close: Callable[[], None]
