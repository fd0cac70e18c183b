"""Google's parameters for any API: partial responses and the form of the answer."""

import json
from typing import Any

import httpx
import pytest

from toxic_testing.inference.perspective import ANALYZE, SUGGEST, asked, error_of, suggested

pytestmark = pytest.mark.anyio

BODY = asked("One. Two.", "TOXICITY", "INSULT", clientToken="t", languages=["en"], spanAnnotations=True)
SCORE = {"value": 0.09, "type": "PROBABILITY"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("clientToken", {"clientToken": "t"}),
        ("languages,clientToken", {"languages": ["en"], "clientToken": "t"}),
        (
            "attributeScores/TOXICITY/summaryScore/value",
            {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 0.09}}}},
        ),
        ("attributeScores.INSULT(summaryScore)", {"attributeScores": {"INSULT": {"summaryScore": SCORE}}}),
        (
            "attributeScores(TOXICITY/summaryScore/type, INSULT(summaryScore(value)))",
            {
                "attributeScores": {
                    "TOXICITY": {"summaryScore": {"type": "PROBABILITY"}},
                    "INSULT": {"summaryScore": {"value": 0.09}},
                }
            },
        ),
        (
            "attributeScores/*/summaryScore/value",
            {"attributeScores": {name: {"summaryScore": {"value": 0.09}} for name in ("TOXICITY", "INSULT")}},
        ),
        (
            "attribute_scores/TOXICITY/span_scores(begin,end)",
            {
                "attributeScores": {
                    "TOXICITY": {"spanScores": [{"begin": 0, "end": 4}, {"begin": 5, "end": 9}]}
                }
            },
        ),
        ("attributeScores/THREAT,clientToken", {"attributeScores": {}, "clientToken": "t"}),
        ("clientToken,clientToken", {"clientToken": "t"}),
        (
            "attributeScores/INSULT/summaryScore/value,attribute_scores/INSULT/summaryScore/type",
            {"attributeScores": {"INSULT": {"summaryScore": SCORE}}},
        ),
        (
            "attributeScores/INSULT(summaryScore),attributeScores/INSULT/summaryScore/type",
            {"attributeScores": {"INSULT": {"summaryScore": SCORE}}},
        ),
    ],
)
async def test_fields_select_a_part_of_the_answer(
    client: httpx.AsyncClient, fields: str, expected: dict[str, Any]
) -> None:
    """In the parameter or in the header."""
    for given in ({"params": {"fields": fields}}, {"headers": {"x-goog-fieldmask": fields}}):
        answer = await client.post(ANALYZE, json=BODY, **given)  # type: ignore[arg-type]
        assert answer.json() == expected


@pytest.mark.parametrize("fields", ["*", "attributeScores,attributeScores/TOXICITY,*", "", " * "])
async def test_everything_may_be_selected(client: httpx.AsyncClient, fields: str) -> None:
    """A member that is selected whole and in part is whole."""
    whole = (await client.post(ANALYZE, json=BODY)).json()
    assert (await client.post(ANALYZE, json=BODY, params={"fields": fields})).json() == whole


@pytest.mark.parametrize(
    "fields",
    [
        *(
            "nothing",
            "clientToken/x",
            "attributeScores/TOXICITY/value",
            "attributeScores(",
            "a)",
            "languages,",
        ),
        *(
            ",languages",
            "attributeScores()",
            "attributeScores/",
            "/languages",
            "languages languages",
            "-",
            "a b",
        ),
        *("attributeScores(TOXICITY", "(" * 500, "attributeScores/" * 500, "languages%", "é"),
    ],
)
async def test_fields_that_the_answer_lacks_are_refused(client: httpx.AsyncClient, fields: str) -> None:
    """Before anything is scored."""
    answer = await client.post(ANALYZE, json=BODY, params={"fields": fields})
    assert "Invalid field selection" in error_of(answer, 400, "INVALID_ARGUMENT")["message"]


async def test_fields_of_a_suggestion(client: httpx.AsyncClient) -> None:
    """Each answer has its own."""
    body = suggested(clientToken="t")
    answer = await client.post(SUGGEST, json=body, params={"fields": "clientToken"})
    assert answer.json() == {"clientToken": "t"}
    wrong = await client.post(SUGGEST, json=body, params={"fields": "attributeScores"})
    error_of(wrong, 400, "INVALID_ARGUMENT")


async def test_answers_are_indented_on_request(client: httpx.AsyncClient) -> None:
    """The content is the same."""
    plain = await client.post(ANALYZE, json=BODY)
    for value in ("true", "1", "True"):
        pretty = await client.post(ANALYZE, json=BODY, params={"prettyPrint": value})
        assert pretty.json() == plain.json()
        assert "\n  " in pretty.text
    for value in ("false", "0", ""):
        assert (await client.post(ANALYZE, json=BODY, params={"prettyPrint": value})).text == plain.text


async def test_the_other_parameters_are_accepted(client: httpx.AsyncClient) -> None:
    """As Google's clients send them; another form than JSON is refused."""
    for parameters in (
        {"alt": "json", "key": "k"},
        {"$.xgafv": "2", "quotaUser": "me", "uploadType": "", "upload_protocol": "raw"},
        {"$alt": "json", "$prettyPrint": "false", "access_token": "t", "oauth_token": "t"},
    ):
        assert (await client.post(ANALYZE, json=BODY, params=parameters)).status_code == 200
    for alt in ("proto", "media", "xml"):
        error_of(await client.post(ANALYZE, json=BODY, params={"alt": alt}), 400, "INVALID_ARGUMENT")


async def test_scores_that_are_all_below_their_thresholds_are_left_out(client: httpx.AsyncClient) -> None:
    """And the member that would hold them."""
    body = asked("hello") | {"requestedAttributes": {"TOXICITY": {"scoreThreshold": 0.9}}}
    assert (await client.post(ANALYZE, json=body)).json() == {
        "languages": ["en"],
        "detectedLanguages": ["en"],
    }


@pytest.mark.parametrize(
    ("text", "scored"), [("x" * 198 + "\ufffd", 198), ("x" * 197 + "\ufffd" * 3, 197), ("x\ufffd", 2)]
)
async def test_a_text_that_was_cut_within_a_character_is_scored(
    client: httpx.AsyncClient, core: Any, text: str, scored: int
) -> None:
    """Some clients cut by bytes to the limit, and the half character becomes three bytes."""
    assert (await client.post(ANALYZE, json=asked(text))).status_code == 200
    assert len(core.texts[0].content) == scored
    error_of(await client.post(ANALYZE, json=asked("x" * 201 + "\ufffd")), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("text", ["abc \ud83d", "\udc00", "a\ud83d\ud83d"])
async def test_half_a_character_is_not_called_empty(client: httpx.AsyncClient, text: str) -> None:
    """Clients let empty comments pass."""
    body = {"comment": {"text": text}, "requestedAttributes": {"TOXICITY": {}}}
    answer = await client.post(ANALYZE, content=json.dumps(body))
    error = error_of(answer, 400, "INVALID_ARGUMENT")
    assert error["details"][0]["errorType"] == "INVALID_REQUEST"
    assert "surrogate" in error["message"]
