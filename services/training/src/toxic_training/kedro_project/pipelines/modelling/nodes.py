"""From comments to a trained classifier: plain functions."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toxic_core.contract import file_digest, open_bundle
from toxic_core.errors import InvalidDataError
from toxic_core.tokens import Int32Array
from toxic_model.scoring import ScoringOptions
from toxic_training.data.comments import LABEL_COLUMNS, TEXT, label_matrix
from toxic_training.modelling.batches import LengthBatches
from toxic_training.modelling.checkpoints import CheckpointFile, fingerprint
from toxic_training.modelling.classifier import Encoder, build_classifier, training_loss
from toxic_training.modelling.encoders.files import WEIGHTS_FILE, EncoderFiles
from toxic_training.modelling.encoders.layers import keep_layers
from toxic_training.modelling.encoders.source import find_encoder
from toxic_training.modelling.fitting import Trainer, fit
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.modelling.schedule import Clock
from toxic_training.modelling.selection import selection_set
from toxic_training.release.baseline import read_baseline, round_weights
from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.texts import open_scorer

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


def ask_teacher(training: pd.DataFrame, parameters: ModellingParameters) -> pd.DataFrame:
    """Return the teacher's scores of the training comments, a column a label; no columns without a teacher.

    Raises:
        ContractError: the teacher isn't a complete bundle.
    """
    if parameters.teacher is None:
        return pd.DataFrame(index=training.index)
    teacher = ExportedModel.of(open_bundle(Path(parameters.teacher)))
    # Cut, not in windows: the student learns from the part of a comment that it is shown.
    options = ScoringOptions(batch_tokens=parameters.batch_size * parameters.max_tokens)
    scores = open_scorer(teacher, options)(training[TEXT].tolist()).scores
    return pd.DataFrame(scores, columns=LABEL_COLUMNS, index=training.index)


def train_classifier(
    *,
    encoder: Encoder,
    training: pd.DataFrame,
    teacher_scores: pd.DataFrame,
    validation: pd.DataFrame,
    checkpoint: Path,
    parameters: ModellingParameters,
    clock: Clock = time.monotonic,
) -> tuple[keras.Model, dict[str, float]]:
    """Fine-tune the encoder with a classification layer on top.

    Args:
        encoder: what is fine-tuned.
        training: comments to learn from.
        teacher_scores: what a teacher says of them, from `ask_teacher`.
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
    examples = _examples(encoder, training, teacher_scores, parameters)
    keras.utils.set_random_seed(parameters.seed)
    classifier = build_classifier(
        encoder.load_backbone(), dropout=parameters.dropout, train_embeddings=parameters.train_embeddings
    )
    trainer = Trainer(
        classifier,
        examples.batches(parameters, pad_id=encoder.pad_id),
        selection_set(
            validation,
            encoder.tokeniser(max_tokens=parameters.max_tokens),
            comments=parameters.selection_comments,
            batch_size=parameters.batch_size,
            seed=parameters.seed,
        ),
        parameters=parameters,
        checkpoint=CheckpointFile(checkpoint, fingerprint=_fingerprint(encoder, examples, parameters)),
        clock=clock,
    )
    weights = positive_weights(examples.labels, parameters)
    loss = training_loss(weights, teacher_share=parameters.teacher_share)
    result = fit(trainer, classifier, loss, parameters=parameters)
    if parameters.quantise:
        round_weights(classifier)
    # The same network without its optimiser, whose state is twice what was trained.
    return keras.Model(classifier.input, classifier.output, name=classifier.name), asdict(result)


@dataclass(frozen=True, slots=True)
class _Examples:
    """Comments as the network sees them.

    Attributes:
        token_ids: int32 [tokens] for each comment.
        labels: float32 [comments, labels], NaN where missing.
        targets: from `join_targets`.
    """

    token_ids: list[Int32Array]
    labels: NDArray[np.float32]
    targets: NDArray[np.float32]

    def batches(self, parameters: ModellingParameters, *, pad_id: int) -> LengthBatches:
        """Return them in batches of like length."""
        return LengthBatches(
            self.token_ids,
            self.targets,
            batch_size=parameters.batch_size,
            pad_id=pad_id,
            seed=parameters.seed,
        )


def _examples(
    encoder: Encoder, training: pd.DataFrame, teacher_scores: pd.DataFrame, parameters: ModellingParameters
) -> _Examples:
    labels = label_matrix(training)
    return _Examples(
        token_ids=encoder.tokeniser(max_tokens=parameters.max_tokens).token_ids(training[TEXT].tolist()),
        labels=labels,
        targets=join_targets(labels, teacher_scores),
    )


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


def join_targets(labels: NDArray[np.float32], teacher_scores: pd.DataFrame) -> NDArray[np.float32]:
    """Return labels with the teacher's scores beside them, float32 [comments, labels or twice as many].

    Without a teacher its table has no columns, and after a file not even rows: Parquet keeps none without
    columns.
    """
    if teacher_scores.columns.empty:
        return labels
    return np.concatenate([labels, teacher_scores.to_numpy(np.float32)], axis=1)


def _fingerprint(encoder: Encoder, examples: _Examples, parameters: ModellingParameters) -> str:
    return fingerprint(
        np.concatenate(examples.token_ids).tobytes(),
        examples.targets.tobytes(),
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
