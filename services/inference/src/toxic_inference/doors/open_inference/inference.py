"""Inputs of infer requests, and the tensors that answer them.

Two forms: `text` (BYTES) returns `probabilities`, calibrated for the request's language, and `decisions` at
the operating thresholds; `input_ids` with `attention_mask` (INT32) returns `scores`, the model's raw output.

Invariant: each form has its own outputs, so that raw and calibrated scores can't be confused.
"""

from collections.abc import Mapping, Sized
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SCORES
from toxic_inference.doors.open_inference.messages import InferRequest, TensorMetadata
from toxic_inference.doors.open_inference.tensors import BYTES, Tensor
from toxic_inference.http.backend import Limits
from toxic_inference.http.rows import row_of
from toxic_inference.http.texts import check_count, check_texts
from toxic_inference.serving.interfaces import Lane, Row, Session, Text
from toxic_model.errors import InvalidTensorError

TEXT = "text"
PROBABILITIES = "probabilities"
DECISIONS = "decisions"

_TOKENS = frozenset({INPUT_IDS, ATTENTION_MASK})

INPUTS = (TensorMetadata(name=TEXT, datatype=BYTES, shape=[-1]),)
"""Inputs in the metadata: the form for clients without a tokenizer."""


def outputs_of(labels: int) -> list[TensorMetadata]:
    """Return the outputs in the metadata of a model with so many labels."""
    return [
        TensorMetadata(name=PROBABILITIES, datatype="FP32", shape=[-1, labels]),
        TensorMetadata(name=DECISIONS, datatype="BOOL", shape=[-1, labels]),
    ]


@dataclass(frozen=True, slots=True)
class Inferred:
    """The result of an infer request.

    Attributes:
        outputs: every output by name.
        truncated: per text, whether its end was not read.
    """

    outputs: Mapping[str, NDArray[np.generic]]
    truncated: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class TextInputs:
    """Texts to score."""

    texts: tuple[Text, ...]

    async def infer(self, session: Session) -> Inferred:
        """Return every output."""
        scores = await session.score(self.texts, lane=Lane.INTERACTIVE)
        outputs: dict[str, NDArray[np.generic]] = {
            PROBABILITIES: np.array([score.scores for score in scores], dtype=np.float32),
            DECISIONS: np.array([score.decisions for score in scores], dtype=np.bool_),
        }
        return Inferred(outputs, tuple(score.truncated for score in scores))


@dataclass(frozen=True, slots=True)
class TokenInputs:
    """Rows of tokens to score."""

    rows: tuple[Row, ...]

    async def infer(self, session: Session) -> Inferred:
        """Return every output."""
        return Inferred({SCORES: await session.infer(self.rows, lane=Lane.INTERACTIVE)})


def parse_inputs(
    request: InferRequest, tensors: Mapping[str, Tensor], *, limits: Limits, max_tokens: int
) -> TextInputs | TokenInputs:
    """Return the inputs to score.

    Raises:
        InvalidTensorError: the inputs have neither form, or a tensor does not fit its form.
        TooManyTextsError: there are more rows than one request may have.
        RejectedTextError: a text can't be scored.
    """
    if tensors.keys() == {TEXT}:
        texts = tensors[TEXT].texts()
        _check_rows(texts, limits)
        check_texts({f"{TEXT}[{index}]": text for index, text in enumerate(texts)}, limits)
        return TextInputs(tuple(Text(text, request.parameters.language) for text in texts))
    if tensors.keys() == _TOKENS:
        ids, masks = tensors[INPUT_IDS].integers(), tensors[ATTENTION_MASK].integers()
        if ids.shape != masks.shape:
            raise InvalidTensorError(f"{INPUT_IDS} and {ATTENTION_MASK} differ in shape.")
        _check_rows(ids, limits)
        rows = [
            row_of(row, mask, field=f"Row {index}", max_tokens=max_tokens)
            for index, (row, mask) in enumerate(zip(ids, masks, strict=True))
        ]
        return TokenInputs(tuple(rows))
    raise InvalidTensorError(
        f"The inputs must be {TEXT}, or {INPUT_IDS} and {ATTENTION_MASK}; they are {', '.join(tensors)}."
    )


def _check_rows(rows: Sized, limits: Limits) -> None:
    if not len(rows):
        raise InvalidTensorError("The inputs have no rows; there is nothing to score.")
    check_count(rows, limits, field="inputs")
