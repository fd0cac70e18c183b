"""Parsing TensorFlow Serving's predict requests: texts or rows of tokens, in row or column form.

Invariant: everything that `parse_predict` returns can be scored: texts pass `check_text`, rows pass `row_of`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SIGNATURE
from toxic_core.tokens import Int32Array
from toxic_inference.http.backend import Limits
from toxic_inference.http.errors import MalformedRequestError
from toxic_inference.http.rows import row_of
from toxic_inference.http.texts import check_count, check_texts, decoded_base64
from toxic_inference.serving.interfaces import Row
from toxic_model.errors import InvalidTensorError

_TEXT = "text"
_BASE64 = "b64"


@dataclass(frozen=True, slots=True)
class PredictInputs:
    """Either texts or rows of tokens, and the form of the answer.

    Attributes:
        texts: texts to tokenise.
        rows: rows of tokens.
        columnar: whether the request had the column form; its answer has another name.
    """

    texts: tuple[str, ...]
    rows: tuple[Row, ...]
    columnar: bool


def parse_predict(body: object, *, limits: Limits, max_tokens: int) -> PredictInputs:
    """Return the inputs of a predict request.

    As by TensorFlow Serving, other members of the body are ignored, and in column form other inputs than the
    signature's, such as a tokenizer's `token_type_ids`.

    Args:
        body: the request's JSON.
        limits: the number and length of texts.
        max_tokens: the longest row that the model reads.

    Raises:
        MalformedRequestError: the body has neither row nor column form.
        InvalidTensorError: a tensor does not fit the signature.
        RejectedTextError: a text can't be scored.
        TooManyTextsError: there are more rows than one request may have.
    """
    if not isinstance(body, dict):
        raise MalformedRequestError("The body must be a JSON object with instances or inputs.")
    signature = body.get("signature_name", SIGNATURE)
    if signature not in (SIGNATURE, ""):  # a list can't be in a set
        raise MalformedRequestError(
            f"The model has no signature {signature!r}; leave it out or send {SIGNATURE!r}."
        )
    if ("instances" in body) == ("inputs" in body):
        raise MalformedRequestError("Send either instances (row form) or inputs (column form).")
    if "inputs" in body:
        return _parse_columns(body["inputs"], limits, max_tokens=max_tokens)
    instances = _list(body["instances"], "instances", limits)
    if all(isinstance(instance, dict) and INPUT_IDS in instance for instance in instances):
        rows = tuple(
            _row(instance, f"instances[{index}]", max_tokens=max_tokens)
            for index, instance in enumerate(instances)
            if isinstance(instance, dict)
        )
        return PredictInputs(texts=(), rows=rows, columnar=False)
    texts = [i[_TEXT] if isinstance(i, dict) and i.keys() == {_TEXT} else i for i in instances]
    return PredictInputs(texts=_texts(texts, "instances", limits), rows=(), columnar=False)


def _parse_columns(value: object, limits: Limits, *, max_tokens: int) -> PredictInputs:
    if isinstance(value, dict) and value.keys() >= {INPUT_IDS, ATTENTION_MASK}:
        ids = _list(value[INPUT_IDS], f"inputs.{INPUT_IDS}", limits)
        masks = _list(value[ATTENTION_MASK], f"inputs.{ATTENTION_MASK}", limits)
        if len(ids) != len(masks):
            raise InvalidTensorError(f"{INPUT_IDS} has {len(ids)} rows, but {ATTENTION_MASK} {len(masks)}.")
        rows = tuple(
            _row({INPUT_IDS: row, ATTENTION_MASK: mask}, f"inputs, row {index}", max_tokens=max_tokens)
            for index, (row, mask) in enumerate(zip(ids, masks, strict=True))
        )
        return PredictInputs(texts=(), rows=rows, columnar=True)
    texts = value[_TEXT] if isinstance(value, dict) and value.keys() == {_TEXT} else value
    return PredictInputs(
        texts=_texts(_list(texts, "inputs", limits), "inputs", limits), rows=(), columnar=True
    )


def _list(value: object, field: str, limits: Limits) -> list[object]:
    if not isinstance(value, list) or not value:
        raise InvalidTensorError(
            f"{field} must be a non-empty list of texts, or of {INPUT_IDS} with {ATTENTION_MASK}."
        )
    check_count(value, limits, field=field)
    return value


def _texts(values: Sequence[object], field: str, limits: Limits) -> tuple[str, ...]:
    texts: dict[str, str] = {}
    for index, given in enumerate(values):
        name, value = f"{field}[{index}]", given
        # TensorFlow Serving's form of bytes.
        if isinstance(given, dict) and given.keys() == {_BASE64} and isinstance(given[_BASE64], str):
            value = decoded_base64(given[_BASE64], field=name)
        if not isinstance(value, str):
            raise InvalidTensorError(
                f"{name} must be a text, or an object with {INPUT_IDS} and {ATTENTION_MASK}."
            )
        texts[name] = value
    check_texts(texts, limits)
    return tuple(texts.values())


def _row(tensors: Mapping[str, object], field: str, *, max_tokens: int) -> Row:
    if tensors.keys() != {INPUT_IDS, ATTENTION_MASK}:
        raise InvalidTensorError(f"{field} must have exactly {INPUT_IDS} and {ATTENTION_MASK}.")
    ids = _int32(tensors[INPUT_IDS], f"{field}, {INPUT_IDS},")
    mask = _int32(tensors[ATTENTION_MASK], f"{field}, {ATTENTION_MASK},")
    return row_of(ids, mask, field=field, max_tokens=max_tokens)


def _int32(value: object, field: str) -> Int32Array:
    integers = isinstance(value, list) and all(type(item) is int for item in value)
    if not integers or not value:
        raise InvalidTensorError(f"{field} must be a non-empty list of integers.")
    try:
        return np.array(value, dtype=np.int32)
    except OverflowError as error:
        raise InvalidTensorError(f"{field} has a number beyond 32 bits.") from error
