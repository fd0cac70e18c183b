"""What a TensorFlow Serving predict request holds: texts or rows of tokens, in row or column form.

Invariant: what comes out can be scored: texts pass `check_text`, rows of tokens pass `row_of`.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SIGNATURE
from toxic_core.tokens import Int32Array
from toxic_inference.http.backend import Limits
from toxic_inference.http.errors import InvalidRequestError, MalformedRequestError, TooManyTextsError
from toxic_inference.http.rows import row_of
from toxic_inference.serving.interfaces import Row
from toxic_inference.serving.scoring.texts import check_text
from toxic_model.errors import InvalidTensorError

_TEXT = "text"
_BASE64 = "b64"
_MEMBERS = frozenset({"signature_name", "instances", "inputs"})


@dataclass(frozen=True, slots=True)
class PredictInputs:
    """Either texts or rows of tokens, and which form the answer has.

    Attributes:
        texts: what to tokenise here.
        rows: what came as tokens.
        columnar: whether the request had the column form, which names its answer differently.
    """

    texts: tuple[str, ...]
    rows: tuple[Row, ...]
    columnar: bool


def parse_predict(body: object, *, limits: Limits, max_tokens: int) -> PredictInputs:
    """Return what a predict request holds.

    Args:
        body: the request's JSON.
        limits: how many texts and how long.
        max_tokens: the longest row that the model reads.

    Raises:
        MalformedRequestError: it is in neither row nor column form.
        InvalidTensorError: a tensor isn't the signature's.
        RejectedTextError: a text can't be scored.
        TooManyTextsError: it has more rows than a request may.
    """
    if not isinstance(body, dict):
        raise MalformedRequestError("The body must be a JSON object with instances or inputs.")
    if unknown := sorted(body.keys() - _MEMBERS):
        raise InvalidRequestError(f"The body has the unknown member {unknown[0]!r}.", field=unknown[0])
    signature = body.get("signature_name", SIGNATURE)
    if signature not in {SIGNATURE, ""}:
        raise MalformedRequestError(
            f"The model has no signature {signature!r}; leave it out or send {SIGNATURE!r}."
        )
    if ("instances" in body) == ("inputs" in body):
        raise MalformedRequestError("Send either instances (row form) or inputs (column form).")
    if "instances" in body:
        return _parse_instances(body["instances"], limits, max_tokens=max_tokens)
    return _parse_columns(body["inputs"], limits, max_tokens=max_tokens)


def _parse_instances(value: object, limits: Limits, *, max_tokens: int) -> PredictInputs:
    instances = _list(value, "instances", limits)
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
    if isinstance(value, dict) and value.keys() == {INPUT_IDS, ATTENTION_MASK}:
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
            f"{field} must be a list that isn't empty, of texts or of {INPUT_IDS} with {ATTENTION_MASK}."
        )
    if len(value) > limits.texts:
        raise TooManyTextsError(f"{field} has {len(value):,} rows; the limit is {limits.texts:,}.")
    return value


def _texts(values: Sequence[object], field: str, limits: Limits) -> tuple[str, ...]:
    texts: list[str] = []
    for index, given in enumerate(values):
        value = _decoded(given, f"{field}[{index}]")
        if not isinstance(value, str):
            raise InvalidTensorError(
                f"{field}[{index}] must be a text, or an object with {INPUT_IDS} and {ATTENTION_MASK}."
            )
        check_text(value, field=f"{field}[{index}]", max_bytes=limits.text_bytes)
        texts.append(value)
    return tuple(texts)


def _decoded(value: object, where: str) -> object:
    """Return what `{"b64": …}` stands for, TensorFlow Serving's form of bytes; anything else as it is."""
    if not (isinstance(value, dict) and value.keys() == {_BASE64} and isinstance(value[_BASE64], str)):
        return value
    try:
        return base64.b64decode(value[_BASE64], validate=True).decode("utf-8")
    except ValueError as error:
        raise InvalidTensorError(f"{where} isn't UTF-8 in base64.") from error


def _row(tensors: Mapping[str, object], where: str, *, max_tokens: int) -> Row:
    if tensors.keys() != {INPUT_IDS, ATTENTION_MASK}:
        raise InvalidTensorError(f"{where} must have exactly {INPUT_IDS} and {ATTENTION_MASK}.")
    ids = _int32(tensors[INPUT_IDS], f"{where}, {INPUT_IDS},")
    mask = _int32(tensors[ATTENTION_MASK], f"{where}, {ATTENTION_MASK},")
    return row_of(ids, mask, where=where, max_tokens=max_tokens)


def _int32(value: object, where: str) -> Int32Array:
    integers = isinstance(value, list) and all(type(item) is int for item in value)
    if not integers or not value:
        raise InvalidTensorError(f"{where} must be a list of integers that isn't empty.")
    try:
        return np.array(value, dtype=np.int32)
    except OverflowError as error:
        raise InvalidTensorError(f"{where} has a number beyond 32 bits.") from error
