"""Tensors in a message: their data is in the JSON, or in bytes after the JSON.

Invariant: a tensor has as many elements as its shape; bytes that belong to no tensor are an error.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from toxic_core.tokens import Int32Array
from toxic_inference.doors.open_inference.messages import InputTensor, OutputTensor
from toxic_model.errors import InvalidTensorError

BYTES = "BYTES"
_INTEGERS: Mapping[str, np.dtype[np.signedinteger[Any]]] = {
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
}
_LENGTH = struct.Struct("<I")
DATATYPES = {np.dtype(np.float32): "FP32", np.dtype(np.bool_): "BOOL"}
"""The datatypes of outputs."""
_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input with its data.

    Attributes:
        message: its JSON.
        raw: its bytes, if they came after the JSON.
    """

    message: InputTensor
    raw: bytes | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.message.name

    def texts(self) -> list[str]:
        """Return its elements as texts.

        Raises:
            InvalidTensorError: it is not a tensor of texts.
        """
        if self.message.datatype != BYTES:
            raise InvalidTensorError(f"{self.name} must be {BYTES}, not {self.message.datatype}.")
        if self.raw is None:
            elements = self._elements()
            if not all(isinstance(element, str) for element in elements):
                raise InvalidTensorError(f"{self.name} must contain texts.")
            return [str(element) for element in elements]
        try:
            texts = [element.decode("utf-8") for element in _split(self.raw)]
        except (UnicodeDecodeError, struct.error) as error:
            raise InvalidTensorError(f"{self.name}: the bytes are not UTF-8 texts with lengths.") from error
        self._check_size(len(texts))
        return texts

    def integers(self) -> Int32Array:
        """Return it as int32 [rows, length].

        Raises:
            InvalidTensorError: it is not a matrix of integers.
        """
        kind = _INTEGERS.get(self.message.datatype)
        if kind is None or len(self.message.shape) != 2:  # noqa: PLR2004  a matrix
            raise InvalidTensorError(f"{self.name} must be INT32 with a shape [rows, length].")
        if self.raw is None:
            elements = self._elements()
            if not all(type(element) is int for element in elements):
                raise InvalidTensorError(f"{self.name} must contain integers.")
            try:
                values = np.array(elements, dtype=np.int64)
            except OverflowError as error:
                raise InvalidTensorError(f"{self.name} has a number beyond 64 bits.") from error
        elif len(self.raw) % kind.itemsize:
            raise InvalidTensorError(f"{self.name}: the bytes are not {self.message.datatype}.")
        else:
            values = np.frombuffer(self.raw, dtype=kind).astype(np.int64)
        self._check_size(values.size)
        narrow = values.astype(np.int32)
        if (narrow != values).any():
            raise InvalidTensorError(f"{self.name} has a number beyond 32 bits.")
        return narrow.reshape(self.message.shape)

    def _elements(self) -> list[JsonValue]:
        elements = list(_flat(self.message.data or [], depth=0))
        self._check_size(len(elements))
        return elements

    def _check_size(self, found: int) -> None:
        if found != prod(self.message.shape):
            raise InvalidTensorError(
                f"{self.name} has {found:,} elements; its shape {self.message.shape} has "
                f"{prod(self.message.shape):,}."
            )


def with_data(messages: Sequence[InputTensor], raw: bytes) -> dict[str, Tensor]:
    """Return the inputs by name, each with its part of the bytes after the JSON.

    Raises:
        InvalidTensorError: the sizes don't match the bytes, or data or a name is missing or repeated.
    """
    tensors: dict[str, Tensor] = {}
    begin = 0
    for message in messages:
        size = message.parameters.binary_data_size
        if (size is None) == (message.data is None):
            raise InvalidTensorError(f"{message.name} must have either data or binary_data_size.")
        if message.name in tensors:
            raise InvalidTensorError(f"The request has the input {message.name!r} twice.")
        part = None if size is None else raw[begin : begin + size]
        if part is not None and len(part) != size:
            raise InvalidTensorError(f"{message.name} has {len(part):,} bytes; binary_data_size is {size:,}.")
        tensors[message.name] = Tensor(message, part)
        begin += size or 0
    if begin != len(raw):
        raise InvalidTensorError(f"The body has {len(raw) - begin:,} bytes that belong to no input.")
    return tensors


def as_output(name: str, values: NDArray[np.generic], *, binary: bool) -> tuple[OutputTensor, bytes]:
    """Return an output's JSON and the bytes after it; none without `binary`.

    Args:
        name: its name.
        values: float32 or bool.
        binary: whether its data goes into bytes after the JSON.
    """
    tensor = OutputTensor(name=name, datatype=DATATYPES[values.dtype], shape=list(values.shape))
    if not binary:
        return tensor.model_copy(update={"data": values.reshape(-1).tolist()}), b""
    raw = np.ascontiguousarray(values).tobytes()
    return tensor.model_copy(update={"parameters": {"binary_data_size": len(raw)}}), raw


def _split(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if at + length > len(raw):
            raise struct.error("the last element is cut")
        yield raw[at : at + length]
        at += length


def _flat(data: Sequence[JsonValue], *, depth: int) -> Iterator[JsonValue]:
    if depth > _MAX_DEPTH:
        raise InvalidTensorError(f"data is nested more than {_MAX_DEPTH} deep.")
    for element in data:
        if isinstance(element, list):
            yield from _flat(element, depth=depth + 1)
        else:
            yield element
