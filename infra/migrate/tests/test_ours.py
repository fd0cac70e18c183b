"""Scoring by a service: one version and its scale, and an error in one line."""

import json

import httpx
import pytest

from toxic_core.errors import ConfigurationError
from toxic_migrate.ours import Ours, score_by_service
from toxic_migrate.tables import Scored

COMMENTS = Scored(("a day",) * 250, ("",) * 250, {})
CURVE = {"knots": [[0.0, 0.0], [1.0, 0.5]], "rows": 500, "error": 0.1, "error_before": 0.2}
SCALE = {"origin": "bundle", "source": "a test", "model": None, "curves": {"TOXICITY": {"*": CURVE}}}


class Service(httpx.BaseTransport):
    """A service that answers with a scale, and scores a batch by each of some versions."""

    def __init__(self, *versions: str, scale: httpx.Response | httpx.TransportError) -> None:
        self.versions = list(versions)
        self.scale = scale
        self.batches = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        if request.method == "GET":
            if isinstance(self.scale, httpx.TransportError):
                raise self.scale
            return self.scale
        self.batches += 1
        result = {"language": "en", "scores": {"toxic": 0.5}}
        results = [result for _ in json.loads(request.content)["texts"]]
        return httpx.Response(200, json={"model_version": self.versions.pop(0), "results": results})


def score(service: Service) -> Ours:
    """Score the comments, which are three batches."""
    return score_by_service(COMMENTS, address="http://service", key="", transport=service)


def test_scores_are_of_one_version_and_its_scale() -> None:
    """A service without a scale has no curves."""
    ours = score(Service("7", "7", "7", scale=httpx.Response(200, json=SCALE)))
    assert (ours.version, set(ours.languages)) == ("7", {"en"})
    assert ours.calibrated["TOXICITY"].tolist() == [0.5] * 250
    assert ours.scales is not None
    assert ours.scales.source == "a test"
    without = Service("7", "7", "7", scale=httpx.Response(200, json={**SCALE, "curves": {}}))
    assert score(without).scales is None


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (httpx.Response(404, text="Not Found"), r"answers with status 404: Not Found Check --address"),
        (httpx.ReadTimeout("too late"), r"doesn't answer \(ReadTimeout\)"),
        (httpx.Response(200, text="<html>"), "has no scale"),
        (httpx.Response(200, json=["another", "service"]), "has no scale"),
        (httpx.Response(200, json={"curves": {"TOXICITY": 1}}), "has no scale"),
    ],
)
def test_scale_that_cannot_be_read_is_an_error_before_any_comment_is_scored(
    scale: httpx.Response | httpx.TransportError, message: str
) -> None:
    """Scoring may take hours, which nobody wants to lose."""
    service = Service("7", scale=scale)
    with pytest.raises(ConfigurationError, match=message):
        score(service)
    assert service.batches == 0


def test_new_version_meanwhile_is_an_error() -> None:
    """A comparison or a scale is of one version."""
    with pytest.raises(ConfigurationError, match="from version 7 to 8"):
        score(Service("7", "8", "8", scale=httpx.Response(200, json=SCALE)))
