"""Google's client for Python, with only its address changed, and the published messages."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from googleapiclient import discovery
from googleapiclient.errors import HttpError

TEXT = "You are a stupid idiot. Have a lovely day."
ATTRIBUTES = ("TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT")
GO_CLIENT = Path(
    "/usr/share/gocode/src/google.golang.org/api/commentanalyzer/v1alpha1/commentanalyzer-gen.go"
)


@pytest.fixture
def service(address: str) -> Iterator[Any]:
    """Google's Python client, as the Perspective API's own documentation makes it."""
    with discovery.build(
        "commentanalyzer",
        "v1alpha1",
        developerKey="any",
        discoveryServiceUrl=f"{address}/$discovery/rest?version=v1alpha1",
        static_discovery=False,
    ) as service:
        yield service


def test_google_s_python_client(service: Any) -> None:
    """Scores, spans and the token, through methods made from our discovery document."""
    request = {
        "comment": {"text": TEXT},
        "requestedAttributes": {name: {} for name in ATTRIBUTES},
        "spanAnnotations": True,
        "clientToken": "token",
        "doNotStore": True,
    }
    answer = service.comments().analyze(body=request).execute()
    assert answer["attributeScores"].keys() == set(ATTRIBUTES)
    assert (answer["languages"], answer["detectedLanguages"], answer["clientToken"]) == (
        ["en"],
        ["en"],
        "token",
    )
    toxicity = answer["attributeScores"]["TOXICITY"]
    assert 0 < toxicity["summaryScore"]["value"] < 1
    assert [TEXT[s["begin"] : s["end"]] for s in toxicity["spanScores"]] == [
        "You are a stupid idiot.",
        "Have a lovely day.",
    ]


def test_google_s_python_client_reads_our_errors(service: Any) -> None:
    """The client finds status, reason and details."""
    request = {"comment": {"text": ""}, "requestedAttributes": {"TOXICITY": {}}}
    with pytest.raises(HttpError) as caught:
        service.comments().analyze(body=request).execute()
    assert caught.value.status_code == 400
    assert caught.value.reason == "Comment must be non-empty."
    assert caught.value.error_details[0]["errorType"] == "COMMENT_EMPTY"


def test_google_s_python_client_suggests(service: Any, address: str) -> None:
    """The export contains its suggestion."""
    scores = {"THREAT": {"summaryScore": {"value": 0}}}
    request = {"comment": {"text": TEXT}, "attributeScores": scores, "clientToken": "from-python"}
    answer = service.comments().suggestscore(body=request).execute()
    assert answer == {"clientToken": "from-python", "detectedLanguages": ["en"]}
    rows = [json.loads(line) for line in httpx.get(f"{address}/feedback?format=ndjson").text.splitlines()]
    assert [row["text"] for row in rows if row["threat"] == 0] == [TEXT]


@pytest.fixture
def go_client() -> Path:
    """The source of Google's client for Go."""
    assert GO_CLIENT.exists(), (
        "This test needs Google's Go client (Debian: apt-get install golang-go golang-google-api-dev)."
    )
    return GO_CLIENT


def go_type(schema: dict[str, Any]) -> str:
    """Return the Go type that Google's generator gives a discovery schema."""
    if "$ref" in schema:
        return str(schema["$ref"])
    if schema["type"] == "array":
        return "[]" + go_type(schema["items"])
    if schema["type"] == "object":
        return "map[string]" + go_type(schema["additionalProperties"])
    return {"string": "string", "boolean": "bool", "number": "float64", "integer": "int64"}[schema["type"]]


def test_the_discovery_document_has_the_published_messages(address: str, go_client: Path) -> None:
    """The very messages, members and types that Google's generator found in the published one."""
    structures = re.findall(
        r"^type (\w+) struct \{\n(.*?)^\}", go_client.read_text(), re.MULTILINE | re.DOTALL
    )
    published = {
        name: {m[1]: m[0].replace("*", "") for m in re.findall(r"\s(\S+) `json:\"(\w+)", body)}
        for name, body in structures
    }
    document = httpx.get(f"{address}/$discovery/rest", params={"version": "v1alpha1"}).json()
    ours = {
        name: {member: go_type(schema) for member, schema in message["properties"].items()}
        for name, message in document["schemas"].items()
    }
    # Published after that client was generated.
    ours["AnalyzeCommentRequest"].pop("dropUnsupportedAttributes")
    assert ours == {name: members for name, members in published.items() if members and name in ours}
    assert published.keys() - ours.keys() == {
        name for name in published if name.endswith(("Call", "Service"))
    }
