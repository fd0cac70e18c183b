"""Values that are not the published types, as protobuf's JSON readers take them."""

from typing import Any

import httpx
import pytest

from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.serving.interfaces import Terms, Text
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.perspective import ANALYZE, SUGGEST, asked, error_of, suggested

pytestmark = pytest.mark.anyio

TRUE = [True, "true", "True", "TRUE", "t", "yes", "Yes", "y", "1"]
NOT_A_BOOL = [1, 0, 1.0, "on", "si", "", [True], {}, "tru", [], "2"]


@pytest.mark.parametrize("name", ["doNotStore", "do_not_store"])
@pytest.mark.parametrize("value", TRUE)
async def test_do_not_store_is_honoured_in_every_accepted_spelling(
    client: httpx.AsyncClient,
    core: FakeCore,
    feedback_store: DatabaseFeedbackStore,
    name: str,
    value: object,
) -> None:
    """Neither a suggestion's text nor an analysis's scores are kept."""
    suggestion = suggested("a secret") | {name: value}
    assert (await client.post(SUGGEST, json=suggestion)).status_code == 200
    ((_, correction),) = feedback_store.page(after=0, limit=9)
    assert correction.text is None
    assert (await client.post(ANALYZE, json=asked() | {name: value})).status_code == 200
    assert core.terms[-1] == Terms(store=False, caller="127.0.0.1")


@pytest.mark.parametrize("name", ["doNotStore", "do_not_store"])
@pytest.mark.parametrize("value", NOT_A_BOOL)
async def test_do_not_store_is_never_guessed(
    client: httpx.AsyncClient,
    core: FakeCore,
    feedback_store: DatabaseFeedbackStore,
    name: str,
    value: object,
) -> None:
    """A value that is not a boolean is refused before a text is kept or scored."""
    for path, body in ((SUGGEST, suggested()), (ANALYZE, asked())):
        error = error_of(await client.post(path, json=body | {name: value}), 400, "INVALID_ARGUMENT")
        assert "Invalid value at 'doNotStore' (TYPE_BOOL)" in error["message"]
    assert feedback_store.page(after=0, limit=9) == []
    assert core.texts == []


@pytest.mark.parametrize("other", [True, False, None, "no"])
async def test_a_member_under_both_of_its_names_is_refused(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore, other: object
) -> None:
    """One of the two would be ignored."""
    both = {"doNotStore": other, "do_not_store": True}
    for path, body in ((SUGGEST, suggested()), (ANALYZE, asked())):
        error = error_of(await client.post(path, json=body | both), 400, "INVALID_ARGUMENT")
        assert "do_not_store" in error["message"]
        error_of(await client.post(path, json=body | {"donotstore": True}), 400, "INVALID_ARGUMENT")
    assert feedback_store.page(after=0, limit=9) == []


@pytest.mark.parametrize("value", [False, "false", "F", "no", "N", "0", None])
async def test_without_do_not_store_a_suggestion_is_kept(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore, value: object
) -> None:
    """A false one is the default."""
    assert (await client.post(SUGGEST, json=suggested(doNotStore=value))).status_code == 200
    ((_, correction),) = feedback_store.page(after=0, limit=9)
    assert correction.text == "hello"


@pytest.mark.parametrize(
    "name", ["PROBABILITY", "probability", "Probability", 1, 1.0, "1", 0, "score_type_unspecified", None]
)
async def test_enums_have_names_in_any_case_and_numbers(client: httpx.AsyncClient, name: object) -> None:
    """The numbers are those of the published order."""
    body = asked()
    body["requestedAttributes"]["TOXICITY"] = {"scoreType": name}
    answer = await client.post(ANALYZE, json=body)
    assert answer.status_code == 200, answer.text
    score = answer.json()["attributeScores"]["TOXICITY"]["summaryScore"]
    assert score == {"value": 0.05, "type": "PROBABILITY"}


@pytest.mark.parametrize("name", [1, "plain_text", "Plain-Text", "plainText", "1"])
async def test_text_types_too(client: httpx.AsyncClient, name: object) -> None:
    """A text type in the comment and in its context."""
    body = asked(context={"entries": [{"text": "before", "type": name}]})
    body["comment"]["type"] = name
    assert (await client.post(ANALYZE, json=body)).status_code == 200


@pytest.mark.parametrize("name", [2, "2", "html", "Html"])
async def test_a_coerced_value_means_what_it_says(client: httpx.AsyncClient, name: object) -> None:
    """HTML is refused under each of its names, for the published reason."""
    body = asked()
    body["comment"]["type"] = name
    error = error_of(await client.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    assert error["message"] == "Currently, only 'PLAIN_TEXT' comments are supported"


@pytest.mark.parametrize("name", [-1, 99, 1.5, True, "PDF", "", [1]])
async def test_other_enum_values_are_refused(client: httpx.AsyncClient, name: object) -> None:
    """Numbers and names that the enum lacks, and other types."""
    body = asked()
    body["comment"]["type"] = name
    error = error_of(await client.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    assert "Invalid value at 'comment.type' (TYPE_ENUM)" in error["message"]


async def test_a_single_value_is_a_list_of_one(client: httpx.AsyncClient, core: FakeCore) -> None:
    """A language, an entry of the context, and a span."""
    body = asked(languages="en", context={"entries": {"text": "before"}})
    assert (await client.post(ANALYZE, json=body)).status_code == 200
    assert core.texts == [Text("hello", "en")]
    span = {"begin": "0", "end": "2", "score": {"value": "0.9"}}
    answer = await client.post(
        SUGGEST,
        json={"comment": {"text": "hello"}, "attributeScores": {"TOXICITY": {"spanScores": span}}},
    )
    assert answer.status_code == 200, answer.text


async def test_an_empty_list_is_an_empty_message(client: httpx.AsyncClient) -> None:
    """PHP can't tell the two apart."""
    body: dict[str, Any] = asked(context=[])
    body["requestedAttributes"] = {"TOXICITY": [], "INSULT": []}
    answer = await client.post(ANALYZE, json=body)
    assert answer.json()["attributeScores"].keys() == {"TOXICITY", "INSULT"}
    error = error_of(
        await client.post(ANALYZE, json=asked() | {"requestedAttributes": []}), 400, "INVALID_ARGUMENT"
    )
    assert error["message"] == "Missing requested_attributes"


@pytest.mark.parametrize(
    "parameters", [{"scoreThreshold": "0.5"}, {"score_threshold": " 5e-1"}, {"scoreThreshold": ".5"}]
)
async def test_numbers_may_be_strings(client: httpx.AsyncClient, parameters: dict[str, object]) -> None:
    """A threshold, with either of its names."""
    body = asked("a" * 60, spanAnnotations="yes")
    body["requestedAttributes"] = {"TOXICITY": parameters, "INSULT": {"scoreThreshold": "0.99"}}
    assert (await client.post(ANALYZE, json=body)).json()["attributeScores"].keys() == {"TOXICITY"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (asked() | {"requestedAttributes": {"TOXICITY": {"scoreThreshold": threshold}}}, "scoreThreshold")
        for threshold in (True, False, "NaN", "Infinity", "-inf", "1_0", "", "0,5", [0.5], "0x1", "1e999")
    ]
    + [
        (asked() | {"comment": {"text": 3}}, "comment.text"),
        (asked() | {"comment": {"text": ["hello"]}}, "comment.text"),
        (asked(languages=5), "languages[0]"),
        (asked(languages=[["en"]]), "languages[0]"),
        (asked(languages=[None]), "languages[0]"),
        (asked(clientToken=5), "clientToken"),
        (asked(spanAnnotations="maybe"), "spanAnnotations"),
        (asked(context={"entries": "before"}), "context.entries[0]"),
        (asked() | {"requestedAttributes": ["TOXICITY"]}, "requestedAttributes"),
        (asked() | {"requestedAttributes": {"TOXICITY": [{}]}}, "requestedAttributes.TOXICITY"),
        (asked() | {"requestedAttributes": {"TOXICITY": ""}}, "requestedAttributes.TOXICITY"),
    ],
)
async def test_what_protobuf_does_not_convert_is_refused(
    client: httpx.AsyncClient, core: FakeCore, body: dict[str, Any], field: str
) -> None:
    """A value never gets another meaning."""
    error = error_of(await client.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    assert f"{field}'" in error["message"]
    assert core.texts == []
