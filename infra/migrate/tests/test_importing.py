"""Importing: the logs that communities have."""

import json

import pytest

from toxic_core.errors import InvalidDataError
from toxic_migrate.importing import read_log

REQUEST = {"comment": {"text": "have a day"}, "languages": ["en-GB"], "requestedAttributes": {"TOXICITY": {}}}
ANSWER = {
    "attributeScores": {
        "TOXICITY": {"summaryScore": {"value": 0.5}, "spanScores": [{"score": {"value": 0.9}}]},
        "THREAT": {"summaryScore": {"type": "PROBABILITY"}},
    },
    "languages": ["en"],
}
BOTH = ("have a day", "en", {"TOXICITY": 0.5, "THREAT": 0.0})
CORAL = {
    "body": "<div>have&nbsp;a <b>day</b></div>",
    "metadata": {"perspective": {"model": "THREAT", "score": 0.2}},
}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"request": REQUEST, "response": ANSWER}, BOTH),
        ({"time": 3, "res": {"status": 200, "body": ANSWER}, "req": {"body": REQUEST}}, BOTH),
        ({"jsonPayload": {"request": json.dumps(REQUEST), "response": json.dumps(ANSWER)}}, BOTH),
        ([{"request": REQUEST, "response": ANSWER}], BOTH),
        (
            {"comment_text": "a day", "detectedLanguages": ["fr"], "TOXICITY": "0.25", "ID": 1},
            ("a day", "fr", {"TOXICITY": 0.25}),
        ),
        (
            {"text": "a day", "attributeScores_INSULT_summaryScore_value": 0.25, "TOXICITY": None},
            ("a day", "", {"INSULT": 0.25}),
        ),
        (
            {"text": "a day", "response.attributeScores.OFF_TOPIC.summaryScore.value": 0.25},
            ("a day", "", {"OFF_TOPIC": 0.25}),
        ),
        (
            {
                "text": "a day",
                "attributeScores": {
                    "TOXICITY": {"summaryScore": {"value": 0.5}},
                    "INSULT": None,
                    "THREAT": {"summaryScore": None},
                    "PROFANITY": {"summaryScore": {"value": None}},
                    "OBSCENE": {"spanScores": []},
                    "FLIRTATION": 10**400,
                },
            },
            ("a day", "", {"TOXICITY": 0.5}),
        ),
        (
            {"text": "a day", "attributeScores": {"TOXICITY": 0.9, "INSULT": {"summaryScore": "0.25"}}},
            ("a day", "", {"TOXICITY": 0.9, "INSULT": 0.25}),
        ),
        (CORAL, (" have\xa0a  day  ", "", {"THREAT": 0.2})),
        ({"id": "c", "revisions": [{"body": "old"}, CORAL]}, (" have\xa0a  day  ", "", {"THREAT": 0.2})),
        (
            {"raw": "a day", "name": "post_perspective_toxicity", "value": "0.75"},
            ("a day", "", {"TOXICITY": 0.75}),
        ),
        (
            {"raw": "a day", "custom_fields": {"post_etiquette_severe_toxicity": 0.75}},
            ("a day", "", {"SEVERE_TOXICITY": 0.75}),
        ),
    ],
)
def test_a_form_is_read(value: object, found: tuple[str, str, dict[str, float]]) -> None:
    """Text, language and scores, however deep they are."""
    assert list(read_log(iter([json.dumps(value)]))) == [found]


def test_lines_without_a_score_are_left_out() -> None:
    """Errors, empty lines, and other requests."""
    lines = ["", json.dumps({"request": REQUEST, "response": {"error": {}}}), json.dumps(ANSWER), "3"]
    assert list(read_log(iter(lines))) == []


def test_a_line_that_is_not_json_is_an_error_with_its_number() -> None:
    """So that a wrong export isn't read in part."""
    with pytest.raises(InvalidDataError, match="Line 2"):
        list(read_log(iter(["{}", "hello"])))
