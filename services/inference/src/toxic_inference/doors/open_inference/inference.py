"""What an infer request asks, and the tensors that answer it.

Two forms: `text` (BYTES) gives `probabilities`, calibrated for the request's language, and `decisions` at the
operating thresholds; `input_ids` with `attention_mask` (INT32) gives `scores`, the model's own output.

Invariant: a form gives its own outputs and no others, so that raw and calibrated values can't be mistaken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SCORES
from toxic_core.labels import LABELS
from toxic_inference.doors.open_inference.messages import InferRequest, TensorMetadata
from toxic_inference.doors.open_inference.tensors import BYTES, Tensor
from toxic_inference.http.backend import Limits
from toxic_inference.http.errors import InvalidRequestError, TooManyTextsError
from toxic_inference.http.rows import row_of
from toxic_inference.http.schemas import LANGUAGE_PATTERN, primary_language
from toxic_inference.serving.interfaces import Lane, Row, Session, Text
from toxic_inference.serving.scoring.texts import check_text
from toxic_model.errors import InvalidTensorError

TEXT = "text"
PROBABILITIES = "probabilities"
DECISIONS = "decisions"

_TOKENS = frozenset({INPUT_IDS, ATTENTION_MASK})

INPUTS = (TensorMetadata(name=TEXT, datatype=BYTES, shape=[-1]),)
OUTPUTS = (
    TensorMetadata(name=PROBABILITIES, datatype="FP32", shape=[-1, len(LABELS)]),
    TensorMetadata(name=DECISIONS, datatype="BOOL", shape=[-1, len(LABELS)]),
)
"""What the metadata shows: the form that needs no tokenizer at the client's."""


@dataclass(frozen=True, slots=True)
class TextInputs:
    """Texts to score."""

    texts: tuple[Text, ...]

    async def infer(self, session: Session) -> Mapping[str, NDArray[np.generic]]:
        """Return every output by name."""
        scores = await session.score(self.texts, lane=Lane.INTERACTIVE)
        return {
            PROBABILITIES: np.array([score.scores for score in scores], dtype=np.float32),
            DECISIONS: np.array([score.decisions for score in scores], dtype=np.bool_),
        }


@dataclass(frozen=True, slots=True)
class TokenInputs:
    """Rows of tokens to score."""

    rows: tuple[Row, ...]

    async def infer(self, session: Session) -> Mapping[str, NDArray[np.generic]]:
        """Return every output by name."""
        return {SCORES: await session.infer(self.rows, lane=Lane.INTERACTIVE)}


def parse_inputs(
    request: InferRequest, tensors: Mapping[str, Tensor], *, limits: Limits, max_tokens: int
) -> TextInputs | TokenInputs:
    """Return what is to be scored.

    Raises:
        InvalidTensorError: the inputs are in neither form, or a tensor isn't what its form has.
        TooManyTextsError: there are more rows than a request may have.
        RejectedTextError: a text can't be scored.
        InvalidRequestError: the language isn't a code.
    """
    if tensors.keys() == {TEXT}:
        return _texts(tensors[TEXT].texts(), request.parameters.language, limits)
    if tensors.keys() == _TOKENS:
        ids, masks = tensors[INPUT_IDS].integers(), tensors[ATTENTION_MASK].integers()
        if ids.shape != masks.shape:
            raise InvalidTensorError(f"{INPUT_IDS} and {ATTENTION_MASK} differ in shape.")
        _check_count(len(ids), limits)
        rows = [
            row_of(row, mask, where=f"Row {index}", max_tokens=max_tokens)
            for index, (row, mask) in enumerate(zip(ids, masks, strict=True))
        ]
        return TokenInputs(tuple(rows))
    raise InvalidTensorError(
        f"The inputs must be {TEXT}, or {INPUT_IDS} and {ATTENTION_MASK}; they are {', '.join(tensors)}."
    )


def _texts(texts: Sequence[str], language: str | None, limits: Limits) -> TextInputs:
    _check_count(len(texts), limits)
    if language is not None and not LANGUAGE_PATTERN.fullmatch(language):
        raise InvalidRequestError("parameters.language must be a language code such as en.")
    for index, text in enumerate(texts):
        check_text(text, field=f"{TEXT}[{index}]", max_bytes=limits.text_bytes)
    return TextInputs(tuple(Text(text, primary_language(language)) for text in texts))


def _check_count(rows: int, limits: Limits) -> None:
    if not rows:
        raise InvalidTensorError("The inputs have no rows; there is nothing to score.")
    if rows > limits.texts:
        raise TooManyTextsError(f"The inputs have {rows:,} rows; the limit is {limits.texts:,}.")
