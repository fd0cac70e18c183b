"""Takes dependence on length off the logit of `toxic`, without another pass of training.

In training data, long comments are rarely toxic, so that a classifier gives a long harmless comment a lower
score than a short one. The vector of a comment tells its length almost linearly, so that a change of the
classification layer suffices: it gets a share of the direction of length, as in linear concept removal
(Ravfogel et al., 2020, "Null it out").
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from toxic_model.packed import Floats

COMMENTS = 5_000
"""As many comments tell the direction and the dependence."""
_PENALTY = 10.0
"""Of the squared direction: a direction that is hardly larger than needed disturbs the rest the least."""


def take_length_off(
    kernel: Floats,
    bias: Floats,
    *,
    vectors: Floats,
    tokens: NDArray[np.int64],
    toxic: Floats,
    groups: NDArray[np.object_],
    share: float,
) -> tuple[Floats, Floats]:
    """Return the classification layer with less dependence of `toxic` on the length of harmless comments.

    Groups are compared within themselves only, such as languages. The mean logit stays.

    Args:
        kernel: [width, labels], `toxic` first.
        bias: [labels].
        vectors: of comments, [comments, width].
        tokens: their number in each comment.
        toxic: each comment's label: 1, 0, or NaN if it isn't known.
        groups: each comment's.
        share: of the dependence that is taken off, from 0 to 1.
    """
    length = np.log(tokens)
    everyone, harmless = np.ones(len(tokens), bool), toxic == 0
    centred = _centred(vectors, groups, everyone)
    direction = Ridge(_PENALTY, fit_intercept=False).fit(centred, _centred(length, groups, everyone)).coef_
    explained = _slope(vectors @ direction, length, groups, harmless)
    if explained <= 0:
        return kernel, bias  # harmless comments are of one length
    change = -share * _slope(vectors @ kernel[:, 0], length, groups, harmless) / explained
    kernel, bias = kernel.copy(), bias.copy()
    kernel[:, 0] += change * direction
    bias[0] -= change * (vectors @ direction).mean()
    return kernel, bias


def _slope(values: Floats, length: Floats, groups: NDArray[np.object_], chosen: NDArray[np.bool_]) -> float:
    """Return the slope of the chosen values over length, within groups; 0 if the length is the same."""
    across = _centred(length, groups, chosen)
    spread = float(across @ across)
    return float(across @ _centred(values, groups, chosen)) / spread if spread else 0.0


def _centred(values: Floats, groups: NDArray[np.object_], chosen: NDArray[np.bool_]) -> Floats:
    """Return the chosen values without their group's mean."""
    values, groups = values[chosen].astype(np.float64), groups[chosen]
    for group in np.unique(groups):
        values[groups == group] -= values[groups == group].mean(axis=0)
    return values
