"""Builds the classifier of a packed folder for OpenVINO, without TensorFlow: BERT (Devlin et al., 2019).

The same function as the SavedModel of `toxic_training`: embeddings, layers, the mean over a text's tokens,
and a sigmoid for each label. The table of token embeddings has 8 bits in memory.

Importing this module imports OpenVINO.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as operation

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SCORES
from toxic_model.packed import BLOCK, HEAD_BIAS, HEAD_WEIGHT, PackedModel

_ONE = np.float32(1.0)
_HIDDEN = -1e9
"""What is added to the attention towards padding."""


def build(packed: PackedModel) -> ov.Model:
    """Return the model from ids and mask, int32 [batch, length], to scores, float32 [batch, labels]."""
    ids, mask = (operation.parameter([-1, -1], np.int32, name=name) for name in (INPUT_IDS, ATTENTION_MASK))
    for parameter in (ids, mask):
        parameter.output(0).set_names({parameter.get_friendly_name()})
    writer = _Writer(packed.weights, heads=packed.heads, epsilon=packed.epsilon)
    kept = operation.convert(mask, np.float32)
    padding = operation.subtract(_ONE, kept)
    attention = operation.multiply(operation.unsqueeze(padding, [1, 2]), np.float32(_HIDDEN))
    hidden = writer.embedded(ids, packed)
    for layer in range(packed.layers):
        hidden = writer.layer(hidden, attention, f"encoder.layer.{layer}")
    columns = operation.unsqueeze(kept, [2])
    pooled = operation.divide(
        operation.reduce_sum(operation.multiply(hidden, columns), [1]),
        operation.maximum(operation.reduce_sum(columns, [1]), _ONE),
    )
    logits = operation.add(
        operation.matmul(pooled, writer.constant(HEAD_WEIGHT), transpose_a=False, transpose_b=True),
        writer.constant(HEAD_BIAS),
    )
    scores = operation.sigmoid(logits)
    scores.output(0).set_names({SCORES})
    return ov.Model([operation.result(scores)], [ids, mask], "classifier")


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes parts of the network from weights by their Hugging Face names, float32, [outputs, inputs]."""

    weights: Mapping[str, NDArray[np.float32]]
    heads: int
    epsilon: float

    def constant(self, name: str) -> ov.Node:
        return operation.constant(self.weights[name])

    def dense(self, vectors: ov.Node, name: str) -> ov.Node:
        product = operation.matmul(
            vectors, self.constant(f"{name}.weight"), transpose_a=False, transpose_b=True
        )
        return operation.add(product, self.constant(f"{name}.bias"))

    def norm(self, vectors: ov.Node, name: str) -> ov.Node:
        normal = operation.mvn(
            vectors, [-1], normalize_variance=True, eps=self.epsilon, eps_mode="inside_sqrt"
        )
        scaled = operation.multiply(normal, self.constant(f"{name}.weight"))
        return operation.add(scaled, self.constant(f"{name}.bias"))

    def embedded(self, ids: ov.Node, packed: PackedModel) -> ov.Node:
        """Return the sum of token, position and type embeddings, normalised, [batch, length, width]."""
        width = packed.table.shape[1]
        blocks = operation.reshape(
            operation.convert(operation.gather(operation.constant(packed.table), ids, 0), np.float32),
            [0, 0, width // BLOCK, BLOCK],
            special_zero=True,
        )
        scales = operation.convert(operation.gather(operation.constant(packed.scales), ids, 0), np.float32)
        words = operation.reshape(
            operation.multiply(blocks, operation.unsqueeze(scales, [3])), [0, 0, width], special_zero=True
        )
        places = self.weights["embeddings.position_embeddings.weight"]
        places = places + self.weights["embeddings.token_type_embeddings.weight"][0]
        length = operation.gather(operation.shape_of(ids), [1], 0)
        positions = operation.slice(operation.constant(places), [0], length, [1], [0])
        return self.norm(operation.add(words, positions), "embeddings.LayerNorm")

    def layer(self, hidden: ov.Node, attention: ov.Node, name: str) -> ov.Node:
        """Return the next layer's vectors, [batch, length, width]; `attention` is added to each product."""

        def projected(part: str) -> ov.Node:
            vectors = self.dense(hidden, f"{name}.attention.self.{part}")
            return operation.transpose(
                operation.reshape(vectors, [0, 0, self.heads, -1], special_zero=True), [0, 2, 1, 3]
            )

        mixed = operation.scaled_dot_product_attention(
            projected("query"), projected("key"), projected("value"), attention
        )
        joined = operation.reshape(operation.transpose(mixed, [0, 2, 1, 3]), [0, 0, -1], special_zero=True)
        hidden = self.norm(
            operation.add(hidden, self.dense(joined, f"{name}.attention.output.dense")),
            f"{name}.attention.output.LayerNorm",
        )
        wide = operation.gelu(self.dense(hidden, f"{name}.intermediate.dense"), "tanh")
        return self.norm(
            operation.add(hidden, self.dense(wide, f"{name}.output.dense")), f"{name}.output.LayerNorm"
        )
