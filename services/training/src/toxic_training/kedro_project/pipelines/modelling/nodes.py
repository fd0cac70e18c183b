"""From comments to a trained classifier: plain functions."""

import time
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import ops
from numpy.typing import NDArray

from toxic_core.contract import file_digest, open_bundle
from toxic_core.errors import InvalidDataError
from toxic_core.tokens import Int32Array
from toxic_model.scoring import ScoringOptions
from toxic_training.data.comments import LABEL_COLUMNS, LANGUAGE, SOURCE, TEXT, label_matrix
from toxic_training.data.parameters import DataParameters
from toxic_training.modelling.augmenting import augmented
from toxic_training.modelling.batches import LengthBatches
from toxic_training.modelling.checkpoints import CheckpointFile, fingerprint
from toxic_training.modelling.classifier import (
    LOGITS,
    Encoder,
    add_toxic_logit,
    build_classifier,
    classifier_weights,
    negative,
    set_classifier_weights,
    training_loss,
    vectors_of,
)
from toxic_training.modelling.encoders.files import WEIGHTS_FILE, EncoderFiles
from toxic_training.modelling.encoders.layers import keep_layers
from toxic_training.modelling.encoders.source import find_encoder
from toxic_training.modelling.fitting import Clock, Trainer
from toxic_training.modelling.length import COMMENTS, take_length_off
from toxic_training.modelling.merging import merge, read_others
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.modelling.processes import Fitted, has_cluster, train_together
from toxic_training.modelling.selection import selection_set
from toxic_training.modelling.workers import Reduction, Workers
from toxic_training.paths import from_start
from toxic_training.release.baseline import read_baseline, round_weights
from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.texts import open_scorer

BASELINE = "baseline"
"""The name of the shipped model's own encoder."""

_SHORTEST, _LONGEST = 16, 1024
"""Letters; comments of the same length within a factor of 2 are alike, and so are all beyond these."""
_PRIOR_ROWS = 50
"""As many rows with a language's share of toxic ones are added to each of its lengths."""


def prepare_encoder(training: pd.DataFrame, baseline: Path, parameters: ModellingParameters) -> EncoderFiles:
    """Return the encoder to fine-tune, with its vocabulary fitted to the training comments.

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
    """Return the teacher's scores of the training comments, one column per label; none without a teacher."""
    if parameters.teacher is None:
        return pd.DataFrame(index=training.index)
    teacher = ExportedModel.of(open_bundle(from_start(parameters.teacher)))
    # Cut instead of windows: the student learns from the part of a comment that it reads.
    options = ScoringOptions(batch_tokens=parameters.batch_size * parameters.max_tokens)
    scores = open_scorer(teacher, options)(training[TEXT].tolist()).scores
    known = pd.DataFrame(scores, columns=list(teacher.facts.labels), index=training.index)
    # A label that the teacher doesn't have is masked in its share of the loss.
    return known.reindex(columns=LABEL_COLUMNS)


def train_classifier(
    *,
    encoder: Encoder,
    training: pd.DataFrame,
    teacher_scores: pd.DataFrame,
    validation: pd.DataFrame,
    checkpoint: Path,
    data: DataParameters,
    parameters: ModellingParameters,
    clock: Clock = time.monotonic,
) -> Fitted:
    """Fine-tune the encoder with a classification layer on top; return it and figures of the run.

    An encoder from another training brings its classification layer along. The weights that score best on
    `validation` are kept. A stopped run resumes from the file `checkpoint`. Several workers train in
    processes of their own, to the same result as one.

    Raises:
        InvalidDataError: the comments are all toxic or all not, or none is for validation.
        WorkerFailedError: one of several workers ended early.
    """
    if not {0.0, 1.0} <= set(training[LABEL_COLUMNS[0]].unique()):
        raise InvalidDataError(
            f"The {len(training)} training comments are all of one class of {LABEL_COLUMNS[0]}; "
            "training needs toxic and non-toxic ones."
        )
    if validation.empty:
        raise InvalidDataError(
            "No comment is left for validation and calibration; lower train_fraction of a source in the "
            "parameters."
        )
    train = partial(
        train_as_worker,
        encoder=encoder,
        training=training,
        teacher_scores=teacher_scores,
        validation=validation,
        checkpoint=checkpoint,
        data=data,
        parameters=parameters,
    )
    if parameters.workers == 1 and not has_cluster():
        return train(Workers(clock=clock))
    return train_together(train, processes=parameters.workers)


def train_as_worker(
    workers: Workers,
    *,
    encoder: Encoder,
    training: pd.DataFrame,
    teacher_scores: pd.DataFrame,
    validation: pd.DataFrame,
    checkpoint: Path,
    data: DataParameters,
    parameters: ModellingParameters,
) -> Fitted:
    """Fine-tune the encoder together with the other workers, each of which gets the same arguments.

    Raises:
        ConfigurationError: the chief's arguments differ, or another training can't be merged.
    """
    tokeniser = encoder.tokeniser(max_tokens=parameters.max_tokens)
    texts = augmented(training[TEXT].tolist(), share=parameters.augmented_share, seed=parameters.seed)
    token_ids = tokeniser.token_ids(texts)
    row_weights = source_weights(training, data) * class_weights(training, parameters)
    labels = label_matrix(training)
    targets = join_targets(labels, teacher_scores)
    batch_size, seed = parameters.batch_size, parameters.seed
    selection = selection_set(
        validation, tokeniser, comments=parameters.selection_comments, batch_size=batch_size, seed=seed
    )
    run = fingerprint(
        np.concatenate(token_ids).tobytes(),
        targets.tobytes(),
        row_weights.tobytes(),
        b"".join(ids.tobytes() for ids in selection.token_ids),
        selection.truth.tobytes(),
        selection.languages.tobytes(),
        file_digest(encoder.folder / WEIGHTS_FILE).encode(),
        parameters.model_dump_json(exclude={"checkpoint_minutes", "workers"}).encode(),
    )
    workers.require_same(int(run[:12], 16), what="data, encoder or parameters")
    keras.utils.set_random_seed(seed)
    classifier = starting_classifier(encoder, parameters)
    # Read now: what can't be read should end the training before its first step.
    others = read_others(parameters.merged_with, like=classifier, toxic_shares=parameters.toxic_shares)
    batches = LengthBatches(
        token_ids, targets, batch_size=batch_size, pad_id=encoder.pad_id, seed=seed, weights=row_weights
    )
    trainer = Trainer(
        classifier,
        batches,
        selection,
        parameters=parameters,
        checkpoint=CheckpointFile(checkpoint, run),
        workers=workers,
    )
    weights = positive_weights(labels, parameters)
    loss = training_loss(
        weights,
        label_weights=[parameters.label_weights.get(label, 1.0) for label in LABEL_COLUMNS],
        smoothing=parameters.label_smoothing,
        teacher_share=parameters.teacher_share,
        means=(
            lambda rows: workers.mean_within_step(ops.mean(rows), Reduction.LABELS),
            lambda rows: workers.mean_within_step(ops.mean(rows), Reduction.TEACHER_LABELS),
        ),
    )
    figures = trainer.fit(loss)
    if others:
        set_classifier_weights(classifier, merge(classifier_weights(classifier), others))
    if parameters.length_share:
        depend_less_on_length(classifier, training, token_ids, pad_id=encoder.pad_id, parameters=parameters)
    return finished_classifier(classifier, parameters), figures


def starting_classifier(encoder: Encoder, parameters: ModellingParameters) -> keras.Model:
    """Return the classifier to train, with the encoder's own classification layer if that has our labels."""
    classifier = build_classifier(
        encoder.load_backbone(), dropout=parameters.dropout, train_embeddings=parameters.train_embeddings
    )
    head = encoder.head()
    if head is not None and head[1].shape == (len(LABEL_COLUMNS),):
        classifier.get_layer(LOGITS).set_weights(add_toxic_logit(*head, negative(parameters.toxic_shares)))
    return classifier


def depend_less_on_length(
    classifier: keras.Model,
    training: pd.DataFrame,
    token_ids: list[Int32Array],
    *,
    pad_id: int,
    parameters: ModellingParameters,
) -> None:
    """Take `length_share` off the classification layer, in place, by a sample of the training comments."""
    dice = np.random.default_rng(parameters.seed)
    rows = dice.permutation(len(training))[:COMMENTS]
    chosen = [token_ids[row] for row in rows]
    layer = classifier.get_layer(LOGITS)
    kernel, bias = layer.get_weights()
    layer.set_weights(
        take_length_off(
            kernel,
            bias,
            vectors=vectors_of(classifier, chosen, pad_id=pad_id, batch_size=parameters.batch_size),
            tokens=np.array([len(ids) for ids in chosen]),
            toxic=training[LABEL_COLUMNS[0]].to_numpy(np.float32)[rows],
            groups=training[LANGUAGE].to_numpy(object)[rows],
            share=parameters.length_share,
        )
    )


def finished_classifier(classifier: keras.Model, parameters: ModellingParameters) -> keras.Model:
    """Return a trained classifier as it is kept: with its shares of `toxic`, and without its optimiser."""
    layer = classifier.get_layer(LOGITS)
    kernel, bias = layer.get_weights()
    layer.set_weights(add_toxic_logit(kernel, bias, parameters.toxic_shares))
    if parameters.quantise:
        round_weights(classifier)
    # The optimiser's state is twice the size of the trained weights.
    return keras.Model(classifier.input, classifier.output, name=classifier.name)


def source_weights(training: pd.DataFrame, data: DataParameters) -> NDArray[np.float32]:
    """Return the weight of each row's table, float32 [rows]."""
    weights = {name: source.weight for name, source in data.sources.items()}
    found: NDArray[np.float32] = training[SOURCE].map(weights).fillna(1.0).to_numpy(np.float32)
    return found


def class_weights(training: pd.DataFrame, parameters: ModellingParameters) -> NDArray[np.float32]:
    """Return each row's weight, float32 [rows], by which toxic rows balance the classes of their groups.

    Groups are languages, and within a language comments of about the same length: elsewhere, toxic comments
    aren't as short as in the training data. A row whose label is a share counts in this share as toxic, and
    one whose label is unknown counts in no class and weighs 1.
    """
    toxic, language = training[LABEL_COLUMNS[0]].astype(np.float64), training[LANGUAGE]
    overall = pd.Series(toxic.mean(), training.index)
    of_language = toxic.groupby(language).transform("mean")
    letters = training[TEXT].str.len().clip(_SHORTEST, _LONGEST)
    alike = toxic.groupby([language, np.log2(letters).astype(int)])
    of_length = (alike.transform("sum") + _PRIOR_ROWS * of_language) / (
        alike.transform("count") + _PRIOR_ROWS
    )
    weights = (_odds(of_language) / _odds(overall)) ** -parameters.language_balance
    weights *= (_odds(of_length) / _odds(of_language)) ** -parameters.length_balance
    limit = parameters.class_weight_limit
    balanced = 1 + toxic * (weights.clip(1 / limit, limit) - 1)
    found: NDArray[np.float32] = balanced.fillna(1.0).to_numpy(np.float32)
    return found


def _odds(share: pd.Series) -> pd.Series:
    inside = share.clip(1e-3, 1 - 1e-3)
    return inside / (1 - inside)


def positive_weights(labels: NDArray[np.float32], parameters: ModellingParameters) -> list[float]:
    """Return the weight, 1 or more, of each label's positives relative to its negatives.

    Rare labels are learnt by it. `labels` are float [comments, labels], NaN if missing; a soft one counts on
    both sides, by its share.
    """
    positives = np.maximum(np.nansum(labels, axis=0), 1)
    ratios = np.nansum(1 - labels, axis=0) / positives
    weights = np.clip(ratios**parameters.class_weight_power, 1.0, parameters.class_weight_limit)
    return [float(weight) for weight in weights]


def join_targets(labels: NDArray[np.float32], teacher_scores: pd.DataFrame) -> NDArray[np.float32]:
    """Return labels followed by the teacher's scores, float32 [comments, labels or twice as many].

    Without a teacher its table has no columns, and no rows either once it was saved: Parquet drops them.
    """
    if teacher_scores.columns.empty:
        return labels
    return np.concatenate([labels, teacher_scores.to_numpy(np.float32)], axis=1)
