"""The mean of the weights of several trainings of one encoder, which is often better than each of them.

Method: Wortsman et al., 2022, "Model soups"; with the weights that a training started from, their "Robust
fine-tuning of zero-shot models".
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from toxic_core.errors import ConfigurationError
from toxic_core.labels import LabelName
from toxic_model.packed import HEAD_BIAS, HEAD_WEIGHT, WORD_EMBEDDINGS, Floats
from toxic_training.modelling.classifier import add_toxic_logit, classifier_weights, negative
from toxic_training.modelling.encoders.files import read_encoder
from toxic_training.paths import from_start

OtherWeights = Sequence[tuple[Mapping[str, Floats], float]]
"""Weights by name, each with its share of the mean."""


def read_others(
    shares: Mapping[str, float], *, like: keras.Model, toxic_shares: Mapping[LabelName, float]
) -> OtherWeights:
    """Read the folders of other trainings, packed or not, each with its share.

    What their classification layers contain of the logit of `toxic` is taken off.

    Raises:
        ConfigurationError: a folder can't be read, or holds weights of other shapes than `like`.
    """
    if not shares:
        return ()
    expected = classifier_weights(like)
    others = [(read_encoder(from_start(folder)).weights, share) for folder, share in shares.items()]
    for folder, (weights, _) in zip(shares, others, strict=True):
        layers = {name: np.empty(0) for name in weights if ".layer." in name}
        for name, tensor in (layers | expected).items():
            found, needed = weights.get(name, np.empty(0)).shape, tensor.shape
            if found != needed and _is_merged(name):
                raise ConfigurationError(
                    f"{folder} can't be merged: the shape of its {name} is {found}, not {needed}. Only "
                    "trainings of the same encoder for the same labels can."
                )
    return [(_without(weights, toxic_shares), share) for weights, share in others]


def merge(weights: Mapping[str, Floats], others: OtherWeights) -> dict[str, Floats]:
    """Return the weighted mean, in which `weights` have the share that the others leave."""
    own = 1.0 - sum(share for _, share in others)
    return {
        name: sum((share * other[name] for other, share in others), own * tensor)
        if _is_merged(name)
        else tensor
        for name, tensor in weights.items()
    }


def _without(weights: Mapping[str, Floats], toxic_shares: Mapping[LabelName, float]) -> dict[str, Floats]:
    kernel, bias = add_toxic_logit(weights[HEAD_WEIGHT].T, weights[HEAD_BIAS], negative(toxic_shares))
    return {**weights, HEAD_WEIGHT: kernel.T, HEAD_BIAS: bias}


def _is_merged(name: str) -> bool:
    """Return whether trainings share what has this name: each has pieces of its own, and no pooler."""
    return name != WORD_EMBEDDINGS and not name.startswith("pooler.")
