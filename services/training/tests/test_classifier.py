import errno
import os
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS
from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_core.labels import LABELS, LabelName
from toxic_core.tokens import pad
from toxic_model.packed import HEAD_BIAS, WORD_EMBEDDINGS
from toxic_testing.training.tables import ALL_OF_IT
from toxic_training.data.comments import label_matrix
from toxic_training.kedro_project.datasets import EncoderDataset, KerasModelDataset
from toxic_training.kedro_project.pipelines.modelling.nodes import (
    ask_teacher,
    class_weights,
    join_targets,
    positive_weights,
    prepare_encoder,
    train_classifier,
)
from toxic_training.modelling.augmenting import augmented
from toxic_training.modelling.classifier import (
    LOGITS,
    Encoder,
    add_toxic_logit,
    classifier_weights,
    masked_binary_crossentropy,
    training_loss,
    write_keras,
)
from toxic_training.modelling.encoders.files import write_encoder
from toxic_training.modelling.fitting import Clock, averaged
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.release.baseline import fine_tuned_encoder

pytestmark = pytest.mark.slow

Trained = tuple[Encoder, keras.Model, dict[str, float]]


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> Trained:
    """Train once for this module; return the encoder, the classifier and the result."""
    return _train(tmp_path_factory.mktemp("models"), corpus, modelling_parameters)


def _train(
    folder: Path,
    corpus: pd.DataFrame,
    parameters: ModellingParameters,
    *,
    validation: pd.DataFrame | None = None,
    clock: Clock = time.monotonic,
) -> Trained:
    dataset = EncoderDataset(str(folder / "encoder"))
    dataset.save(prepare_encoder(corpus, folder, parameters))
    classifier, result = train_classifier(
        encoder=dataset.load(),
        training=corpus,
        teacher_scores=ask_teacher(corpus, parameters),
        validation=corpus if validation is None else validation,
        checkpoint=folder / "checkpoint",
        data=ALL_OF_IT,
        parameters=parameters,
        clock=clock,
    )
    assert not (folder / "checkpoint").exists(), "a training that ended leaves nothing to take up"
    return dataset.load(), classifier, result


def _score(classifier: keras.Model, row: list[int], length: int) -> NDArray[np.float32]:
    batch = pad([np.array(row, np.int32)], pad_id=1, length=length)
    inputs = {INPUT_IDS: batch.input_ids, ATTENTION_MASK: batch.attention_mask}
    return np.asarray(ops.convert_to_numpy(classifier(inputs, training=False)), dtype=np.float32)


def test_padding_does_not_change_a_score(trained: Trained) -> None:
    """A comment has the same score alone and in a batch of longer ones."""
    _, classifier, _ = trained
    short, long = (_score(classifier, [0, 10, 11, 2], length) for length in (4, 64))
    np.testing.assert_allclose(short, long, atol=1e-5)


def test_training_learns_separable_comments(
    trained: Trained, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """Two kinds of comments that share no words are separated after two epochs."""
    encoder, classifier, _ = trained
    rows = encoder.tokeniser(max_tokens=modelling_parameters.max_tokens).token_ids(corpus["text"].tolist())
    scores = np.array([_score(classifier, row.tolist(), len(row))[0, 0] for row in rows])
    assert roc_auc_score(corpus["toxic"].to_numpy(), scores) > 0.95


def test_the_same_seed_trains_the_same_classifier(
    trained: Trained, tmp_path: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """A second run with the seed ends with the same weights."""
    _, again, _ = _train(tmp_path, corpus, modelling_parameters)
    for first, second in zip(trained[1].get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_training_stops_at_its_time_limit(
    tmp_path: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """Training ends after the current step, with a usable classifier."""
    hurried = modelling_parameters.model_copy(update={"max_train_minutes": 1e-9})
    _, classifier, result = _train(tmp_path, corpus, hurried)
    assert result["stopped_by_time"]
    assert result["steps"] == 1
    assert np.isfinite(_score(classifier, [0, 10, 2], 4)).all()


def test_the_last_weights_are_evaluated_if_time_runs_out_after_a_step(
    tmp_path: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """The limit may pass while a checkpoint is written, when the step was in time."""
    changes = {"selections": 1, "checkpoint_minutes": 0.0, "max_train_minutes": 1.0}
    checkpoint = tmp_path / "checkpoint"
    _, classifier, result = _train(
        tmp_path,
        corpus,
        modelling_parameters.model_copy(update=changes),
        clock=lambda: 60.0 if checkpoint.exists() else 0.0,
    )
    assert result["stopped_by_time"]
    assert (result["steps"], result["selections"]) == (1, 1)
    assert np.isfinite(_score(classifier, [0, 10, 2], 4)).all()


@pytest.mark.parametrize("shares", [{}, {"severe_toxic": 1.0, "obscene": 0.5}])
def test_training_continues_with_the_classification_layer_of_the_last_one(
    trained: Trained,
    tmp_path: Path,
    corpus: pd.DataFrame,
    modelling_parameters: ModellingParameters,
    shares: dict[LabelName, float],
) -> None:
    """A training that starts from a fine-tuned encoder's folder starts with its classification layer too.

    What that contains of the logit of `toxic` is taken off first, and added again at the end.
    """
    encoder, classifier, _ = trained
    if shares:
        classifier = keras.models.clone_model(classifier)
        classifier.set_weights(trained[1].get_weights())
        layer = classifier.get_layer(LOGITS)
        kernel, bias = layer.get_weights()
        layer.set_weights(add_toxic_logit(kernel, bias, shares))
    write_encoder(fine_tuned_encoder(classifier, encoder), tmp_path / "fine_tuned")
    update = {"max_train_minutes": 1e-9, "encoder": str(tmp_path / "fine_tuned"), "toxic_shares": shares}
    _, continued, _ = _train(tmp_path, corpus, modelling_parameters.model_copy(update=update))
    # One step of warm-up moves a weight by at most its learning rate.
    pairs = zip(continued.get_weights(), classifier.get_weights(), strict=True)
    assert all(np.abs(after - before).max() < 2e-3 for after, before in pairs)


def test_a_training_can_be_merged_with_others(
    trained: Trained, tmp_path: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """What is kept is the mean of all weights but the table of pieces, by their shares."""
    encoder, classifier, _ = trained
    other = {name: weight + 1 for name, weight in classifier_weights(classifier).items()}
    files = fine_tuned_encoder(classifier, encoder)
    write_encoder(replace(files, weights=other), tmp_path / "other")
    update = {"merged_with": {str(tmp_path / "other"): 0.25}}
    _, merged, _ = _train(tmp_path, corpus, modelling_parameters.model_copy(update=update))
    for name, weight in classifier_weights(merged).items():
        same = name == WORD_EMBEDDINGS or name.startswith("pooler")
        np.testing.assert_allclose(weight, files.weights[name] + (0 if same else 0.25), atol=1e-5)


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ({HEAD_BIAS: np.zeros(2, np.float32)}, r"bias is \(2,\), not \(6,\)"),
        (
            {"encoder.layer.9.output.dense.bias": np.zeros(3, np.float32)},
            r"layer\.9.*bias is \(3,\), not \(0,\)",
        ),
    ],
)
def test_only_trainings_of_the_same_encoder_are_merged(
    trained: Trained,
    tmp_path: Path,
    corpus: pd.DataFrame,
    modelling_parameters: ModellingParameters,
    other: dict[str, NDArray[np.float32]],
    fault: str,
) -> None:
    """The error names the folder and what differs, before the first step."""
    encoder, classifier, _ = trained
    files = fine_tuned_encoder(classifier, encoder)
    write_encoder(replace(files, weights=files.weights | other), tmp_path / "other")
    parameters = modelling_parameters.model_copy(update={"merged_with": {str(tmp_path / "other"): 0.25}})
    with pytest.raises(ConfigurationError, match=f"other can't be merged: the shape of its .*{fault}"):
        _train(tmp_path, corpus, parameters)


def test_a_training_with_other_validation_comments_starts_anew(
    tmp_path: Path,
    corpus: pd.DataFrame,
    modelling_parameters: ModellingParameters,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Scores on other comments can't be compared with those in a checkpoint."""
    parameters = modelling_parameters.model_copy(update={"checkpoint_minutes": 0.0, "epochs": 1})
    checkpoint = tmp_path / "checkpoint"

    def killed() -> float:
        if checkpoint.exists():
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path, corpus, parameters, clock=killed)
    with caplog.at_level("INFO"):
        _train(tmp_path, corpus, parameters, validation=corpus.iloc[:-1])
    assert "belongs to another training" in caplog.text


def test_less_dependence_on_length_changes_only_the_layer_for_toxic(
    tmp_path: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """And what other labels contain of it."""
    lengths = [f"{text} " * (row % 3 + 1) for row, text in enumerate(corpus["text"])]
    corpus = corpus.assign(text=lengths)
    shares: dict[LabelName, float] = {"obscene": 0.5}
    plain, changed = (
        _train(tmp_path / str(share), corpus, modelling_parameters.model_copy(update=update))[1]
        for share in (0.0, 1.0)
        for update in [{"length_share": share, "toxic_shares": shares}]
    )
    for before, after in zip(plain.get_weights()[:-2], changed.get_weights()[:-2], strict=True):
        np.testing.assert_allclose(before, after, atol=1e-6)
    difference = changed.get_layer(LOGITS).get_weights()[0] - plain.get_layer(LOGITS).get_weights()[0]
    assert np.abs(difference[:, 0]).max() > 1e-3
    expected = difference[:, :1] * [1.0, 0.0, 0.5, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(difference, expected, atol=1e-5)


def test_others_leave_a_share_to_the_training(modelling_parameters: ModellingParameters) -> None:
    """A mean without it would be a training for nothing."""
    with pytest.raises(ValidationError, match="leave nothing"):
        ModellingParameters.model_validate(
            {**modelling_parameters.model_dump(), "merged_with": {"one": 0.5, "two": 0.5}}
        )


def test_labels_contain_their_share_of_the_logit_of_toxic() -> None:
    """The others and `toxic` itself stay."""
    dice = np.random.default_rng(1)
    pooled, kernel = dice.random((3, 8), np.float32), dice.random((8, len(LABELS)), np.float32)
    bias = dice.random(len(LABELS), np.float32)
    shared, moved = add_toxic_logit(kernel, bias, {"obscene": 0.5, "threat": 1.0})
    before, after = pooled @ kernel + bias, pooled @ shared + moved
    toxic = before[:, :1]
    np.testing.assert_allclose(after - before, toxic * [0.0, 0.0, 0.5, 1.0, 0.0, 0.0], atol=1e-6)


def test_toxic_gets_no_share_of_itself(modelling_parameters: ModellingParameters) -> None:
    """It would change no score, so that it can only be a mistake."""
    with pytest.raises(ValidationError, match="remove it"):
        ModellingParameters.model_validate(
            {**modelling_parameters.model_dump(), "toxic_shares": {"toxic": 0.5}}
        )


def test_comments_of_one_class_are_refused(
    tmp_path: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """Training needs both classes."""
    with pytest.raises(InvalidDataError, match="all of one class of toxic"):
        _train(tmp_path, corpus[corpus["toxic"] == 1], modelling_parameters)


def test_a_training_without_validation_comments_is_refused(
    tmp_path: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """Before the first step, because no calibration could be fitted after the last."""
    with pytest.raises(InvalidDataError, match="lower train_fraction"):
        _train(tmp_path, corpus, modelling_parameters, validation=corpus.head(0))


def test_hard_negatives_are_mined_between_passes(
    tmp_path: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """The second pass is another one than without mining; a pass has as many steps as before."""
    mined = modelling_parameters.model_copy(update={"mined_share": 0.4})
    (_, with_it, result), (_, without, plain) = (
        _train(tmp_path / name, corpus, parameters)
        for name, parameters in (("mined", mined), ("plain", modelling_parameters))
    )
    assert result["steps"] == plain["steps"]
    pairs = zip(with_it.get_weights(), without.get_weights(), strict=True)
    assert any(not np.allclose(first, second, atol=1e-6) for first, second in pairs)


def test_the_classes_of_a_language_are_balanced(modelling_parameters: ModellingParameters) -> None:
    """Toxic rows of a language with few of them weigh more, up to the limit; harmless rows don't change."""
    training = pd.DataFrame({"toxic": [1, 0, 0, 0, 1, 1, 1, 0], "language": ["de"] * 4 + ["en"] * 4})
    training["text"] = "short"
    parameters = modelling_parameters.model_copy(update={"language_balance": 1.0, "class_weight_limit": 2.0})
    np.testing.assert_allclose(class_weights(training, parameters), [2, 1, 1, 1, 0.5, 0.5, 0.5, 1])
    np.testing.assert_array_equal(class_weights(training, modelling_parameters), np.ones(8))


def test_unknown_and_soft_labels_are_balanced_by_what_is_known(
    modelling_parameters: ModellingParameters,
) -> None:
    """A row without the label counts in no share and weighs 1; one of 0.75 is three quarters toxic."""
    training = pd.DataFrame(
        {
            "toxic": [1, 0, 0, 0, *[np.nan] * 6, 1, 1, 1, 0, 0.75],
            "language": ["de"] * 10 + ["en"] * 5,
            "text": "short",
        }
    )
    parameters = modelling_parameters.model_copy(update={"language_balance": 1.0, "class_weight_limit": 9.0})
    weights = class_weights(training, parameters)
    toxic = (5 - 3.75) / 3.75 * (4.75 / 4.25)
    np.testing.assert_allclose(weights[10:], [toxic, toxic, toxic, 1, 1 + 0.75 * (toxic - 1)], rtol=1e-6)
    np.testing.assert_allclose(weights[:10], [3 * 4.75 / 4.25, *[1] * 9], rtol=1e-6)


def test_the_classes_of_a_length_are_balanced(modelling_parameters: ModellingParameters) -> None:
    """Where long comments are toxic more rarely than others of their language, the toxic ones weigh more."""
    texts, toxic = ["short text"] * 2_000 + ["long text " * 30] * 2_000, [1, 0] * 1_000 + [1, 0, 0, 0] * 500
    training = pd.DataFrame({"text": texts, "toxic": toxic, "language": "en"})
    parameters = modelling_parameters.model_copy(update={"length_balance": 1.0, "class_weight_limit": 5.0})
    weights = class_weights(training, parameters)
    balanced = pd.Series(weights).groupby([training["text"].str.len(), training["toxic"]]).sum()
    odds = balanced.xs(1, level="toxic") / balanced.xs(0, level="toxic")
    np.testing.assert_allclose(odds, 1_500 / 2_500, rtol=0.05)
    assert set(weights[training["toxic"] == 0]) == {1.0}


def test_loss_ignores_missing_labels_and_matches_keras_on_the_rest() -> None:
    """A missing label contributes 0; the others contribute Keras's own loss."""
    logits = np.array([[2.0, -1.0, 0.5, 7.0, -7.0, 0.0]], np.float32)
    labels = np.array([[1.0, 0.0, 1.0, -1.0, -1.0, -1.0]], np.float32)
    loss = ops.convert_to_numpy(masked_binary_crossentropy(labels, logits))
    expected = keras.losses.BinaryCrossentropy(from_logits=True)(labels[:, :3], logits[:, :3])
    assert float(loss.mean()) == pytest.approx(float(expected), rel=1e-5)


def test_a_positive_has_its_weight() -> None:
    """A label's weight multiplies the loss of its positives, not of its negatives."""
    logits = np.array([[0.3, 0.3]], np.float32)
    labels = np.array([[1.0, 0.0]], np.float32)
    plain, weighted = (
        ops.convert_to_numpy(masked_binary_crossentropy(labels, logits, weights))
        for weights in ((1.0, 1.0), (3.0, 5.0))
    )
    positive = np.log1p(np.exp(-0.3))
    assert float(weighted[0] - plain[0]) == pytest.approx(2 * positive / 2, rel=1e-5)


def test_a_label_has_its_weight() -> None:
    """The weight is relative to the other labels' and doesn't change the loss's scale."""
    logits = np.array([[0.3, 0.3], [0.3, -0.9]], np.float32)
    labels = np.array([[1.0, -1.0], [1.0, 1.0]], np.float32)
    weighted = ops.convert_to_numpy(
        masked_binary_crossentropy(labels, logits, label_weights=(1.0, 0.5))
    ).tolist()
    known, other = np.log1p(np.exp(-0.3)), np.log1p(np.exp(0.9))
    assert weighted == pytest.approx([known / 1.25, (known + other / 2) / 1.25], rel=1e-5)


def test_smoothed_labels_are_learnt_a_little_less() -> None:
    """A label of 1 counts as 0.9 and one of 0 as 0.1; a missing one stays missing."""
    logits = np.array([[0.7, -0.4, 5.0]], np.float32)
    labels, smooth = (np.array([row], np.float32) for row in ([1.0, 0.0, -1.0], [0.9, 0.1, -1.0]))
    loss = training_loss([1.0] * 3, smoothing=0.1, teacher_share=0.0)
    expected = ops.convert_to_numpy(masked_binary_crossentropy(smooth, logits))
    np.testing.assert_allclose(ops.convert_to_numpy(loss(labels, logits)), expected, rtol=1e-5)


def test_averaged_weights_are_put_in_for_a_while(trained: Trained) -> None:
    """They are evaluated and kept; training goes on with the latest."""
    classifier = keras.models.clone_model(trained[1])
    classifier.compile(keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5), loss="mse")
    inputs = {INPUT_IDS: np.array([[5, 6]], np.int32), ATTENTION_MASK: np.ones((1, 2), np.int32)}
    head = classifier.get_layer("logits").kernel
    seen = []
    for _ in range(2):
        classifier.train_on_batch(inputs, np.ones((1, 6), np.float32))
        seen.append(ops.convert_to_numpy(head).copy())
    with averaged(classifier):
        inside = ops.convert_to_numpy(head).copy()
    np.testing.assert_allclose(inside, (seen[0] + seen[1]) / 2, atol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(head), seen[1])


def test_some_texts_are_changed_as_people_write_them() -> None:
    """The same ones for the same seed; none becomes empty, and the others stay."""
    texts = [f"This is sentence number {number}!" for number in range(200)] + ["!"]
    changed = augmented(texts, share=0.5, seed=1)
    assert changed == augmented(texts, share=0.5, seed=1)
    assert 60 < sum(before != after for before, after in zip(texts, changed, strict=True)) < 140
    assert all(changed)
    assert augmented(texts, share=0, seed=1) == texts


def test_rarer_labels_weigh_more_up_to_a_limit(modelling_parameters: ModellingParameters) -> None:
    """The weight is the root of the negatives per positive, between 1 and the limit."""
    labels = np.full((110, 6), np.nan, np.float32)
    labels[:, 0] = np.arange(110) < 10
    labels[:, 1] = np.arange(110) < 100
    labels[:, 2] = np.arange(110) < 1
    labels[:, 3] = 0.2
    parameters = modelling_parameters.model_copy(
        update={"class_weight_power": 0.5, "class_weight_limit": 4.0}
    )
    weights = positive_weights(labels, parameters)
    assert weights == [pytest.approx(10**0.5), 1.0, 4.0, pytest.approx(2.0), 1.0, 1.0]


def test_no_teacher_survives_its_file(
    corpus: pd.DataFrame, tmp_path: Path, modelling_parameters: ModellingParameters
) -> None:
    """A table without columns loses its rows in Parquet; then only the labels are learnt."""
    labels = label_matrix(corpus)
    asked = ask_teacher(corpus, modelling_parameters)
    asked.to_parquet(tmp_path / "teacher_scores.parquet")
    read = pd.read_parquet(tmp_path / "teacher_scores.parquet")
    np.testing.assert_array_equal(join_targets(labels, read), labels)
    np.testing.assert_array_equal(join_targets(labels, asked), labels)


def test_a_teacher_supplies_missing_labels() -> None:
    """The loss is a mix of the labels' and the teacher's, which has every label."""
    logits = np.array([[1.0, -2.0, 0.5, 0.0, 3.0, -1.0]], np.float32)
    labels = np.array([[1.0, -1.0, -1.0, -1.0, -1.0, -1.0]], np.float32)
    teacher = np.array([[0.9, 0.2, 0.4, 0.1, 0.7, 0.3]], np.float32)
    loss = training_loss([1.0] * 6, teacher_share=0.25)
    mixed = float(ops.convert_to_numpy(loss(np.concatenate([labels, teacher], axis=1), logits))[0])
    hard, soft = (
        float(ops.convert_to_numpy(masked_binary_crossentropy(each, logits))[0]) for each in (labels, teacher)
    )
    assert mixed == pytest.approx(0.75 * hard + 0.25 * soft, rel=1e-5)
    alone = float(ops.convert_to_numpy(loss(labels, logits))[0])
    assert alone == pytest.approx(hard, rel=1e-5), "without a teacher, only the labels count"


class _TooLarge(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A model for which the disk has no room."""

    def save(self, filepath: str | Path, **_: object) -> None:
        """Write a part of the file."""
        Path(filepath).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_classifier_that_can_t_be_saved_leaves_no_file(tmp_path: Path) -> None:
    """Neither under its name nor under a temporary one."""
    with pytest.raises(OSError, match="No space"):
        write_keras(_TooLarge(), tmp_path / "classifier.keras")
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_survives_its_file(trained: Trained, tmp_path: Path) -> None:
    """A saved and loaded classifier has the same scores."""
    dataset = KerasModelDataset(str(tmp_path / "classifier.keras"))
    dataset.save(trained[1])
    np.testing.assert_allclose(
        _score(trained[1], [0, 10, 2], 8), _score(dataset.load(), [0, 10, 2], 8), atol=1e-6
    )
