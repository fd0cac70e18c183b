"""Scores: attributes, languages, spans and thresholds."""

from typing import Any

import httpx
import pytest

from toxic_inference.serving.interfaces import Lane, Terms, Text
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.perspective import ANALYZE, asked

pytestmark = pytest.mark.anyio


async def test_a_comment_gets_the_published_answer(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Scores by attribute with the whole text's span, languages, the token, and the version in a header."""
    answer = await client.post(
        ANALYZE,
        params={"key": "anything", "alt": "json"},
        json=asked("a" * 30, "TOXICITY", "THREAT", languages=["en"], clientToken="t-1", doNotStore=True),
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-model-version"] == "7"
    score = {"value": 0.3, "type": "PROBABILITY"}
    scores = {"spanScores": [{"begin": 0, "end": 30, "score": score}], "summaryScore": score}
    assert answer.json() == {
        "attributeScores": {"TOXICITY": scores, "THREAT": scores},
        "languages": ["en"],
        "detectedLanguages": ["en"],
        "clientToken": "t-1",
    }
    assert core.texts == [Text("a" * 30, "en")]
    assert core.lanes == [Lane.INTERACTIVE]
    assert core.leases == 0
    assert core.terms == [Terms(store=False, caller="127.0.0.1")]


async def test_every_attribute_is_one_of_our_labels(client: httpx.AsyncClient) -> None:
    """The six, and their experimental names, which clients request for languages that had no others."""
    names = ("TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT")
    both = [*names, *(f"{name}_EXPERIMENTAL" for name in names)]
    answer = await client.post(ANALYZE, json=asked("hello", *both))
    assert list(answer.json()["attributeScores"]) == both


async def test_a_language_that_isn_t_said_is_identified(client: httpx.AsyncClient, core: FakeCore) -> None:
    """It is answered as detected, and chooses calibration and thresholds."""
    core.contract = core.contract.model_copy(update={"languages": ("en", "es")})
    silences: tuple[dict[str, Any], ...] = ({}, {"languages": []}, {"languages": None})
    for unsaid in silences:
        answer = await client.post(ANALYZE, json=asked("hola", **unsaid))
        assert answer.json()["languages"] == answer.json()["detectedLanguages"] == ["es"]
    assert core.texts == [Text("hola", "es")] * 3


async def test_several_languages_have_the_calibration_of_any(
    client: httpx.AsyncClient, core: FakeCore
) -> None:
    """They are answered as they were declared."""
    core.contract = core.contract.model_copy(update={"languages": ("en", "pt")})
    answer = await client.post(ANALYZE, json=asked("hello", languages=["pt-BR", "en", "pt"]))
    assert answer.json()["languages"] == ["pt-BR", "en", "pt"]
    assert core.texts == [Text("hello", None)]


async def test_spans_are_sentences_in_utf_16(client: httpx.AsyncClient) -> None:
    """Offsets count as JavaScript and Java count, so an emoji is two."""
    text = "😀 you fool! Have a lovely day."
    answer = await client.post(ANALYZE, json=asked(text, spanAnnotations=True))
    scores = answer.json()["attributeScores"]["TOXICITY"]
    units = text.encode("utf-16-le")
    found = [units[2 * s["begin"] : 2 * s["end"]].decode("utf-16-le") for s in scores["spanScores"]]
    assert found == ["😀 you fool!", "Have a lovely day."]
    assert [s["score"]["value"] for s in scores["spanScores"]] == [0.11, 0.18]
    assert scores["summaryScore"]["value"] == 0.3


async def test_one_sentence_is_scored_once(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Its span has the score of the whole."""
    await client.post(ANALYZE, json=asked("Have a lovely day.", spanAnnotations=True))
    assert len(core.texts) == 1


async def test_scores_below_their_threshold_are_left_out(client: httpx.AsyncClient) -> None:
    """An attribute without a score above it is left out; a sentence may be above it if the whole is not."""
    request = asked("a" * 40 + ". b. " + "c" * 20, spanAnnotations=True)
    request["requestedAttributes"] = {
        "TOXICITY": {"scoreThreshold": 0.3, "scoreType": "PROBABILITY"},
        "INSULT": {"scoreThreshold": 0.99},
    }
    scores = (await client.post(ANALYZE, json=request)).json()["attributeScores"]
    assert scores.keys() == {"TOXICITY"}
    assert [span["begin"] for span in scores["TOXICITY"]["spanScores"]] == [0]


async def test_members_may_have_their_proto_names(client: httpx.AsyncClient) -> None:
    """Proto3 JSON reads both forms, and null as absent; some clients send the second."""
    answer = await client.post(
        ANALYZE,
        json={
            "comment": {"text": "hello", "type": "PLAIN_TEXT"},
            "requested_attributes": {"TOXICITY": {"score_threshold": 0.0, "score_type": None}},
            "client_token": "t",
            "do_not_store": True,
            "session_id": "s",
            "community_id": "c",
            "context": {"entries": [{"text": "before"}]},
        },
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["clientToken"] == "t"
