"""How much each row counts where a set holds another share of toxic comments than the stream it stands for.

Labelled sets are enriched: Jigsaw's train file has 10% toxic comments, its test file 50% in English and 15 to
20% in other languages, a forum 1 to 10%. Calibration and precision are properties of one share, and only of
that. Weighting toxic and other comments apart brings a set to any share, if toxic comments look alike
wherever they are, and others too (label shift: Saerens et al., 2002; Lipton et al., 2018).

Invariant: weights depend on the label `toxic` alone and have mean 1. The other labels keep the frequency they
have among toxic and among other comments.
"""

import numpy as np
import pandas as pd

from toxic_core.labels import Label
from toxic_training.evaluation.metrics import Floats


def weights_for_share(toxic: Floats, share: float) -> Floats:
    """Return each row's weight, so that toxic rows make up `share` of the whole.

    Args:
        toxic: the label of each row, float [rows]; NaN where it isn't known, which counts as not toxic.
        share: of toxic comments, 0 to 1, ends excluded.

    Returns:
        float [rows]; 1 for all where the rows are all toxic or all not, since nothing can be balanced then.
    """
    is_toxic = toxic == 1
    found = float(is_toxic.mean()) if toxic.size else 0.0
    if found in {0.0, 1.0}:
        return np.ones(toxic.size)
    return np.where(is_toxic, share / found, (1 - share) / (1 - found))


def share_weights(rows: pd.DataFrame, share: float) -> Floats:
    """Return the weights of a table's rows, as if toxic ones made up `share` of them."""
    return weights_for_share(rows[Label.TOXIC].to_numpy(np.float64), share)
