"""From comments to a trained classifier: plain functions."""

import time
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toxic_core.contract import file_digest
from toxic_core.errors import InvalidDataError
from toxic_core.tokens import Int32Array
from toxic_training.baseline import read_baseline, round_weights
from toxic_training.batches import LengthBatches
from toxic_training.checkpoints import CheckpointFile, fingerprint
from toxic_training.classifier import Encoder, build_classifier, training_loss
from toxic_training.comments import LABEL_COLUMNS, TEXT, label_matrix
from toxic_training.encoders.files import WEIGHTS_FILE, EncoderFiles
from toxic_training.encoders.layers import keep_layers
from toxic_training.encoders.source import find_encoder
from toxic_training.fitting import Trainer, fit
from toxic_training.parameters import ModellingParameters
from toxic_training.schedule import Clock
from toxic_training.selection import selection_set

BASELINE = "baseline"
"""The name of the shipped model's own encoder."""


def prepare_encoder(training: pd.DataFrame, baseline: Path, parameters: ModellingParameters) -> EncoderFiles:
    """Return the encoder to fine-tune: its vocabulary fitted to the training comments, its layers counted.

    Args:
        training: comments to learn from.
        baseline: folder of the shipped model.
        parameters: name the encoder.

    Raises:
        ConfigurationError: there is no such encoder, or it can't be read.
    """
    if parameters.encoder == BASELINE:
        files = read_baseline(baseline).encoder
    else:
        files = find_encoder(
            parameters.encoder,
            texts=training[TEXT].tolist(),
            vocabulary_size=parameters.vocabulary_size,
            seed=parameters.seed,
        )
    return files if parameters.layers is None else keep_layers(files, parameters.layers)


def train_classifier(
    *,
    encoder: Encoder,
    training: pd.DataFrame,
    validation: pd.DataFrame,
    checkpoint: Path,
    parameters: ModellingParameters,
    clock: Clock = time.monotonic,
) -> tuple[keras.Model, dict[str, float]]:
    """Fine-tune the encoder with a classification layer on top.

    Args:
        encoder: what is fine-tuned.
        training: comments to learn from.
        validation: comments that choose the weights to keep.
        checkpoint: file where a killed run can be taken up.
        parameters: of the network, the optimiser and the schedule.
        clock: seconds, never falling.

    Returns:
        The classifier, and what training took.

    Raises:
        InvalidDataError: the comments are all toxic or all not.
    """
    _require_both_classes(training)
    tokeniser = encoder.tokeniser(max_tokens=parameters.max_tokens)
    token_ids, labels = tokeniser.token_ids(training[TEXT].tolist()), label_matrix(training)
    keras.utils.set_random_seed(parameters.seed)
    classifier = build_classifier(
        encoder.load_backbone(), dropout=parameters.dropout, train_embeddings=parameters.train_embeddings
    )
    trainer = Trainer(
        classifier,
        LengthBatches(
            token_ids,
            labels,
            batch_size=parameters.batch_size,
            pad_id=encoder.pad_id,
            seed=parameters.seed,
        ),
        selection_set(
            validation,
            tokeniser,
            comments=parameters.selection_comments,
            batch_size=parameters.batch_size,
            seed=parameters.seed,
        ),
        parameters=parameters,
        checkpoint=CheckpointFile(
            checkpoint, fingerprint=_fingerprint(encoder, token_ids, labels, parameters)
        ),
        clock=clock,
    )
    loss = training_loss(positive_weights(labels, parameters))
    result = fit(trainer, classifier, loss, parameters=parameters)
    if parameters.quantise:
        round_weights(classifier)
    # The same network without its optimiser, whose state is twice what was trained.
    return keras.Model(classifier.input, classifier.output, name=classifier.name), asdict(result)


def positive_weights(labels: NDArray[np.float32], parameters: ModellingParameters) -> list[float]:
    """Return what a positive of each label costs against a negative, so that rare labels are learnt too.

    Args:
        labels: float [comments, labels], NaN where missing.
        parameters: give the power and the limit; a weight is never below 1.
    """
    positives = np.maximum((labels == 1).sum(axis=0), 1)
    ratios = (labels == 0).sum(axis=0) / positives
    weights = np.clip(ratios**parameters.class_weight_power, 1.0, parameters.class_weight_limit)
    return [float(weight) for weight in weights]


def _fingerprint(
    encoder: Encoder,
    token_ids: list[Int32Array],
    labels: NDArray[np.float32],
    parameters: ModellingParameters,
) -> str:
    return fingerprint(
        np.concatenate(token_ids).tobytes(),
        labels.tobytes(),
        file_digest(encoder.folder / WEIGHTS_FILE).encode(),
        parameters.model_dump_json(exclude={"checkpoint_minutes"}).encode(),
    )


def _require_both_classes(training: pd.DataFrame) -> None:
    values = set(training[LABEL_COLUMNS[0]].unique())
    if values != {0.0, 1.0}:
        raise InvalidDataError(
            f"The {len(training)} training comments are all of one class of {LABEL_COLUMNS[0]}; "
            "training needs toxic and non-toxic ones."
        )
