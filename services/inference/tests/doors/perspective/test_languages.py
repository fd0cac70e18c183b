"""The languages of a comment: declared, identified, or none."""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest

from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend, PerspectiveRules
from toxic_inference.serving.interfaces import Text
from toxic_model.identification import identify
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.perspective import ANALYZE, SUGGEST, asked, error_of, suggested

pytestmark = pytest.mark.anyio

UNEVALUATED = "x-unevaluated-languages"


@pytest.fixture(autouse=True)
def model(core: FakeCore) -> None:
    """A model for three languages."""
    core.contract = core.contract.model_copy(update={"languages": ("en", "es", "pt")})


@pytest.fixture
async def lenient(backend: Backend) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a Portuguese service that scores any language."""
    measured = replace(
        backend,
        perspective=PerspectiveRules(score_any_language=True),
        identify_language=partial(identify, default="pt"),
    )
    transport = httpx.ASGITransport(create_api(measured, DOORS))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.mark.parametrize(
    ("body", "languages", "detected"),
    [
        (asked("hello", languages=["en"]), ["en"], ["en"]),
        (asked("hola", languages=["en"]), ["en"], ["es"]),
        (asked("hola"), ["es"], ["es"]),
        (asked("123", languages=["es"]), ["es"], ["und"]),
        (asked("hola", languages=["und"]), ["es"], ["es"]),
    ],
)
async def test_the_detected_language_is_always_answered(
    client: httpx.AsyncClient, body: dict[str, Any], languages: list[str], detected: list[str]
) -> None:
    """As identified from the text, whatever the request declares."""
    answer = (await client.post(ANALYZE, json=body)).json()
    assert (answer["languages"], answer["detectedLanguages"]) == (languages, detected)


@pytest.mark.parametrize(
    ("declared", "echoed"),
    [
        (["en-AU"], ["en-AU"]),
        (["ES"], ["ES"]),
        (["pt_PT", "pt", "pt_PT"], ["pt_PT", "pt"]),
        (["fr-CA", "en-us"], ["en-us"]),
        (["und"], ["en"]),
    ],
)
async def test_languages_are_answered_as_they_were_declared(
    client: httpx.AsyncClient, declared: list[str], echoed: list[str]
) -> None:
    """Those that the comment was scored in, with their regions, and in suggestions too."""
    answer = (await client.post(ANALYZE, json=asked("hello", languages=declared))).json()
    assert answer["languages"] == echoed
    given = [code for code in declared if code not in {"und", "fr-CA"}]
    suggestion = (await client.post(SUGGEST, json=suggested("hello", languages=given))).json()
    assert suggestion.get("requestedLanguages", ["en"]) == echoed


@pytest.mark.parametrize(("text", "detected"), [("hola", "es"), ("👍", "und")])
async def test_a_suggestion_has_it_too(client: httpx.AsyncClient, text: str, detected: str) -> None:
    """Beside the requested ones."""
    answer = (await client.post(SUGGEST, json=suggested(text, languages=["en"]))).json()
    assert answer == {"requestedLanguages": ["en"], "detectedLanguages": [detected]}


@pytest.mark.parametrize("text", ["👍👍", ":)", "12345", "???", "<3", "12:30", "¯\\_(²)_/¯", "+1", "(°Д°)"])
async def test_a_text_without_words_is_scored_in_the_default_language(
    lenient: httpx.AsyncClient, core: FakeCore, text: str
) -> None:
    """A moderation queue is full of them."""
    answer = await lenient.post(ANALYZE, json=asked(text))
    assert answer.status_code == 200, answer.text
    assert answer.json()["languages"] == ["pt"]
    assert answer.json()["detectedLanguages"] == ["und"]
    assert core.texts[-1] == Text(text, "pt")


async def test_a_text_without_letters_is_never_refused(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Not even if the model wasn't evaluated for the default language."""
    core.contract = core.contract.model_copy(update={"languages": ("tr",)})
    answer = await client.post(ANALYZE, json=asked("👍"))
    assert answer.status_code == 200, answer.text
    assert core.texts[-1] == Text("👍", None)


@pytest.mark.parametrize(
    ("declared", "scored", "calibration"),
    [
        (["en", "de"], ["en"], "en"),
        (["de", "pt-BR", "fr"], ["pt-BR"], "pt"),
        (["de", "es", "en"], ["es", "en"], None),
        (["pt", "en", "es"], ["pt", "en", "es"], None),
    ],
)
async def test_one_supported_language_suffices(
    client: httpx.AsyncClient,
    core: FakeCore,
    declared: list[str],
    scored: list[str],
    calibration: str | None,
) -> None:
    """The answer has the ones that it was scored in."""
    answer = await client.post(ANALYZE, json=asked(languages=declared))
    assert answer.json()["languages"] == scored
    assert core.texts == [Text("hello", calibration)]


@pytest.mark.parametrize("declared", [["de"], ["de", "fr"], ["hi-Latn"]])
async def test_other_languages_are_refused_by_default(
    client: httpx.AsyncClient, core: FakeCore, declared: list[str]
) -> None:
    """With Google's error."""
    answer = await client.post(ANALYZE, json=asked("hello", "INSULT", languages=declared))
    (detail,) = error_of(answer, 400, "INVALID_ARGUMENT")["details"]
    assert detail["errorType"] == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
    assert detail["languageNotSupportedByAttributeError"]["attribute"] == "INSULT"
    assert core.texts == []


async def test_a_setting_scores_other_languages_and_says_so(
    lenient: httpx.AsyncClient, core: FakeCore
) -> None:
    """A header names the languages that the model wasn't evaluated for."""
    answer = await lenient.post(ANALYZE, json=asked(languages=["de", "fr"]))
    assert answer.json()["languages"] == ["de", "fr"]
    assert answer.headers[UNEVALUATED] == "de, fr"
    core.contract = core.contract.model_copy(update={"languages": ("tr",)})
    answer = await lenient.post(ANALYZE, json=asked("hola"))
    assert answer.json()["detectedLanguages"] == ["pt"], "one word is in the site's language"
    assert answer.headers[UNEVALUATED] == "pt"
    assert UNEVALUATED not in (await lenient.post(ANALYZE, json=asked(languages=["tr"]))).headers
