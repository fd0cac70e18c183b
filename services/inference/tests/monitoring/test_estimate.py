import numpy as np
import pytest

from toxic_core.contract import Contract
from toxic_inference.monitoring.estimate import deployment_probabilities, estimate


def test_probabilities_are_those_of_the_deployment_share(contract: Contract) -> None:
    """A score at even odds becomes the share itself, and certainty stays certain: the odds times 1/9."""
    traffic = contract.reference_traffic
    assert traffic is not None
    toxic = np.array([0.5, 0.9, 1.0, 0.0])
    moved = deployment_probabilities(toxic[:, np.newaxis], toxic, traffic)[:, 0]
    assert moved == pytest.approx([0.1, 0.5, 1.0, 0.0])


def test_a_label_keeps_its_frequency_among_toxic_comments(contract: Contract) -> None:
    """Half as likely as toxic at even odds is half as likely in the stream; at most certain."""
    traffic = contract.reference_traffic
    assert traffic is not None
    toxic = np.array([0.5, 0.2])
    moved = deployment_probabilities(np.array([[0.25], [1.0]]), toxic, traffic)[:, 0]
    assert moved == pytest.approx([0.05, np.clip(1.0 * 0.2 / (0.2 * 0.2 + 1.8 * 0.8), 0, 1)])


@pytest.mark.parametrize(("share", "threshold"), [(0.1, 0.9), (0.1, 0.5), (0.3, 0.8)])
def test_estimates_are_what_labels_would_say(contract: Contract, share: float, threshold: float) -> None:
    """Of a calibrated classifier on 200,000 simulated comments, within a percentage point."""
    rng = np.random.default_rng(3)
    assert contract.reference_traffic is not None
    traffic = contract.reference_traffic.model_copy(update={"deployment_toxic_share": share})
    truth = rng.random(200_000) < share
    # Evidence that is normal with means ±1.5 and variance 1 has these log odds at even odds.
    evidence = rng.normal(np.where(truth, 1.5, -1.5), 1.0)
    scores = 1 / (1 + np.exp(-3.0 * evidence))
    flagged = scores >= threshold
    probability = deployment_probabilities(scores[:, np.newaxis], scores, traffic)[:, 0]
    found = estimate(
        texts=truth.size,
        flagged=float(flagged.sum()),
        hits=float(probability[flagged].sum()),
        positives=float(probability.sum()),
    )
    assert found.precision == pytest.approx(truth[flagged].mean(), abs=0.01)
    assert found.recall == pytest.approx(flagged[truth].mean(), abs=0.01)
    assert found.accuracy == pytest.approx((flagged == truth).mean(), abs=0.01)
    assert found.prevalence == pytest.approx(truth.mean(), abs=0.01)
    assert 0 < found.f1 < 1


def test_nothing_flagged_has_no_precision() -> None:
    """Recall is 0 then, and precision isn't known."""
    found = estimate(texts=10, flagged=0, hits=0.0, positives=2.0)
    assert (found.precision, found.recall, found.f1, found.accuracy) == (None, 0.0, 0.0, 0.8)
