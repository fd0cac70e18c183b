"""The door for clients of MLflow's scoring server, over a fake core."""

import re
from typing import Any

import httpx
import pandas as pd
import pytest

from toxic_inference import __version__
from toxic_inference.policies.file import Policies
from toxic_inference.serving.interfaces import Text
from toxic_testing.inference.core import TRUNCATED_FROM, FakeCore

pytestmark = pytest.mark.anyio

PATH = "/invocations"
SPLIT = {"columns": ["id", "text"], "data": [[1, "hello"], [2, "b" * 60]], "index": [0, 1]}
RECORDS = [{"id": 1, "text": "hello"}, {"text": "b" * 60, "id": 2}]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_records": RECORDS, "unknown": 1},
        {"instances": ["hello", "b" * 60]},
        {"instances": RECORDS, "params": {}},
        {"instances": [{"b64": "aGVsbG8="}, "b" * 60]},
        {"inputs": ["hello", "b" * 60]},
        {"inputs": [["hello"], ["b" * 60]]},
        {"inputs": {"text": ["hello", "b" * 60]}, "params": None},
        {"inputs": RECORDS},
    ],
)
async def test_every_form_of_mlflow_s_json(client: httpx.AsyncClient, core: FakeCore, body: Any) -> None:
    """Each text gets a row of scores by label, as from the registered version."""
    answer = await client.post(PATH, json=body)
    labels = core.contract.labels
    assert answer.json() == {"predictions": [dict.fromkeys(labels, 0.05), dict.fromkeys(labels, 0.6)]}
    assert answer.headers["x-model-version"] == "7"
    assert core.texts == [Text("hello", "en"), Text("b" * 60, "en")]


async def test_a_text_alone_and_its_language(client: httpx.AsyncClient, core: FakeCore) -> None:
    """By a column, else by the parameter, else identified."""
    for body in (
        {"inputs": "hello"},
        {"inputs": "hello", "params": {"language": "pt-BR"}},
        {"dataframe_records": [{"text": "hello", "lang": "fr"}], "params": {"language": "pt"}},
    ):
        assert (await client.post(PATH, json=body)).status_code == 200
    assert [text.language for text in core.texts] == ["en", "pt", "fr"]


FRAME = pd.DataFrame({"comment": ["hello", "b" * 60], "lang": ["es", None]})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/csv", FRAME.to_csv(index=False).encode()),
        ("text/csv; charset=utf-16", FRAME.to_csv(index=False, sep=";").encode("utf-16")),
        ("application/jsonlines", FRAME.to_json(orient="records", lines=True).encode()),
        ("application/vnd.apache.parquet", FRAME.to_parquet(index=False)),
    ],
)
async def test_tables_are_read_as_everywhere(
    client: httpx.AsyncClient, core: FakeCore, kind: str, body: bytes
) -> None:
    """CSV and Parquet, as MLflow takes them, and JSON lines, as SageMaker's clients send."""
    answer = await client.post(PATH, content=body, headers={"content-type": kind})
    assert [row["toxic"] for row in answer.json()["predictions"]] == [0.05, 0.6]
    assert core.texts == [Text("hello", "es"), Text("b" * 60, "en")]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ([], 400, "JSON object"),
        ({}, 400, "exactly one of dataframe_split"),
        ({"inputs": ["a"], "instances": ["a"]}, 400, "the body has 2"),
        ({"inputs": []}, 400, "no rows"),
        ({"inputs": 3}, 400, "list of texts"),
        ({"inputs": [3]}, 400, r"inputs\[0\] must have a text"),
        ({"inputs": ["a", [""]]}, 400, r"inputs\[1\] is empty"),
        ({"inputs": {"text": ["a"], "lang": []}}, 400, "different lengths"),
        ({"inputs": [{"text": "a"}, "b"]}, 400, "same columns"),
        ({"instances": [{"text": "a"}, {"body": "b"}]}, 400, "same columns"),
        ({"instances": [{"text": "a", "body": "b"}]}, 400, "'text', 'body'"),
        ({"instances": [{"title": "a"}]}, 400, "no column of texts"),
        ({"instances": [{"text": "a", "lang": "not a code"}]}, 400, "language code"),
        ({"dataframe_split": {"columns": ["text"], "data": [["a", "b"]]}}, 400, "2 cells"),
        ({"dataframe_split": [["a"]]}, 400, "dataframe_split"),
        ({"inputs": ["a"], "params": {"temperature": 1}}, 400, "params.temperature"),
        ({"inputs": ["a"] * 6}, 413, "limit is 5"),
        ({"inputs": ["a" * 201]}, 413, "201 bytes"),
    ],
)
async def test_bad_requests_say_what_is_wrong(
    client: httpx.AsyncClient, body: Any, status: int, says: str
) -> None:
    """In MLflow's shape."""
    answer = await client.post(PATH, json=body)
    assert answer.status_code == status, answer.text
    assert (answer.json().keys(), answer.json()["error_code"]) == ({"error_code", "message"}, "BAD_REQUEST")
    assert re.search(says, answer.json()["message"])


@pytest.mark.parametrize(
    ("kind", "body", "status", "says"),
    [
        ("text/csv", b"text\nhello\n,\n", 400, "Line 3"),
        ("text/csv", b"text\n", 400, "no rows"),
        ("text/csv", b"title\nhello\n", 400, "no column of texts"),
        ("text/csv", b"text\n" + b"hello\n" * 6, 413, "limit is 5"),
        ("text/plain", b"hello", 415, "text/plain"),
        ("", b"{}", 415, "no Content-Type"),
    ],
)
async def test_bad_tables_say_what_is_wrong(
    client: httpx.AsyncClient, kind: str, body: bytes, status: int, says: str
) -> None:
    """The whole table is refused, since an answer has no place for a row without scores."""
    answer = await client.post(PATH, content=body, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert says in answer.json()["message"]


async def test_headers_have_what_mlflow_s_answer_lacks(
    client: httpx.AsyncClient, policies: list[Policies]
) -> None:
    """Texts that weren't read to their end, and the policy."""
    policies.append(Policies.model_validate({"policies": {"forum": {}}}))
    body = {"inputs": ["hello", "a" * (TRUNCATED_FROM + 1)]}
    answer = await client.post(f"{PATH}?policy=forum", json=body)
    assert (answer.headers["x-truncated-texts"], answer.headers["x-policy"]) == ("1", "forum")


async def test_health_and_version(client: httpx.AsyncClient, core: FakeCore) -> None:
    """As load balancers and SageMaker ask; 503 before a version answers."""
    for path in ("/ping", "/health"):
        core.ready = True
        assert ((await client.get(path)).status_code, (await client.head(path)).status_code) == (200, 200)
        core.ready = False
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert (await client.get("/version")).text == __version__
    assert (await client.get("/health/live")).json() == {"status": "live"}
    assert (await client.get("/invocations")).json().keys() == {"error_code", "message"}
