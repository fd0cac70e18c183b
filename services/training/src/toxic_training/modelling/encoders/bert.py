"""Converts a fine-tuned BERT backbone back to Hugging Face's names, the reverse of KerasHub's converter.

Invariant: an encoder that is read from a folder, converted by `bert_weights` and written again is unchanged,
except for the pooler, which no classifier here uses and which becomes zeros.
"""

from collections.abc import Iterator, Mapping

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from toxic_core.errors import ConfigurationError
from toxic_model.packed import WORD_EMBEDDINGS
from toxic_training.modelling.encoders.files import zero_pooler

Floats = NDArray[np.float32]

_BLOCK = "transformer_layer_"
_BERT_LAYERS = {
    "token_embedding",
    "position_embedding",
    "segment_embedding",
    "embeddings_layer_norm",
    f"{_BLOCK}0",
}
_HEADS_SEPARATE = 3
"""Dimensions of an attention kernel, whose heads are a dimension of their own."""


def bert_weights(encoder: keras.Model) -> dict[str, Floats]:
    """Return a BERT's weights, float32, by their names in a safetensors file, or raise ConfigurationError."""
    weights = {name: _array(variable) for name, variable in _tables(encoder).items()}
    hidden = weights[WORD_EMBEDDINGS].shape[1]
    weights |= zero_pooler(hidden)
    for name, variable in _variables(encoder):
        array = _array(variable)
        if array.ndim == _HEADS_SEPARATE:
            # The heads are on the side that isn't `hidden` wide.
            array = array.reshape((hidden, -1) if array.shape[0] == hidden else (-1, hidden))
        weights[name] = np.ascontiguousarray(array.T) if variable.name == "kernel" else array.reshape(-1)
    return weights


def set_bert_weights(encoder: keras.Model, weights: Mapping[str, Floats]) -> None:
    """Set the encoder's weights to those that `bert_weights` returned, or to others of the same shapes."""
    tables = _tables(encoder)
    for name, variable in _variables(encoder):
        array = weights[name]
        variable.assign((array.T if array.ndim > 1 else array).reshape(variable.shape))
    for name, variable in tables.items():
        variable.assign(weights[name])


def _tables(encoder: keras.Model) -> dict[str, keras.Variable]:
    """Return the embedding tables, which have the same shape on both sides."""
    if missing := sorted(_BERT_LAYERS - {layer.name for layer in encoder.layers}):
        raise ConfigurationError(
            "Only BERT-like encoders can be packed, such as multilingual-e5-small and MiniLM; this one has "
            f"no layer {', '.join(missing)}."
        )
    positions = encoder.get_layer("position_embedding").position_embeddings
    return {
        WORD_EMBEDDINGS: encoder.get_layer("token_embedding").embeddings,
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": encoder.get_layer("segment_embedding").embeddings,
    }


def _variables(encoder: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Yield the variables of norms and dense layers."""
    layers = {"embeddings.LayerNorm": encoder.get_layer("embeddings_layer_norm")}
    blocks = sum(layer.name.startswith(_BLOCK) for layer in encoder.layers)
    for index in range(blocks):
        block = encoder.get_layer(f"{_BLOCK}{index}")
        prefix = f"encoder.layer.{index}"
        attention = block._self_attention_layer  # noqa: SLF001 - KerasHub's own converter has no other way
        for part in ("query", "key", "value"):
            layers[f"{prefix}.attention.self.{part}"] = getattr(attention, f"{part}_dense")
        layers[f"{prefix}.attention.output.dense"] = attention.output_dense
        layers[f"{prefix}.attention.output.LayerNorm"] = block._self_attention_layer_norm  # noqa: SLF001
        layers[f"{prefix}.intermediate.dense"] = block._feedforward_intermediate_dense  # noqa: SLF001
        layers[f"{prefix}.output.dense"] = block._feedforward_output_dense  # noqa: SLF001
        layers[f"{prefix}.output.LayerNorm"] = block._feedforward_layer_norm  # noqa: SLF001
    for name, layer in layers.items():
        is_norm = name.endswith("LayerNorm")
        yield f"{name}.weight", layer.gamma if is_norm else layer.kernel
        yield f"{name}.bias", layer.beta if is_norm else layer.bias


def _array(variable: keras.Variable) -> Floats:
    return np.asarray(ops.convert_to_numpy(variable), dtype=np.float32)
