"""Scores on the scale of a reference: this door's alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from toxic_core.contract.scales import Curve, Scales
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend, PerspectiveRules
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.perspective import ANALYZE, SUGGEST, asked, suggested

pytestmark = pytest.mark.anyio

HALF = Curve(knots=((0, 0), (1, 0.5)), rows=600, error=0.05, error_before=0.3)
DOUBLE = Curve(knots=((0, 0), (0.5, 1)), rows=500, error=0.04, error_before=0.2)
SCALES = Scales(source="a test", curves={"TOXICITY": {"*": HALF, "en": DOUBLE}})
SCALE = "/v1alpha1/scale"


@pytest.fixture(autouse=True)
def scaled(core: FakeCore) -> None:
    """The version has scales, and is evaluated for two languages."""
    core.scales = SCALES
    core.contract = core.contract.model_copy(update={"languages": ("en", "es")})


async def scores(client: httpx.AsyncClient, *attributes: str, **members: Any) -> dict[str, float]:
    """Return the summary scores of a comment of thirty characters, which are 0.3 before any scale."""
    answer = await client.post(ANALYZE, json=asked("a" * 30, *attributes, **members))
    assert answer.status_code == 200, answer.text
    found = answer.json().get("attributeScores", {})
    return {name: each["summaryScore"]["value"] for name, each in found.items()}


async def test_scores_are_on_the_scale_of_their_language(client: httpx.AsyncClient) -> None:
    """Or on the pooled one; an attribute without a curve is calibrated."""
    assert await scores(client, "TOXICITY", "THREAT", languages=["en"]) == {"TOXICITY": 0.6, "THREAT": 0.3}
    assert await scores(client, "TOXICITY_EXPERIMENTAL", languages=["es"]) == {"TOXICITY_EXPERIMENTAL": 0.15}
    assert await scores(client, languages=["en", "es"]) == {"TOXICITY": 0.15}


async def test_thresholds_and_spans_are_on_the_scale(client: httpx.AsyncClient) -> None:
    """A span's score too, so that it can be compared with the whole's."""
    text = "Have a lovely day. Have a lovely, lovely day."
    answer = await client.post(
        ANALYZE,
        json={
            "comment": {"text": text},
            "requestedAttributes": {"TOXICITY": {"scoreThreshold": 0.4}},
            "spanAnnotations": True,
            "languages": ["en"],
        },
    )
    found = answer.json()["attributeScores"]["TOXICITY"]
    assert found["summaryScore"]["value"] == pytest.approx(0.9)
    assert [span["score"]["value"] for span in found["spanScores"]] == [pytest.approx(0.52)]


async def test_other_doors_metrics_and_suggestions_are_not_on_the_scale(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore
) -> None:
    """The native door's scores are calibrated, and half is still what a suggestion is decided by."""
    answer = await client.post("/predict", json={"texts": ["a" * 30], "lang": "en"})
    assert answer.json()["results"][0]["scores"]["toxic"] == 0.3
    assert (await client.post(SUGGEST, json=suggested("hello", 0.5))).status_code == 200
    ((_, filed),) = feedback_store.page(after=0, limit=9)
    assert filed.labels == {"toxic": True}


async def test_the_scale_is_shown(client: httpx.AsyncClient, core: FakeCore) -> None:
    """With its source, curves and errors; without one, the origin is `none`."""
    answer = await client.get(SCALE)
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == "7"
    shown = answer.json()
    assert (shown["origin"], shown["source"]) == ("bundle", "a test")
    assert Curve.model_validate(shown["curves"]["TOXICITY"]["en"]) == DOUBLE
    core.scales = None
    assert (await client.get(SCALE)).json() == {"origin": "none", "curves": {}}
    assert await scores(client) == {"TOXICITY": 0.3}


@pytest.mark.parametrize("scale", [lambda _: None, lambda _: SCALES])
async def test_the_service_may_choose_another_scale(
    backend: Backend, core: FakeCore, scale: Callable[[object], Scales | None]
) -> None:
    """None at all, or that of a file."""
    core.scales = Scales(source="another", curves={"TOXICITY": {"*": HALF}})
    rules = PerspectiveRules(scale_origin="file", scales=scale)
    app = create_api(replace(backend, perspective=rules), DOORS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        assert await scores(client) == {"TOXICITY": 0.6 if scale(None) else 0.3}
        assert (await client.get(SCALE)).json()["origin"] == ("file" if scale(None) else "none")
