"""From comments to a trained classifier: plain functions."""

from dataclasses import asdict

import keras
import pandas as pd

from toxic_core.errors import InvalidDataError
from toxic_training.batches import LengthBatches
from toxic_training.classifier import Encoder, build_classifier
from toxic_training.comments import LABEL_COLUMNS, TEXT, label_matrix
from toxic_training.encoders.files import EncoderFiles
from toxic_training.encoders.source import find_encoder
from toxic_training.fitting import fit
from toxic_training.parameters import ModellingParameters


def prepare_encoder(training: pd.DataFrame, parameters: ModellingParameters) -> EncoderFiles:
    """Return the encoder to fine-tune, its vocabulary fitted to the training comments."""
    return find_encoder(
        parameters.encoder,
        texts=training[TEXT].tolist(),
        vocabulary_size=parameters.vocabulary_size,
        seed=parameters.seed,
    )


def train_classifier(
    encoder: Encoder, training: pd.DataFrame, parameters: ModellingParameters
) -> tuple[keras.Model, dict[str, float]]:
    """Fine-tune the encoder with a classification layer on top.

    Returns:
        The classifier, and what training took.

    Raises:
        InvalidDataError: the comments are all toxic or all not.
    """
    _require_both_classes(training)
    keras.utils.set_random_seed(parameters.seed)
    classifier = build_classifier(
        encoder.load_backbone(), dropout=parameters.dropout, train_embeddings=parameters.train_embeddings
    )
    tokeniser = encoder.tokeniser(max_tokens=parameters.max_tokens)
    batches = LengthBatches(
        tokeniser.token_ids(training[TEXT].tolist()),
        label_matrix(training),
        batch_size=parameters.batch_size,
        pad_id=encoder.pad_id,
        seed=parameters.seed,
    )
    result = fit(classifier, batches, parameters)
    # The same network without its optimiser, whose state is twice what was trained.
    return keras.Model(classifier.input, classifier.output, name=classifier.name), asdict(result)


def _require_both_classes(training: pd.DataFrame) -> None:
    values = set(training[LABEL_COLUMNS[0]].unique())
    if values != {0.0, 1.0}:
        raise InvalidDataError(
            f"The {len(training)} training comments are all of one class of {LABEL_COLUMNS[0]}; "
            "training needs toxic and non-toxic ones."
        )
