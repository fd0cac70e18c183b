"""Quantised weights: 4 bits for the table of token embeddings, 8 for the other matrices, 32 for the rest.

Invariant: packing unpacked weights gives the same bits again, so that a classifier whose weights were rounded
once is stored without loss.

The table is stored in blocks of 32 numbers with one float16 scale `d` each, a number being `(q - 8) * d` with
`q` from 0 to 15 (llama.cpp's Q4_0); the other matrices as integers from -127 to 127 with one float32 scale
per output, symmetric (Jacob et al., 2018).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from toxic_core.errors import ConfigurationError

Arrays = dict[str, NDArray[np.generic]]
Floats = NDArray[np.float32]

_BLOCK = 32
_ZERO = 8
_NIBBLE = 4
_LARGEST_BYTE = 127.0
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
"""A float32 below it loses digits; such numbers are stored as zero."""

_FOUR_BITS = ".q4"
_EIGHT_BITS = ".q8"
_SCALE = ".scale"


def pack_weights(weights: Mapping[str, Floats], *, table: str) -> Arrays:
    """Return the tensors to store for float32 weights by name; matrices are [outputs, inputs].

    `table` is the name of the token embeddings, [pieces, width], stored in 4 bits if the width is a multiple
    of 32.
    """
    packed: Arrays = {}
    for name, weight in weights.items():
        if name == table and weight.shape[1] % _BLOCK == 0:
            packed[name + _FOUR_BITS], packed[name + _SCALE] = _to_four_bits(weight)
        elif weight.ndim > 1:
            packed[name + _EIGHT_BITS], packed[name + _SCALE] = _to_eight_bits(weight)
        else:
            packed[name] = weight.astype(np.float32)
    return packed


def unpack_weights(packed: Mapping[str, NDArray[np.generic]]) -> dict[str, Floats]:
    """Return float32 weights by name, or raise ConfigurationError if a tensor lacks its scale."""
    weights: dict[str, Floats] = {}
    for name, tensor in packed.items():
        if name.endswith(_SCALE):
            continue
        base, bits = name[: -len(_FOUR_BITS)], name[-len(_FOUR_BITS) :]
        if bits not in {_FOUR_BITS, _EIGHT_BITS}:
            weights[name] = tensor.astype(np.float32)
        elif base + _SCALE not in packed:
            raise ConfigurationError(f"The packed weights contain {name} without {base + _SCALE}.")
        else:
            restore = from_four_bits if bits == _FOUR_BITS else _from_eight_bits
            weights[base] = restore(tensor, packed[base + _SCALE])
    return weights


def _to_four_bits(weight: Floats) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    blocks = weight.reshape(weight.shape[0], -1, _BLOCK)
    furthest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=-1, keepdims=True), axis=-1)
    # The number furthest from zero becomes q = 0, the only end that is 8 steps away.
    scale = (furthest[..., 0] / -_ZERO).astype(np.float16)
    divisor = np.where(scale == 0, 1.0, scale.astype(np.float32))[..., None]
    quanta = np.clip(np.rint(blocks / divisor) + _ZERO, 0, 15).astype(np.uint8)
    half = _BLOCK // 2
    nibbles = quanta[..., :half] | (quanta[..., half:] << _NIBBLE)
    return nibbles.reshape(weight.shape[0], -1), scale


def from_four_bits(nibbles: NDArray[np.generic], scale: NDArray[np.generic]) -> Floats:
    """Return the numbers, float32 [rows, width], of nibbles and of scales, [rows] or [rows, blocks]."""
    halves = nibbles.astype(np.uint8).reshape(*scale.shape, _BLOCK // 2)
    quanta = np.concatenate([halves & 0x0F, halves >> _NIBBLE], axis=-1).astype(np.float32) - _ZERO
    return (quanta * scale.astype(np.float32)[..., None]).reshape(scale.shape[0], -1).astype(np.float32)


def _to_eight_bits(weight: Floats) -> tuple[NDArray[np.int8], Floats]:
    scale = (np.abs(weight).max(axis=1, keepdims=True) / _LARGEST_BYTE).astype(np.float32)
    scale = np.where(scale < _SMALLEST_SCALE, np.float32(1.0), scale)
    return np.rint(weight / scale).astype(np.int8), scale


def _from_eight_bits(quanta: NDArray[np.generic], scale: NDArray[np.generic]) -> Floats:
    return (quanta.astype(np.float32) * scale.astype(np.float32)).astype(np.float32)
