"""A packed model: a folder with `config.json` and quantised weights, read without TensorFlow and Keras.

Weights have 4 bits for the table of token embeddings, 8 for the other matrices, 32 for the rest.

Invariant: packing unpacked weights gives the same bits again, so that a classifier whose weights were rounded
once is stored without loss.

The table is stored in blocks of 32 numbers with one float16 scale `d` each, a number being `(q - 8) * d` with
`q` from 0 to 15 (llama.cpp's Q4_0); the other matrices as integers from -127 to 127 with one float32 scale
per output, symmetric (Jacob et al., 2018).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from toxic_core.contract.artifact import CONFIG_FILE, PACKED_FILES, PACKED_WEIGHTS_FILES
from toxic_core.errors import ConfigurationError

Arrays = dict[str, NDArray[np.generic]]
Floats = NDArray[np.float32]

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
HEAD_WEIGHT = "classifier.weight"
HEAD_BIAS = "classifier.bias"

BLOCK = 32
"""Neighbouring numbers of the table that share a scale."""
_ZERO = 8
_NIBBLE = 4
_LARGEST_BYTE = 127.0
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
"""A float32 below it loses digits; such numbers are stored as zero."""

_FOUR_BITS = ".q4"
_EIGHT_BITS = ".q8"
_SCALE = ".scale"


@dataclass(frozen=True, slots=True)
class PackedModel:
    """A packed BERT with a classification layer, read.

    Attributes:
        weights: float32 by Hugging Face's names, matrices [outputs, inputs]; without the table.
        table: the token embeddings in steps of their scale, int8 [pieces, width].
        scales: float16 [pieces, blocks].
        layers, heads, epsilon: of `config.json`.
    """

    weights: dict[str, Floats]
    table: NDArray[np.int8]
    scales: NDArray[np.float16]
    layers: int
    heads: int
    epsilon: float


def is_packed(folder: Path) -> bool:
    """Return whether `folder` holds a packed model."""
    return all((folder / name).is_file() for name in PACKED_FILES)


def read_packed(folder: Path) -> PackedModel:
    """Read the packed model in `folder`, or raise ConfigurationError if it is damaged or of another form."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        tensors = read_tensors(folder)
        quanta, scales = (tensors.pop(WORD_EMBEDDINGS + kind) for kind in (_FOUR_BITS, _SCALE))
        return PackedModel(
            weights=unpack_weights(tensors),
            table=_steps(quanta, scales).astype(np.int8).reshape(len(scales), -1),
            scales=scales.astype(np.float16),
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            epsilon=float(config["layer_norm_eps"]),
        )
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise ConfigurationError(f"{folder} holds no packed model that can be read: {error!r}") from error


def read_tensors(folder: Path) -> Arrays:
    """Return the stored tensors of every file of weights, by name."""
    files = [folder / name for name in PACKED_WEIGHTS_FILES if (folder / name).is_file()]
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def write_tensors(packed: Arrays, folder: Path) -> None:
    """Write stored tensors, those of the table into a file of their own."""
    table = {name: tensor for name, tensor in packed.items() if name.startswith(WORD_EMBEDDINGS)}
    rest = {name: tensor for name, tensor in packed.items() if name not in table}
    for name, tensors in zip(PACKED_WEIGHTS_FILES, (rest, table), strict=True):
        save_file(tensors, folder / name)


def pack_weights(weights: Mapping[str, Floats], *, table: str) -> Arrays:
    """Return the tensors to store for float32 weights by name; matrices are [outputs, inputs].

    `table` is the name of the token embeddings, [pieces, width], stored in 4 bits if the width is a multiple
    of 32.
    """
    packed: Arrays = {}
    for name, weight in weights.items():
        if name == table and weight.shape[1] % BLOCK == 0:
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
    blocks = weight.reshape(weight.shape[0], -1, BLOCK)
    furthest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=-1, keepdims=True), axis=-1)
    # The number furthest from zero becomes q = 0, the only end that is 8 steps away.
    scale = (furthest[..., 0] / -_ZERO).astype(np.float16)
    divisor = np.where(scale == 0, 1.0, scale.astype(np.float32))[..., None]
    quanta = np.clip(np.rint(blocks / divisor) + _ZERO, 0, 15).astype(np.uint8)
    half = BLOCK // 2
    nibbles = quanta[..., :half] | (quanta[..., half:] << _NIBBLE)
    return nibbles.reshape(weight.shape[0], -1), scale


def from_four_bits(nibbles: NDArray[np.generic], scale: NDArray[np.generic]) -> Floats:
    """Return the numbers, float32 [rows, width], of nibbles and of scales, [rows] or [rows, blocks]."""
    quanta = _steps(nibbles, scale).astype(np.float32)
    return (quanta * scale.astype(np.float32)[..., None]).reshape(scale.shape[0], -1).astype(np.float32)


def _steps(nibbles: NDArray[np.generic], scale: NDArray[np.generic]) -> NDArray[np.int8]:
    """Return the numbers in steps of their scale, from -8 to 7, [rows, blocks, 32]."""
    halves = nibbles.astype(np.uint8).reshape(*scale.shape, BLOCK // 2)
    return np.concatenate([halves & 0x0F, halves >> _NIBBLE], axis=-1).astype(np.int8) - np.int8(_ZERO)


def _to_eight_bits(weight: Floats) -> tuple[NDArray[np.int8], Floats]:
    scale = (np.abs(weight).max(axis=1, keepdims=True) / _LARGEST_BYTE).astype(np.float32)
    scale = np.where(scale < _SMALLEST_SCALE, np.float32(1.0), scale)
    return np.rint(weight / scale).astype(np.int8), scale


def _from_eight_bits(quanta: NDArray[np.generic], scale: NDArray[np.generic]) -> Floats:
    return (quanta.astype(np.float32) * scale.astype(np.float32)).astype(np.float32)
