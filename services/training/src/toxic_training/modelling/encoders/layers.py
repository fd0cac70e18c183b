"""Fewer layers of an encoder, for a smaller and faster student (Sanh et al., 2019).

Invariant: layers that are kept are unchanged and in their order; the last one is always kept.
"""

import re
from dataclasses import replace

import numpy as np

from toxic_core.errors import ConfigurationError
from toxic_training.modelling.encoders.files import EncoderFiles

_LAYER = re.compile(r"^(?P<before>.*\blayer\.)(?P<index>\d+)(?P<after>\..*)$")
_COUNT_KEYS = ("num_hidden_layers", "n_layers")


def keep_layers(files: EncoderFiles, count: int) -> EncoderFiles:
    """Return the encoder with `count` of its layers, evenly spread, or raise ConfigurationError."""
    key = next((name for name in _COUNT_KEYS if name in files.config), None)
    layers = files.config.get(key or "")
    if key is None or not isinstance(layers, int) or not any(_LAYER.match(name) for name in files.weights):
        raise ConfigurationError("The names of this encoder's layers are unknown; set `layers` to null.")
    if count > layers:
        raise ConfigurationError(f"The encoder has {layers} layers; `layers` asks for {count}.")
    kept = np.linspace(layers - 1, 0, count).round().astype(int)[::-1].tolist() if count > 1 else [layers - 1]
    weights = {}
    for name, tensor in files.weights.items():
        match = _LAYER.match(name)
        if match is None:
            weights[name] = tensor
        elif (index := int(match["index"])) in kept:
            weights[f"{match['before']}{kept.index(index)}{match['after']}"] = tensor
    return replace(files, config={**files.config, key: count}, weights=weights)
