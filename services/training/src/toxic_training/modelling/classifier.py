"""The classifier: an encoder, mean pooling over real tokens, one independent logit per label.

Invariant: padding has no influence on a score.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import keras
import keras_hub
import numpy as np
from keras import ops
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import Tokenizer

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS
from toxic_core.files import replacing
from toxic_core.labels import LABELS, LabelName
from toxic_core.text import NORMALISATION_VERSION
from toxic_core.tokens import Int32Array, Tokeniser
from toxic_model.packed import HEAD_BIAS, HEAD_WEIGHT, Floats
from toxic_training.modelling.batches import model_inputs
from toxic_training.modelling.encoders.bert import bert_weights, set_bert_weights
from toxic_training.modelling.encoders.files import WEIGHTS_FILE, read_encoder

LOGITS = "logits"
POOLED = "mean_pooling"
"""Names of layers: the logits, and before them the mean of a comment's token vectors."""

Loss = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]
Mean = Callable[[keras.KerasTensor], keras.KerasTensor]


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder to fine-tune: its folder in Hugging Face's layout, its tokenizer, its id of padding."""

    folder: Path
    tokenizer: Tokenizer
    pad_id: int

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Check an encoder's folder and read its tokenizer."""
        files = read_encoder(folder)
        return cls(folder=folder, tokenizer=files.tokenizer, pad_id=files.pad_id)

    def load_backbone(self) -> keras.Model:
        """Load a new copy with KerasHub. Dropout takes its seed from Keras's at that moment."""
        return keras_hub.models.Backbone.from_preset(str(self.folder))

    def head(self) -> tuple[Floats, Floats] | None:
        """Return the kernel [width, labels] and bias of the folder's classification layer, if it has one."""
        with safe_open(self.folder / WEIGHTS_FILE, framework="numpy") as tensors:
            if not {HEAD_WEIGHT, HEAD_BIAS} <= set(tensors.keys()):
                return None
            return tensors.get_tensor(HEAD_WEIGHT).T, tensors.get_tensor(HEAD_BIAS)

    def tokeniser(self, *, max_tokens: int, normalisation: int = NORMALISATION_VERSION) -> Tokeniser:
        """Return the tokeniser of texts for this encoder."""
        copy = Tokenizer.from_str(self.tokenizer.to_str())
        return Tokeniser(copy, max_tokens=max_tokens, pad_id=self.pad_id, normalisation=normalisation)


@keras.saving.register_keras_serializable(package="toxic_training")
class MaskedMean(keras.layers.Layer):
    """Mean of the token vectors whose mask is 1."""

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Average vectors, float [batch, length, width], over the tokens of a mask, int [batch, length]."""
        vectors, mask = inputs
        weights = ops.expand_dims(ops.cast(mask, vectors.dtype), axis=-1)
        return ops.sum(vectors * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)


def build_classifier(
    backbone: keras.Model, *, dropout: float, train_embeddings: bool, labels: int = len(LABELS)
) -> keras.Model:
    """Return a model from ids and mask, int32 [batch, length], to logits, float [batch, labels]."""
    input_ids = keras.Input((None,), dtype="int32", name=INPUT_IDS)
    attention_mask = keras.Input((None,), dtype="int32", name=ATTENTION_MASK)
    backbone.get_layer("token_embedding").trainable = train_embeddings
    if isinstance(backbone.output, dict):  # BERT's pooled output stays out of the graph
        backbone = keras.Model(backbone.input, backbone.output["sequence_output"], name="encoder")
    inputs = {"token_ids": input_ids, "padding_mask": attention_mask}
    if "segment_ids" in backbone.input:
        inputs["segment_ids"] = ops.zeros_like(input_ids)
    pooled = MaskedMean(name=POOLED)([backbone(inputs), attention_mask])
    dropped = keras.layers.Dropout(dropout, name="pooled_dropout")(pooled)
    logits = keras.layers.Dense(labels, name=LOGITS)(dropped)
    return keras.Model({INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask}, logits, name="classifier")


def add_toxic_logit(kernel: Floats, bias: Floats, shares: Mapping[LabelName, float]) -> tuple[Floats, Floats]:
    """Return a classification layer whose labels contain these shares of the logit of `toxic`.

    A rare label is 0 in so many comments that its own logit ranks them by chance, by their length or topic.
    Since nearly all comments with such a label are toxic, the logit of `toxic` ranks them by how rude they
    are. The sum is linear, so that it changes weights only.

    Args:
        kernel: [width, labels], labels in the order of `LABELS`.
        bias: [labels].
        shares: by label; `toxic` itself stays.
    """
    share = np.array([0.0, *(shares.get(label, 0.0) for label in LABELS[1:])], bias.dtype)
    return kernel + kernel[:, :1] * share, bias + bias[0] * share


def negative(shares: Mapping[LabelName, float]) -> dict[LabelName, float]:
    """Return the shares that undo `shares`."""
    return {label: -share for label, share in shares.items()}


def write_keras(model: keras.Model, path: Path) -> None:
    """Replace the file of a Keras model atomically."""
    with replacing(path) as partial:
        named = partial.with_suffix(".keras")  # Keras insists on the suffix
        try:
            model.save(named)
            named.rename(partial)
        finally:
            named.unlink(missing_ok=True)


def classifier_weights(classifier: keras.Model) -> dict[str, Floats]:
    """Return a classifier's weights by their names in a safetensors file, those of its last layer included.

    Raises:
        ConfigurationError: its encoder is no BERT.
    """
    kernel, bias = classifier.get_layer(LOGITS).get_weights()
    weights = bert_weights(encoder_of(classifier))
    return {**weights, HEAD_WEIGHT: np.ascontiguousarray(kernel.T), HEAD_BIAS: bias}


def set_classifier_weights(classifier: keras.Model, weights: Mapping[str, Floats]) -> None:
    """Set the weights to those that `classifier_weights` returned, or to others of the same shapes."""
    set_bert_weights(encoder_of(classifier), weights)
    classifier.get_layer(LOGITS).set_weights([weights[HEAD_WEIGHT].T, weights[HEAD_BIAS]])


def encoder_of(classifier: keras.Model) -> keras.Model:
    """Return the encoder inside a classifier."""
    return next(layer for layer in classifier.layers if isinstance(layer, keras.Model))


def masked_binary_crossentropy(
    labels: keras.KerasTensor,
    logits: keras.KerasTensor,
    positive_weights: Sequence[float] = (1.0,),
    label_weights: Sequence[float] = (1.0,),
    *,
    mean: Mean = ops.mean,
) -> keras.KerasTensor:
    """Return each row's binary cross-entropy over the labels that aren't missing, float [batch].

    A row's sum is divided by the batch's mean number of labels per row, so that the mean is that over labels.

    Args:
        labels: float [batch, labels]; 0 to 1, negative if missing.
        logits: float [batch, labels].
        positive_weights: the weight of a positive relative to a negative, per label or for all.
        label_weights: the weight of a label relative to others, per label or for all.
        mean: the mean over the rows of a batch, if others of its rows are computed elsewhere.
    """
    present = ops.cast(labels >= 0, logits.dtype) * ops.convert_to_tensor(label_weights, logits.dtype)
    target = ops.maximum(labels, 0.0)
    weight = 1.0 + (ops.convert_to_tensor(positive_weights, logits.dtype) - 1.0) * target
    # log(1 + exp(-|x|)) + max(x, 0) - x * y: stable for large logits of either sign.
    loss = ops.softplus(-ops.abs(logits)) + ops.maximum(logits, 0.0) - logits * target
    labels_per_row = ops.maximum(mean(ops.sum(present, axis=-1)), 1e-6)
    return ops.sum(weight * loss * present, axis=-1) / labels_per_row


def training_loss(
    positive_weights: Sequence[float],
    *,
    label_weights: Sequence[float] = (1.0,),
    smoothing: float = 0.0,
    teacher_share: float,
    means: tuple[Mean, Mean] = (ops.mean, ops.mean),
) -> Loss:
    """Return the loss of a batch's targets and logits; labels are smoothed (Szegedy et al., 2016).

    Targets are float [batch, labels], or [batch, 2 * labels] if a teacher's scores follow the labels (Hinton
    et al., 2015), which then weigh `teacher_share`, 0 to 1. The teacher scores every label, also those that a
    comment's source doesn't contain. `means` are those of `masked_binary_crossentropy` for both parts.
    """

    def loss(targets: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
        labels = logits.shape[-1]
        smooth = ops.where(targets < 0, targets, targets * (1 - 2 * smoothing) + smoothing)
        hard = masked_binary_crossentropy(
            smooth[:, :labels], logits, positive_weights, label_weights, mean=means[0]
        )
        if targets.shape[-1] == labels:
            return hard
        soft = masked_binary_crossentropy(targets[:, labels:], logits, mean=means[1])
        return (1.0 - teacher_share) * hard + teacher_share * soft

    return loss


def compiles_whole_steps() -> bool:
    """Return whether XLA compiles training and scoring on Keras's backend.

    Without XLA, TensorFlow keeps one graph for all batch lengths and lets oneDNN compute in bfloat16, which
    is faster on a CPU; JAX would run operation by operation.
    """
    return str(keras.backend.backend()) != "tensorflow"


def logits_of(
    classifier: keras.Model, token_ids: list[Int32Array], *, pad_id: int, batch_size: int
) -> NDArray[np.float32]:
    """Return logits, float32 [comments, labels], of comments with int32 [tokens] each, batched by length."""
    return _outputs(classifier, token_ids, pad_id=pad_id, batch_size=batch_size)


def vectors_of(
    classifier: keras.Model, token_ids: list[Int32Array], *, pad_id: int, batch_size: int
) -> NDArray[np.float32]:
    """Return what the classification layer reads, float32 [comments, width], as `logits_of`."""
    before = keras.Model(classifier.input, classifier.get_layer(POOLED).output)
    return _outputs(before, token_ids, pad_id=pad_id, batch_size=batch_size)


def _outputs(
    model: keras.Model, token_ids: list[Int32Array], *, pad_id: int, batch_size: int
) -> NDArray[np.float32]:
    model.jit_compile = compiles_whole_steps()
    order = np.argsort([len(row) for row in token_ids], kind="stable")
    outputs = np.zeros((len(token_ids), model.output_shape[-1]), dtype=np.float32)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        inputs = model_inputs([token_ids[row] for row in rows], pad_id=pad_id)
        outputs[rows] = ops.convert_to_numpy(model.predict_on_batch(inputs))
    return outputs
