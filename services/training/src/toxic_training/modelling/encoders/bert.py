"""A fine-tuned BERT backbone back into Hugging Face's names, the reverse of how KerasHub reads them.

Invariant: an encoder that is read from a folder, turned into weights by `bert_weights` and written again is
the encoder that was read, but for the pooler, which nothing here uses and becomes zeros.
"""

from collections.abc import Iterator

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from toxic_core.errors import ConfigurationError
from toxic_training.modelling.encoders.files import WORD_EMBEDDINGS

Floats = NDArray[np.float32]

_BLOCK = "transformer_layer_"
_BERT_LAYERS = {
    "token_embedding",
    "position_embedding",
    "segment_embedding",
    "embeddings_layer_norm",
    f"{_BLOCK}0",
}
_HEADS_APART = 3
_NORM = {"weight": "gamma", "bias": "beta"}


def bert_weights(encoder: keras.Model) -> dict[str, Floats]:
    """Return the encoder's weights, float32, by their names in a `BertModel`'s safetensors file.

    Raises:
        ConfigurationError: the encoder isn't a BERT.
    """
    _require_bert(encoder)
    hidden = encoder.get_layer("token_embedding").embeddings.shape[1]
    tables = {name: _array(variable) for name, variable in _tables(encoder)}
    # KerasHub reads a pooler too, which no classifier here has.
    pooler = {
        "pooler.dense.weight": np.zeros((hidden, hidden), np.float32),
        "pooler.dense.bias": np.zeros(hidden, np.float32),
    }
    return tables | pooler | {name: _flat(variable, hidden=hidden) for name, variable in _variables(encoder)}


def set_bert_weights(encoder: keras.Model, weights: dict[str, Floats]) -> None:
    """Give the encoder the weights that `bert_weights` returned, or others of the same shapes."""
    _require_bert(encoder)
    for name, variable in _variables(encoder):
        array = weights[name]
        variable.assign((array.T if array.ndim > 1 else array).reshape(variable.shape))
    for name, variable in _tables(encoder):
        variable.assign(weights[name])


def _tables(encoder: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Yield the embedding tables, which both sides hold alike."""
    yield WORD_EMBEDDINGS, encoder.get_layer("token_embedding").embeddings
    yield (
        "embeddings.position_embeddings.weight",
        encoder.get_layer("position_embedding").position_embeddings,
    )
    yield "embeddings.token_type_embeddings.weight", encoder.get_layer("segment_embedding").embeddings


def _variables(encoder: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    yield from _norm("embeddings.LayerNorm", encoder.get_layer("embeddings_layer_norm"))
    blocks = [layer for layer in encoder.layers if layer.name.startswith(_BLOCK)]
    for index in range(len(blocks)):
        block = encoder.get_layer(f"{_BLOCK}{index}")
        prefix = f"encoder.layer.{index}"
        attention = block._self_attention_layer  # noqa: SLF001 - KerasHub's own converter has no other way
        for part in ("query", "key", "value"):
            yield from _dense(f"{prefix}.attention.self.{part}", getattr(attention, f"{part}_dense"))
        yield from _dense(f"{prefix}.attention.output.dense", attention.output_dense)
        yield from _norm(f"{prefix}.attention.output.LayerNorm", block._self_attention_layer_norm)  # noqa: SLF001
        yield from _dense(f"{prefix}.intermediate.dense", block._feedforward_intermediate_dense)  # noqa: SLF001
        yield from _dense(f"{prefix}.output.dense", block._feedforward_output_dense)  # noqa: SLF001
        yield from _norm(f"{prefix}.output.LayerNorm", block._feedforward_layer_norm)  # noqa: SLF001


def _dense(name: str, layer: keras.layers.Layer) -> Iterator[tuple[str, keras.Variable]]:
    yield f"{name}.weight", layer.kernel
    yield f"{name}.bias", layer.bias


def _norm(name: str, layer: keras.layers.Layer) -> Iterator[tuple[str, keras.Variable]]:
    for theirs, ours in _NORM.items():
        yield f"{name}.{theirs}", getattr(layer, ours)


def _require_bert(encoder: keras.Model) -> None:
    names = {layer.name for layer in encoder.layers}
    if lacking := sorted(_BERT_LAYERS - names):
        raise ConfigurationError(
            "Only BERT-shaped encoders can be packed, as multilingual-e5-small and MiniLM are; this one has "
            f"no layer {', '.join(lacking)}."
        )


def _array(variable: keras.Variable) -> Floats:
    return np.asarray(ops.convert_to_numpy(variable), dtype=np.float32)


def _flat(variable: keras.Variable, *, hidden: int) -> Floats:
    """Return a bias or norm as [outputs], a kernel as [outputs, inputs].

    Attention's kernels hold the heads apart, on the side that isn't `hidden` wide.
    """
    array = _array(variable)
    if array.ndim == _HEADS_APART:
        array = array.reshape((hidden, -1) if array.shape[0] == hidden else (-1, hidden))
    return np.ascontiguousarray(array.T) if variable.name == "kernel" else array.reshape(-1)
