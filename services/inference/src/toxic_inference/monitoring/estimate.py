"""A classifier's quality, estimated from its calibrated scores alone.

Confidence-based: a calibrated score is the probability of its label, so sums of scores are the expected
counts of the confusion matrix. See Garg et al., Leveraging Unlabeled Data to Predict
Out-of-Distribution Performance (ICLR 2022), and CBPE in NannyML's documentation.

An estimate refers to a stream with the deployment share of toxic comments, and is as good as the calibration.
It reflects what changes the scores; it misses texts that the model misreads with confidence.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract.reference import ReferenceTraffic

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EstimatedQuality:
    """Expected quality of one label's decisions.

    Attributes:
        prevalence: share of texts that carry the label.
        precision: of flagged texts; None if there are none.
        recall: of texts that carry the label.
        f1: of both; 0 if no text is flagged.
        accuracy: share of correct decisions.
    """

    prevalence: float
    precision: float | None
    recall: float
    f1: float
    accuracy: float


def deployment_probabilities(scores: Floats, toxic: Floats, traffic: ReferenceTraffic) -> Floats:
    """Return the probability of each label in a stream with the deployment share of toxic comments.

    Calibrated scores are probabilities at another share (label shift by `toxic`: Saerens et al., 2002). A
    comment that carries any label is taken to be toxic, so that all labels move with the odds of `toxic`.

    Args:
        scores: calibrated, float [texts, labels].
        toxic: the column of the label `toxic`, float [texts].
        traffic: contains both shares.
    """
    calibrated, deployed = traffic.calibration_toxic_share, traffic.deployment_toxic_share
    weight, other = deployed / calibrated, (1 - deployed) / (1 - calibrated)
    evidence = weight * toxic + other * (1 - toxic)
    return np.minimum(scores * (weight / evidence)[:, np.newaxis], 1.0)


def estimate(*, texts: float, flagged: float, hits: float, positives: float) -> EstimatedQuality:
    """Return the quality from expected counts.

    Args:
        texts: how many there are, more than 0.
        flagged: how many reach the threshold.
        hits: sum of the flagged texts' probabilities: expected true positives.
        positives: sum of all texts' probabilities, more than 0.
    """
    wrong = (flagged - hits) + (positives - hits)
    return EstimatedQuality(
        prevalence=positives / texts,
        precision=hits / flagged if flagged else None,
        recall=hits / positives,
        f1=2 * hits / (flagged + positives),
        accuracy=1 - wrong / texts,
    )
