import keras
import numpy as np
import pandas as pd
import pytest

from toxic_core.tokens import Tokeniser
from toxic_training.data.comments import LABEL_COLUMNS
from toxic_training.modelling.encoders.vocabulary import learn_tokenizer
from toxic_training.modelling.selection import BestWeights, selection_set

pytestmark = pytest.mark.slow


@pytest.fixture
def classifier() -> keras.Model:
    """Return a model with one weight."""
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))


def _offer(best: BestWeights, classifier: keras.Model, *scores: float) -> None:
    """Offer the weights 1, 2, … with their scores."""
    for weight, score in enumerate(scores, start=len(best.scores) + 1):
        classifier.set_weights([np.full((1, 1), weight, np.float32)])
        best.offer(score, classifier)


def _kept(best: BestWeights, classifier: keras.Model) -> float:
    best.put_back(classifier)
    return float(classifier.get_weights()[0][0, 0])


def test_the_latest_weights_win_within_the_margin(classifier: keras.Model) -> None:
    """A difference within the noise doesn't hold training back."""
    best = BestWeights(margin=0.01)
    _offer(best, classifier, 0.90, 0.95, 0.945)
    assert _kept(best, classifier) == 3.0
    assert (best.score, best.misses) == (0.945, 0)


def test_clearly_better_weights_are_put_back(classifier: keras.Model) -> None:
    """Weights that are worse by more than the margin are replaced by the best before them."""
    best = BestWeights(margin=0.01)
    _offer(best, classifier, 0.90, 0.95, 0.93, 0.92)
    assert _kept(best, classifier) == 2.0
    assert (best.score, best.misses) == (0.95, 2)


def test_an_undefined_score_keeps_the_latest(classifier: keras.Model) -> None:
    """Without comments of each class the latest weights are kept."""
    best = BestWeights(margin=0.01)
    _offer(best, classifier, float("nan"), float("nan"))
    assert _kept(best, classifier) == 2.0


def test_kept_weights_survive_a_checkpoint(classifier: keras.Model) -> None:
    """Weights that were kept before a run was stopped can still be put back."""
    before, after = BestWeights(margin=0.0), BestWeights(margin=0.0)
    _offer(before, classifier, 0.9, 0.8)
    after.restore(before.weights, scores=before.scores, misses=before.misses)
    _offer(after, classifier, 0.7)
    assert _kept(after, classifier) == 1.0
    assert (after.score, after.misses) == (0.9, 2)


def test_every_language_has_its_share() -> None:
    """Rare languages are used completely, and frequent ones fill the rest."""
    languages = ["en"] * 50 + ["tr"] * 4
    table = pd.DataFrame({"text": [f"word {i}" for i in range(54)], "language": languages})
    table[LABEL_COLUMNS] = np.nan
    table["toxic"] = [float(i % 2) for i in range(54)]
    tokeniser = Tokeniser(learn_tokenizer(table["text"], size=300), max_tokens=8, pad_id=1)
    chosen = selection_set(table, tokeniser, comments=20, batch_size=4, seed=1)
    assert pd.Series(chosen.languages).value_counts().to_dict() == {"en": 16, "tr": 4}
