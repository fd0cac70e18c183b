import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic.json_schema import models_json_schema

from toxic_core.errors import NoVersionReadyError, OverloadedError
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.doors.perspective import messages
from toxic_inference.serving.errors import InferenceError
from toxic_inference.serving.interfaces import Lane, Terms, Text
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio

ANALYZE = "/v1alpha1/comments:analyze"
SUGGEST = "/v1alpha1/comments:suggestscore"
OWN_ERROR = "type.googleapis.com/google.commentanalyzer.v1alpha1.Error"


def asked(text: str = "hello", *attributes: str, **members: Any) -> dict[str, Any]:
    """Return an analyze request."""
    requested: dict[str, Any] = {name: {} for name in attributes or ("TOXICITY",)}
    return {"comment": {"text": text}, "requestedAttributes": requested, **members}


def error_of(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    """Check an error's status and Google's shape; return it."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert (error["code"], error["status"]) == (status, name)
    assert error.keys() <= {"code", "message", "status", "details"}
    return error


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
        "clientToken": "t-1",
    }
    assert core.texts == [Text("a" * 30, "en")]
    assert core.lanes == [Lane.INTERACTIVE]
    assert core.leases == 0
    assert core.terms == [Terms(store=False)]


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
    """Regions are dropped, the order is kept."""
    core.contract = core.contract.model_copy(update={"languages": ("en", "pt")})
    answer = await client.post(ANALYZE, json=asked("hello", languages=["pt-BR", "en", "pt"]))
    assert answer.json()["languages"] == ["pt", "en"]
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


@pytest.mark.parametrize(
    ("body", "says", "kind"),
    [
        ({"requestedAttributes": {"TOXICITY": {}}}, "Comment must be non-empty.", "COMMENT_EMPTY"),
        (asked(""), "Comment must be non-empty.", "COMMENT_EMPTY"),
        (asked(" \u200b"), "Comment must be non-empty.", "COMMENT_EMPTY"),
        (asked("x" * 201), "Comment text too long.", "COMMENT_TOO_LONG"),
        ({"comment": {"text": "a"}}, "Missing requested_attributes", "NO_REQUESTED_ATTRIBUTES"),
        (asked("a", "FLIRTATION"), "Unknown requested attribute: FLIRTATION", "INVALID_REQUEST"),
        (asked("123"), "Unable to detect language", "LANGUAGE_DETECTION_FAILED"),
        (asked("a", languages=["??"]), "Invalid language code: '??'", "INVALID_REQUEST"),
        (
            {"comment": {"text": "a", "type": "HTML"}, "requestedAttributes": {"TOXICITY": {}}},
            "Currently, only 'PLAIN_TEXT' comments are supported",
            "INVALID_REQUEST",
        ),
        (
            {"comment": {"text": "a"}, "requestedAttributes": {"TOXICITY": {"scoreType": "RAW"}}},
            "Requested score type RAW is not supported by attribute TOXICITY",
            "INVALID_REQUEST",
        ),
        (
            asked("a", context={"entries": [{}], "articleAndParentComment": {}}),
            "Context can have either entries or article_and_parent_comment, but both fields were populated.",
            "INVALID_REQUEST",
        ),
    ],
)
async def test_refusals_are_the_published_ones(
    client: httpx.AsyncClient, body: Any, says: str, kind: str
) -> None:
    """Message and error type as the API's documentation has them, all with status 400."""
    error = error_of(await client.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    assert error["message"] == says
    assert error["details"] == [{"@type": OWN_ERROR, "errorType": kind}]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (asked("hallo", "INSULT", languages=["de"]), {"requestedLanguages": ["de"]}),
        (asked("hola", "INSULT"), {"detectedLanguages": ["es"]}),
    ],
)
async def test_a_language_the_version_wasn_t_evaluated_for_is_refused(
    client: httpx.AsyncClient, body: Any, named: dict[str, list[str]]
) -> None:
    """The detail names the attribute, the languages, and whether they were asked for or found."""
    error = error_of(await client.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    (language,) = next(iter(named.values()))
    assert error["message"] == f"Attribute INSULT does not support request languages: {language}"
    (detail,) = error["details"]
    assert detail["errorType"] == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
    assert detail["languageNotSupportedByAttributeError"] == {**named, "attribute": "INSULT"}


@pytest.mark.parametrize(
    ("body", "says", "field"),
    [
        (asked("a", nonsense=1), 'Unknown name "nonsense": Cannot find field.', None),
        (
            {"comment": {"text": "a", "lang": "en"}},
            "Unknown name \"lang\" at 'comment': Cannot find field.",
            "comment",
        ),
        ({"comment": {"text": 3}}, "Invalid value at 'comment.text' (TYPE_STRING)", "comment.text"),
        ({"comment": "a"}, "Invalid value at 'comment' (TYPE_MESSAGE)", "comment"),
        (asked("a", doNotStore="yes"), "Invalid value at 'doNotStore' (TYPE_BOOL)", "doNotStore"),
        (asked("a", languages="en"), "Invalid value at 'languages' (TYPE_MESSAGE)", "languages"),
        ({"comment": {"text": "a", "type": "PDF"}}, "Invalid value at 'comment.type'", "comment.type"),
        ([], "must be a JSON object", None),
    ],
)
async def test_json_that_isn_t_the_message_is_named_as_google_names_it(
    client: httpx.AsyncClient, body: Any, says: str, field: str | None
) -> None:
    """The front end's own words, with the violated field in the detail."""
    error = error_of(await client.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    assert says in error["message"]
    (detail,) = error["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    (violation,) = detail["fieldViolations"]
    assert violation.get("field") == field


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (OverloadedError("The queue is full.", retry_after_seconds=3), 429, "RESOURCE_EXHAUSTED"),
        (NoVersionReadyError("No version is available yet."), 503, "UNAVAILABLE"),
        (InferenceError("The model failed."), 500, "INTERNAL"),
        (RuntimeError("secret"), 500, "INTERNAL"),
    ],
)
async def test_the_core_s_errors_have_google_s_shape(
    client: httpx.AsyncClient, core: FakeCore, error: Exception, status: int, name: str
) -> None:
    """Overload, no version and a failure too; an unforeseen error has no details."""
    core.error = error
    answer = await client.post(ANALYZE, json=asked())
    assert "secret" not in error_of(answer, status, name)["message"]
    assert ("retry-after" in answer.headers) is (status in {429, 503})


async def test_errors_of_the_framework_have_google_s_shape(client: httpx.AsyncClient) -> None:
    """Broken JSON, another content type, a wrong method, an unknown path and a body that is too large."""
    json = {"content-type": "application/json"}
    error_of(await client.post(ANALYZE, content=b"{", headers=json), 400, "INVALID_ARGUMENT")
    error_of(await client.post(ANALYZE, data={"text": "a"}), 400, "INVALID_ARGUMENT")
    error_of(await client.post(ANALYZE, content=b" " * 5_000, headers=json), 400, "INVALID_ARGUMENT")
    error_of(await client.get(ANALYZE), 404, "NOT_FOUND")
    error_of(await client.post("/v1alpha1/comments:nothing", json={}), 404, "NOT_FOUND")
    error_of(await client.get("/$discovery/rest", params={"version": "v9"}), 404, "NOT_FOUND")


async def test_a_departed_caller_cancels_the_work(
    client: httpx.AsyncClient, core: FakeCore, turn: Callable[..., Any]
) -> None:
    """The computation is cancelled."""
    core.held = asyncio.Event()
    task = asyncio.create_task(client.post(ANALYZE, json=asked()))
    await turn(lambda: bool(core.lanes))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert core.cancelled
    assert core.leases == 0


async def test_a_suggestion_is_filed(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore, metric: Callable[..., float]
) -> None:
    """From a score of a half on, the label applies to the comment; sent twice it counts once."""
    body = {
        "comment": {"text": "hello"},
        "attributeScores": {
            "TOXICITY": {"summaryScore": {"value": 1}},
            "INSULT": {"summaryScore": {"value": 0, "type": "PROBABILITY"}},
            "THREAT": {"spanScores": [{"begin": 0, "end": 2, "score": {"value": 0.9}}]},
        },
        "languages": ["en-GB"],
        "communityId": "/forum/movies",
        "clientToken": "comment-53922",
    }
    for _ in range(2):
        answer = await client.post(SUGGEST, json=body)
        assert answer.json() == {"clientToken": "comment-53922", "requestedLanguages": ["en"]}
    ((_, feedback),) = feedback_store.page(after=0, limit=9)
    assert (feedback.text, feedback.language, feedback.actor) == ("hello", "en", "/forum/movies")
    assert feedback.labels == {"toxic": True, "insult": False, "threat": True}
    assert metric("toxic_inference_feedback_total", source="perspective") == 1
    assert metric("toxic_inference_feedback_labels_total", label="insult", said="no") == 1


@pytest.mark.parametrize("name", ["doNotStore", "do_not_store"])
async def test_a_suggestion_that_mustn_t_be_stored_leaves_no_text(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore, name: str
) -> None:
    """The judgement is stored without the comment; its language is identified first."""
    scores = {"TOXICITY": {"summaryScore": {"value": 0.2}}}
    answer = await client.post(
        SUGGEST, json={"comment": {"text": "hola"}, "attributeScores": scores, name: True}
    )
    assert answer.json() == {"detectedLanguages": ["es"]}
    ((_, feedback),) = feedback_store.page(after=0, limit=9)
    assert (feedback.text, feedback.language, feedback.labels) == (None, "es", {"toxic": False})


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        (None, "Missing attribute_scores"),
        ({}, "Missing attribute_scores"),
        ({"NOTHING": {"summaryScore": {"value": 1}}}, "Unknown requested attribute: NOTHING"),
        ({"TOXICITY": {}}, "Missing scores of attribute TOXICITY"),
        ({"TOXICITY": {"summaryScore": {}}}, "All scores of TOXICITY must have a value"),
        ({"TOXICITY": {"summaryScore": {"value": 2}}}, "Scores of TOXICITY must be from 0 to 1"),
        (
            {"TOXICITY": {"spanScores": [{"score": {"value": 1}}]}},
            "All span scores of TOXICITY must have begin and end",
        ),
        (
            {"TOXICITY": {"summaryScore": {"value": 1, "type": "RAW"}}},
            "Requested score type RAW is not supported by attribute TOXICITY",
        ),
    ],
)
async def test_a_suggestion_that_says_nothing_is_refused(
    client: httpx.AsyncClient, scores: Any, says: str
) -> None:
    """As the published API refuses malformed suggestions."""
    answer = await client.post(SUGGEST, json={"comment": {"text": "a"}, "attributeScores": scores})
    assert error_of(answer, 400, "INVALID_ARGUMENT")["message"] == says


async def test_the_discovery_document_names_no_other_host(client: httpx.AsyncClient) -> None:
    """Its address is the one it was asked at, and every schema it refers to is in it."""
    document = (await client.get("/$discovery/rest", params={"version": "v1alpha1"})).json()
    assert document["rootUrl"] == document["baseUrl"] == "http://service/"
    assert document["resources"]["comments"]["methods"].keys() == {"analyze", "suggestscore"}
    referred = {m["request"]["$ref"] for m in document["resources"]["comments"]["methods"].values()}
    assert referred <= document["schemas"].keys()


def discovered(schema: dict[str, Any], enums: dict[str, Any]) -> dict[str, Any]:
    """Return the discovery document's form of a JSON schema; null is left out in proto3."""
    described = {"description": schema["description"]} if "description" in schema else {}
    if "anyOf" in schema:
        return discovered(schema["anyOf"][0], enums) | described
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in enums:
            values = enums[name]["enum"]
            return {"type": "string", "enum": values, "enumDescriptions": [""] * len(values)} | described
        return {"$ref": name} | described
    kept = {key: schema[key] for key in ("type", "format") if key in schema}
    inner = {
        key: discovered(schema[key], enums) for key in ("items", "additionalProperties") if key in schema
    }
    return kept | inner | described


async def test_the_discovery_document_has_what_the_routes_read(client: httpx.AsyncClient) -> None:
    """Its schemas have the members, types and descriptions of the messages."""
    models = [cls for name, cls in vars(messages).items() if name.endswith(("Request", "Response"))]
    schemas = models_json_schema([(model, "validation") for model in models])[1]["$defs"]
    enums = {name: schema for name, schema in schemas.items() if "enum" in schema}
    document = (await client.get("/$discovery/rest")).json()
    assert document["schemas"] == {
        name: {
            "id": name,
            "type": "object",
            "description": schema["description"],
            "properties": {
                member: discovered(each, enums)
                for member, each in schema["properties"].items()
                if isinstance(each, dict)
            },
        }
        for name, schema in schemas.items()
        if name not in enums
    }
