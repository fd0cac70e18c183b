import numpy as np
import pytest

from toxic_core.errors import ConfigurationError
from toxic_training.kedro_project.datasets import EncoderDataset
from toxic_training.modelling.classifier import build_classifier, encoder_of
from toxic_training.modelling.encoders.bert import bert_weights, set_bert_weights
from toxic_training.modelling.encoders.files import EncoderFiles
from toxic_training.modelling.encoders.layers import keep_layers
from toxic_training.modelling.encoders.random_init import random_encoder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files() -> EncoderFiles:
    """A two-layer BERT."""
    return random_encoder([f"word number {index}" for index in range(50)], vocabulary_size=300, seed=5)


def test_converting_a_backbone_restores_its_weights(
    files: EncoderFiles, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Conversion to Keras and back changes no weight, and setting them is the reverse."""
    dataset = EncoderDataset(str(tmp_path_factory.mktemp("encoder")))
    dataset.save(files)
    encoder = encoder_of(build_classifier(dataset.load().load_backbone(), dropout=0.0, train_embeddings=True))
    weights = bert_weights(encoder)
    assert set(files.weights) == set(weights)
    used = {name for name in weights if not name.startswith("pooler")}
    for name in used:
        np.testing.assert_array_equal(weights[name], files.weights[name])
    set_bert_weights(encoder, {name: weight + 1 for name, weight in weights.items()})
    again = bert_weights(encoder)
    for name in used:
        np.testing.assert_array_equal(again[name], files.weights[name] + 1)


def test_fewer_layers_keep_the_last(files: EncoderFiles) -> None:
    """The second of two layers is kept under the first's name; everything else is unchanged."""
    cut = keep_layers(files, 1)
    assert cut.config["num_hidden_layers"] == 1
    name = "attention.self.query.weight"
    np.testing.assert_array_equal(
        cut.weights[f"encoder.layer.0.{name}"], files.weights[f"encoder.layer.1.{name}"]
    )
    assert not any(key.startswith("encoder.layer.1.") for key in cut.weights)
    outside = {key for key in files.weights if not key.startswith("encoder.")}
    assert outside <= set(cut.weights)


def test_kept_layers_are_evenly_spread(files: EncoderFiles) -> None:
    """Half of twelve layers are every second one, up to the last."""
    weights = {f"encoder.layer.{index}.x": np.full(1, index, np.float32) for index in range(12)}
    twelve = EncoderFiles(config={"num_hidden_layers": 12}, weights=weights, tokenizer=files.tokenizer)
    half = keep_layers(twelve, 6)
    kept = [int(half.weights[f"encoder.layer.{index}.x"][0]) for index in range(6)]
    assert kept[0] == 0
    assert kept[-1] == 11
    assert set(np.diff(kept)) <= {2, 3}


def test_more_layers_than_there_are_is_an_error(files: EncoderFiles) -> None:
    """The message names both numbers."""
    with pytest.raises(ConfigurationError, match="has 2 layers; `layers` asks for 3"):
        keep_layers(files, 3)
