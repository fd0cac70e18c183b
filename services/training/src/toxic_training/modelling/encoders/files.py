"""An encoder as the files of a Hugging Face folder: configuration, weights, tokenizer.

Owns that form. Invariant: whatever an encoder came from (random numbers, a package's own format, a
downloaded folder), from here on it is a folder that KerasHub and any other reader of that layout can load.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from toxic_core.errors import ConfigurationError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """One encoder.

    Attributes:
        config: the content of `config.json`, in Hugging Face's terms.
        weights: tensors by their name in the safetensors file.
        tokenizer: the tokenizer whose ids index the word embeddings.
    """

    config: dict[str, object]
    weights: dict[str, NDArray[np.float32]]
    tokenizer: Tokenizer

    @property
    def pad_id(self) -> int:
        """The token id of padding."""
        pad_id = self.config.get("pad_token_id", 0)
        if not isinstance(pad_id, int):
            raise ConfigurationError(f"config.json has pad_token_id {pad_id!r}; it must be a whole number.")
        return pad_id


def read_encoder(folder: Path) -> EncoderFiles:
    """Read an encoder's folder.

    Raises:
        ConfigurationError: a file is missing or can't be read.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE):
        if not (folder / name).is_file():
            raise ConfigurationError(
                f"The encoder folder {folder} has no {name}. It must hold {CONFIG_FILE}, {WEIGHTS_FILE} and "
                f"{TOKENIZER_FILE}, as `huggingface-cli download` leaves them."
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


def write_encoder(files: EncoderFiles, folder: Path) -> None:
    """Write `files` as a Hugging Face folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(json.dumps(files.config, indent=2) + "\n", encoding="utf-8")
    weights = {name: np.ascontiguousarray(tensor) for name, tensor in files.weights.items()}
    save_file(weights, folder / WEIGHTS_FILE, metadata={"format": "np"})
    files.tokenizer.save(str(folder / TOKENIZER_FILE))
