"""Writes what the artifact contract asks for.

Invariant: a bundle folder appears whole or not at all; a killed run leaves the one before.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from toxic_core.contract import (
    ATTENTION_MASK,
    INPUT_IDS,
    SAVED_MODEL_DIR,
    SCORES,
    SIGNATURE,
    TOKENIZER_FILE,
    Bundle,
    Contract,
    WarmupExample,
    seal,
    write_warmup,
)
from toxic_core.evidence import write_evaluation
from toxic_core.tokens import Tokeniser
from toxic_training.classifier import Encoder

WARMUP_TEXTS = (
    "Thank you for the explanation, that was very helpful.",
    "I disagree with this edit; please add a source before you change it again.",
    "Gracias por la ayuda, el artículo ha quedado mucho mejor.",
    "Merci pour votre aide, l'article est bien plus clair maintenant.",
    "Grazie per la correzione, adesso la pagina è molto più chiara.",
    "Obrigado pela ajuda, o artigo ficou muito melhor.",
    "Спасибо за помощь, статья стала намного понятнее.",
    "Yardımın için teşekkürler, madde şimdi çok daha anlaşılır.",
    "This sentence is repeated until it is longer than a model can read. " * 60,
)
"""What a loader replays: every supported language, a short text, and one that has to be cut."""


@dataclass(frozen=True, slots=True)
class BundleParts:
    """What goes into a bundle.

    Attributes:
        classifier: gives logits, from `build_classifier`.
        encoder: whose tokenizer the classifier reads.
        contract: complete but for the files' digests.
        figures: what the classifier is worth, by name.
    """

    classifier: keras.Model
    encoder: Encoder
    contract: Contract
    figures: dict[str, float]


def write_bundle(parts: BundleParts, folder: Path) -> Bundle:
    """Write `parts` as the bundle `folder`, replacing the one that is there."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / TOKENIZER_FILE).parent.mkdir(parents=True)
    tokeniser = parts.encoder.tokeniser(max_tokens=parts.contract.max_tokens)
    parts.encoder.tokenizer.save(str(partial / TOKENIZER_FILE))
    export_saved_model(parts.classifier, partial / SAVED_MODEL_DIR)
    write_warmup(partial, replay(partial / SAVED_MODEL_DIR, tokeniser))
    write_evaluation(partial, parts.figures)
    sealed = seal(partial, parts.contract)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return Bundle(path=folder, contract=sealed.contract)


def export_saved_model(classifier: keras.Model, folder: Path) -> None:
    """Export `classifier` with sigmoids on its logits, under the contract's signature.

    Not by Keras's own exporter, which writes every weight twice.
    """
    specification = [tf.TensorSpec([None, None], tf.int32, name=name) for name in (INPUT_IDS, ATTENTION_MASK)]

    @tf.function(input_signature=specification)
    def serve(input_ids: tf.Tensor, attention_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = {INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask}
        return {SCORES: keras.ops.sigmoid(classifier(inputs, training=False))}

    module = tf.Module()
    module.weights = [variable.value for variable in classifier.variables]
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: serve})


def replay(saved_model: Path, tokeniser: Tokeniser) -> tuple[WarmupExample, ...]:
    """Return the scores that the exported model gives to the warm-up texts, one at a time."""
    signature = tf.saved_model.load(str(saved_model)).signatures[SIGNATURE]
    examples = []
    for text in WARMUP_TEXTS:
        batch = tokeniser.encode([text])
        inputs = {INPUT_IDS: batch.input_ids, ATTENTION_MASK: batch.attention_mask}
        output = signature(**{name: tf.constant(value) for name, value in inputs.items()})
        scores = np.asarray(output[SCORES])[0].astype(float)
        examples.append(WarmupExample(text=text, scores=tuple(scores.tolist())))
    return tuple(examples)
