"""An encoder as the files of a Hugging Face folder: configuration, weights, tokenizer.

Every encoder takes this form, whether it is random, in a package's own format, or downloaded, so that
KerasHub and other readers of the layout can load it.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from toxic_core.contract.artifact import CONFIG_FILE
from toxic_core.contract.artifact import TOKENIZER_FILE as PACKED_TOKENIZER_FILE
from toxic_core.errors import ConfigurationError
from toxic_model.packed import is_packed, read_tensors, unpack_weights

WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"

BERT_SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
)
INITIAL_DEVIATION = 0.02
"""Standard deviation of BERT's random weights."""


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """One encoder: the content of `config.json`, tensors by name, and the tokenizer.

    The tensors may include a classification layer, `HEAD_WEIGHT` and `HEAD_BIAS` of `toxic_model.packed`.
    """

    config: dict[str, object]
    weights: dict[str, NDArray[np.float32]]
    tokenizer: Tokenizer

    @property
    def pad_id(self) -> int:
        """The token id of padding."""
        pad_id = self.config.get("pad_token_id", 0)
        if not isinstance(pad_id, int):
            raise ConfigurationError(f"config.json has pad_token_id {pad_id!r}; it must be an integer.")
        return pad_id


def read_encoder(folder: Path) -> EncoderFiles:
    """Read an encoder's folder, packed or not, or raise ConfigurationError if a file can't be read."""
    if is_packed(folder):
        return _read_packed_encoder(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE):
        if not (folder / name).is_file():
            raise ConfigurationError(
                f"The encoder folder {folder} has no {name}. It needs {CONFIG_FILE}, {WEIGHTS_FILE} and "
                f"{TOKENIZER_FILE}, for example from `huggingface-cli download`."
            )
    try:
        weights = load_file(folder / WEIGHTS_FILE)
    except (SafetensorError, TypeError) as error:
        raise ConfigurationError(f"{folder / WEIGHTS_FILE} can't be read: {error}") from error
    return EncoderFiles(
        config=json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")),
        weights=weights,
        tokenizer=Tokenizer.from_file(str(folder / TOKENIZER_FILE)),
    )


def _read_packed_encoder(folder: Path) -> EncoderFiles:
    try:
        return EncoderFiles(
            config=json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")),
            weights=unpack_weights(read_tensors(folder)),
            tokenizer=Tokenizer.from_file(str(folder / PACKED_TOKENIZER_FILE)),
        )
    except Exception as error:  # `tokenizers` raises no narrower class
        raise ConfigurationError(f"The packed model in {folder} can't be read: {error}") from error


def write_encoder(files: EncoderFiles, folder: Path) -> None:
    """Write `files` as a Hugging Face folder, replacing an existing one only by a whole one."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / CONFIG_FILE).write_text(json.dumps(files.config, indent=2) + "\n", encoding="utf-8")
    weights = {name: np.ascontiguousarray(tensor) for name, tensor in files.weights.items()}
    save_file(weights, partial / WEIGHTS_FILE, metadata={"format": "np"})
    files.tokenizer.save(str(partial / TOKENIZER_FILE))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def zero_pooler(hidden: int) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a pooler, which readers of BERT folders expect and mean pooling doesn't need."""
    weight, bias = np.zeros((hidden, hidden), np.float32), np.zeros(hidden, np.float32)
    return {"pooler.dense.weight": weight, "pooler.dense.bias": bias}


def bert_config(*sizes: int) -> dict[str, object]:
    """Return the `config.json` of a `BertModel` of the sizes in `BERT_SIZES`, with XLM-R's special tokens."""
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        **dict(zip(BERT_SIZES, sizes, strict=True)),
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": INITIAL_DEVIATION,
        "pad_token_id": 1,
    }
