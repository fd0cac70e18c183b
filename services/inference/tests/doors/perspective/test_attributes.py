"""Attributes beyond the model's: none of them costs another one its score."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.doors.listing import DOORS
from toxic_inference.doors.perspective.attributes import bare, label_of
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend, PerspectiveRules
from toxic_testing.inference.perspective import ANALYZE, OWN_ERROR, SUGGEST, asked, error_of

pytestmark = pytest.mark.anyio

DROPPED = "x-unsupported-attributes"
BRIDGING = ("AFFINITY", "COMPASSION", "CURIOSITY", "NUANCE", "PERSONAL_STORY", "REASONING", "RESPECT")
PERSUASION = (
    "ALIENATION",
    "FEARMONGERING",
    "GENERALIZATION",
    "MORAL_OUTRAGE",
    "POWER_APPEAL",
    "SCAPEGOATING",
)
OTHERS = (
    *("SEXUALLY_EXPLICIT", "FLIRTATION", "SPAM", "ATTACK_ON_AUTHOR", "ATTACK_ON_COMMENTER", "INCOHERENT"),
    *("INFLAMMATORY", "LIKELY_TO_REJECT", "UNSUBSTANTIAL", "OFF_TOPIC", "FLIRTATION@2"),
    *(f"{name}_EXPERIMENTAL" for name in (*BRIDGING, *PERSUASION)),
)


@pytest.fixture
async def strict(backend: Backend) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that refuses what the model lacks."""
    app = create_api(replace(backend, perspective=PerspectiveRules(drop_attributes=False)), DOORS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    "members", [{}, {"dropUnsupportedAttributes": True}, {"drop_unsupported_attributes": "yes"}]
)
async def test_an_attribute_that_the_model_lacks_is_left_out(
    client: httpx.AsyncClient, metric: Callable[..., float], other: str, members: dict[str, Any]
) -> None:
    """A header and a metric name it; the others have their scores."""
    answer = await client.post(ANALYZE, json=asked("hello", other, "TOXICITY", **members))
    assert answer.status_code == 200, answer.text
    assert answer.json()["attributeScores"].keys() == {"TOXICITY"}
    named = other.partition("@")[0]
    assert answer.headers[DROPPED] == named
    assert metric("toxic_inference_unsupported_attributes_total", attribute=named) == 1


async def test_the_header_names_each_of_them(client: httpx.AsyncClient) -> None:
    """In the request's order, without versions and once each; it is absent if all have scores."""
    answer = await client.post(ANALYZE, json=asked("hello", *OTHERS, "THREAT"))
    assert answer.headers[DROPPED].split(", ") == [name for name in OTHERS if "@" not in name]
    assert DROPPED not in (await client.post(ANALYZE, json=asked())).headers


@pytest.mark.parametrize(
    "body",
    [
        asked("hello", "TOXICITY", "SPAM", languages=["en"], dropUnsupportedAttributes=False),
        asked("hello", "SPAM", "INSULT", languages=["en"], dropUnsupportedAttributes="false"),
        asked("hello", "SPAM", "FLIRTATION", languages=["en"]),
        asked("hello", "SPAM", languages=["en"], dropUnsupportedAttributes=True),
    ],
)
async def test_otherwise_the_error_is_googles(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """If the request forbids it, or no attribute is left; clients drop the named one and retry."""
    error = error_of(await client.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    assert error["message"] == "Attribute SPAM does not support request languages: en"
    assert error["details"] == [
        {
            "@type": OWN_ERROR,
            "errorType": "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
            "languageNotSupportedByAttributeError": {"requestedLanguages": ["en"], "attribute": "SPAM"},
        }
    ]


async def test_a_client_that_drops_and_retries_recovers(client: httpx.AsyncClient) -> None:
    """As several programs do, by the detail's attribute."""
    body = asked("hello", *OTHERS, "INSULT", dropUnsupportedAttributes=False)
    for _ in range(len(OTHERS)):
        (detail,) = (await client.post(ANALYZE, json=body)).json()["error"]["details"]
        del body["requestedAttributes"][detail["languageNotSupportedByAttributeError"]["attribute"]]
    answer = await client.post(ANALYZE, json=body)
    assert answer.json()["attributeScores"].keys() == {"INSULT"}


async def test_a_setting_makes_it_strict(strict: httpx.AsyncClient) -> None:
    """Unless the request asks for the scores that there are."""
    body = asked("hello", "TOXICITY", "FLIRTATION")
    error = error_of(await strict.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    assert error["details"][0]["languageNotSupportedByAttributeError"]["detectedLanguages"] == ["en"]
    answer = await strict.post(ANALYZE, json=body | {"dropUnsupportedAttributes": True})
    assert answer.json()["attributeScores"].keys() == {"TOXICITY"}


@pytest.mark.parametrize(
    "name", ["toxicity", "KINDNESS", "TOXICITY@", "TOXICITY@x", "TOXICITY@6 ", "", "SPAM_", "_"]
)
async def test_a_name_that_google_never_had_is_invalid(client: httpx.AsyncClient, name: str) -> None:
    """With others beside it, and whatever the request says about unsupported ones."""
    body = asked("hello", "TOXICITY", name, dropUnsupportedAttributes=True)
    error = error_of(await client.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    assert error["message"] == f"Unknown requested attribute: {name}"
    assert error["details"] == [{"@type": OWN_ERROR, "errorType": "INVALID_REQUEST"}]


@pytest.mark.parametrize(
    ("attribute", "label"),
    [
        ("OBSCENE", "obscene"),
        ("PROFANITY_EXPERIMENTAL", "obscene"),
        ("TOXICITY@6", "toxic"),
        ("SEVERE_TOXICITY@12", "severe_toxic"),
        ("THREAT_EXPERIMENTAL@2", "threat"),
        ("TOXICITY_FAST", "toxic"),
        ("TOXICITY_IDENTITY_HATE", "identity_hate"),
        ("SPAM", None),
    ],
)
async def test_other_names_of_an_attribute(
    client: httpx.AsyncClient, attribute: str, label: str | None
) -> None:
    """The answer's key is the request's."""
    assert label_of(attribute, ("toxic", "severe_toxic", "obscene", "threat", "identity_hate")) == label
    if label is not None:
        answer = await client.post(ANALYZE, json=asked("hello", attribute))
        assert list(answer.json()["attributeScores"]) == [attribute]


def test_a_label_of_another_model_answers_its_attribute() -> None:
    """What the model has is never unsupported."""
    assert label_of("SEXUALLY_EXPLICIT", ("toxic", "sexual_explicit")) == "sexual_explicit"
    assert label_of("SPAM", ("spam",)) == "spam"
    assert bare("SPAM@3") == "SPAM"


async def test_a_suggestion_loses_no_other_one(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore
) -> None:
    """What no label answers is left out of the correction; alone it is refused."""
    scores = {name: {"summaryScore": {"value": 1}} for name in ("FLIRTATION", "OBSCENE")}
    body = {"comment": {"text": "hello"}, "attributeScores": scores}
    answer = await client.post(SUGGEST, json=body)
    assert (answer.status_code, answer.headers[DROPPED]) == (200, "FLIRTATION")
    ((_, correction),) = feedback_store.page(after=0, limit=9)
    assert correction.labels == {"obscene": True}
    del scores["OBSCENE"]
    error = error_of(await client.post(SUGGEST, json=body), 400, "INVALID_ARGUMENT")
    assert error["details"][0]["errorType"] == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"


@pytest.mark.parametrize("value", [0, 1])
async def test_a_suggestion_that_contradicts_itself_is_refused(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore, value: int
) -> None:
    """Two names of one attribute; if they agree, it is one judgement."""
    scores = {
        name: {"summaryScore": {"value": score}} for name, score in (("TOXICITY", 1), ("TOXICITY@6", value))
    }
    answer = await client.post(SUGGEST, json={"comment": {"text": "hello"}, "attributeScores": scores})
    assert answer.status_code == (200 if value else 400)
    assert len(feedback_store.page(after=0, limit=9)) == value
