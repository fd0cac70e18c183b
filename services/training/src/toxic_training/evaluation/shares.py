"""Weights rows so that toxic comments have another share of the whole.

Labelled sets contain more toxic comments than a real stream: Jigsaw's train file has 10%, its test file 50%
in English and 15 to 20% in other languages, a forum 1 to 10%. Calibration and precision hold for one share
only. Weighting toxic and other comments separately gives a set any share, if toxic comments are alike
everywhere, and others too (label shift: Saerens et al., 2002; Lipton et al., 2018).

Invariant: weights depend on the label `toxic` alone and have mean 1. The other labels keep their frequency
among toxic and among other comments.
"""

import numpy as np
import pandas as pd

from toxic_core.labels import Label
from toxic_training.evaluation.metrics import Floats


def weights_for_share(toxic: Floats, share: float) -> Floats:
    """Return each row's weight, so that toxic rows make up `share` of the whole.

    Args:
        toxic: the label of each row, float [rows]; NaN if unknown, which counts as not toxic.
        share: the share of toxic comments, above 0 and below 1.

    Returns:
        float [rows]; 1 for all if all rows or none are toxic.
    """
    is_toxic = toxic == 1
    found = float(is_toxic.mean()) if toxic.size else 0.0
    if found in {0.0, 1.0}:
        return np.ones(toxic.size)
    return np.where(is_toxic, share / found, (1 - share) / (1 - found))


def share_weights(rows: pd.DataFrame, share: float) -> Floats:
    """Return the weights of a table's rows, so that toxic rows make up `share` of the whole."""
    return weights_for_share(rows[Label.TOXIC].to_numpy(np.float64), share)
