"""Inputs of infer requests, and the tensors that answer them.

Two forms: `text` (BYTES) returns `probabilities`, calibrated for the request's language, and `decisions` at
the operating thresholds; `input_ids` with `attention_mask` (INT32) returns `scores`, the model's raw output.

Invariant: each form has its own outputs, so that raw and calibrated scores can't be confused.
"""

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SCORES
from toxic_inference.doors.open_inference.messages import InferRequest, OutputRequest
from toxic_inference.doors.open_inference.tensors import Tensor
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend, Limits
from toxic_inference.http.body import read_body, unless_departed
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.policies import following, policy_headers
from toxic_inference.http.rows import row_of
from toxic_inference.http.terms import terms_of
from toxic_inference.http.texts import check_count, check_texts, decoded_base64, marks, unevaluated
from toxic_inference.serving.interfaces import Lane, Row, Session, Target, Text, TextScore
from toxic_model.errors import InvalidTensorError

TEXT = "text"
PROBABILITIES = "probabilities"
DECISIONS = "decisions"

_TOKENS = frozenset({INPUT_IDS, ATTENTION_MASK})
_IGNORED = frozenset({"token_type_ids", "position_ids", "special_tokens_mask"})
"""Tensors that tokenizers add and the model doesn't read."""
_PLAIN = frozenset({None, "str", "np", "pd"})
_BASE64 = "base64"
"""Values of MLServer's `content_type`: the tensor as it is, and texts in base64."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """The result of an infer request.

    Attributes:
        outputs: every output by name.
        scores: of each text; none of tokens.
    """

    outputs: Mapping[str, NDArray[np.generic]]
    scores: tuple[TextScore, ...] = ()


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
        return Inferred(outputs, tuple(scores))


@dataclass(frozen=True, slots=True)
class TokenInputs:
    """Rows of tokens to score, without texts."""

    rows: tuple[Row, ...]
    texts: tuple[Text, ...] = ()

    async def infer(self, session: Session) -> Inferred:
        """Return every output."""
        return Inferred({SCORES: await session.infer(self.rows, lane=Lane.INTERACTIVE)})


def parse_inputs(
    request: InferRequest, tensors: Mapping[str, Tensor], *, limits: Limits, max_tokens: int
) -> TextInputs | TokenInputs:
    """Return the inputs to score.

    Raises:
        InvalidTensorError: the inputs have neither form, or a tensor does not fit its form or content type.
        TooManyTextsError: there are more rows than one request may have.
        RejectedTextError: a text can't be scored.
    """
    if tensors.keys() == {TEXT}:
        texts = tensors[TEXT].texts()
        content_type = tensors[TEXT].message.parameters.content_type or request.parameters.content_type
        if content_type not in _PLAIN | {_BASE64}:
            raise InvalidTensorError(
                f"The content type {content_type!r} of {TEXT} is not read; send str or base64."
            )
        if content_type == _BASE64:
            texts = [decoded_base64(text, field=f"{TEXT}[{index}]") for index, text in enumerate(texts)]
        _check_rows(texts, limits)
        check_texts({f"{TEXT}[{index}]": text for index, text in enumerate(texts)}, limits)
        return TextInputs(tuple(Text(text, request.parameters.language) for text in texts))
    if _TOKENS <= tensors.keys() <= _TOKENS | _IGNORED:
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


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to an infer request.

    Attributes:
        version: the version that gave it.
        outputs: the requested outputs, in order.
        headers: that version, the texts that were not read to their end, and the policy.
    """

    version: str
    outputs: Sequence[tuple[OutputRequest, NDArray[np.generic]]]
    headers: Mapping[str, str]


async def answer(
    request: Request, backend: Backend, target: Target, *, asked: InferRequest, tensors: Mapping[str, Tensor]
) -> Answered:
    """Answer an infer request.

    Raises:
        InvalidRequestError: there is no such output, or no such policy.
        InvalidTensorError, TooManyTextsError, RejectedTextError: as `parse_inputs`.
    """
    backend = following(request, backend)
    microseconds = asked.parameters.timeout
    terms = terms_of(request, timeout_seconds=microseconds / 1e6 if microseconds else None)
    with backend.scorer.session(target, terms) as session:
        limits, max_tokens = backend.limits, session.contract.max_tokens
        inputs = await read_body(
            request,
            backend.threads.read,
            lambda _: parse_inputs(asked, tensors, limits=limits, max_tokens=max_tokens),
        )
        inferred = await unless_departed(request, inputs.infer(session))
        values = inferred.outputs
        wanted = asked.outputs or [OutputRequest(name=name) for name in values]
        if unknown := next((output.name for output in wanted if output.name not in values), None):
            raise InvalidRequestError(f"There is no output {unknown!r}; there are {', '.join(values)}.")
        if any(output.parameters.classification for output in wanted):
            raise InvalidRequestError("The classification extension is not supported.")
        headers = {
            MODEL_VERSION_HEADER: session.version,
            **marks(inferred.scores),
            **unevaluated(inputs.texts, session.contract),
            **policy_headers(backend.policy, inferred.scores or None),
        }
        return Answered(session.version, [(output, values[output.name]) for output in wanted], headers)


def _check_rows(rows: Sized, limits: Limits) -> None:
    if not len(rows):
        raise InvalidTensorError("The inputs have no rows; there is nothing to score.")
    check_count(rows, limits, field="inputs")
