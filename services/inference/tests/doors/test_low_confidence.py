"""A text of which the model's vocabulary lacks most: it is marked, and gets no decision."""

import csv
import io
from typing import Any

import httpx
import pytest

from toxic_inference.policies.file import Policies
from toxic_testing.inference.core import UNREAD
from toxic_testing.inference.perspective import ANALYZE, asked

pytestmark = pytest.mark.anyio

HEADER = "x-low-confidence-texts"
PREDICT, INFER = "/v1/models/toxic-comments:predict", "/v2/models/toxic-comments/infer"
READ, LOW = "a" * 60, UNREAD * 60


def tensor(*texts: str) -> dict[str, Any]:
    """Return an infer request."""
    return {"inputs": [{"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}]}


@pytest.mark.parametrize(
    ("path", "body", "positions"),
    [
        (ANALYZE, asked(LOW), "0"),
        (PREDICT, {"instances": [READ, LOW, READ, LOW]}, "1,3"),
        (INFER, tensor(READ, LOW), "1"),
        ("/openai/v1/moderations", {"input": [LOW, READ]}, "0"),
        ("/invocations", {"inputs": [READ, LOW]}, "1"),
    ],
)
async def test_a_header_names_it(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], positions: str
) -> None:
    """On doors without a member for it in their bodies; there is none if every text was read."""
    answer = await client.post(path, json=body)
    assert (answer.status_code, answer.headers[HEADER]) == (200, positions), answer.text
    content = answer.request.content.replace(UNREAD.encode(), b"a")
    read = await client.post(path, content=content, headers={"content-type": "application/json"})
    assert (read.status_code, HEADER in read.headers) == (200, False)


async def test_decisions_of_other_doors(client: httpx.AsyncClient) -> None:
    """None of the Open Inference Protocol's, and OpenAI's result isn't flagged."""
    outputs = (await client.post(INFER, json=tensor(READ, LOW))).json()["outputs"]
    assert outputs[1]["data"] == [True] * 6 + [False] * 6
    results = (await client.post("/openai/v1/moderations", json={"input": [READ, LOW]})).json()["results"]
    assert [result["flagged"] for result in results] == [True, False]
    assert not any(results[1]["categories"].values())


async def test_the_native_door_has_a_member_and_a_column(client: httpx.AsyncClient) -> None:
    """In JSON, in a stream of lines and in CSV; a text that was read has no member."""
    read, low = (await client.post("/predict", json={"texts": [READ, LOW]})).json()["results"]
    assert (low["low_confidence"], "low_confidence" in read) == (True, False)
    assert (all(read["decisions"].values()), any(low["decisions"].values())) == (True, False)
    kind = {"content-type": "application/x-ndjson"}
    line = (await client.post("/predict", content=f'"{LOW}"\n', headers=kind)).json()
    assert (line["low_confidence"], any(line["decisions"].values())) == (True, False)
    headers = {"content-type": "text/csv", "accept": "text/csv"}
    answer = await client.post("/predict", content=f"text\n{READ}\n{LOW}\n\xa0\n", headers=headers)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["low_confidence"] for row in rows] == ["false", "true", ""]
    assert [row["decision_toxic"] for row in rows] == ["true", "false", ""]


async def test_a_policy_s_list_still_decides(client: httpx.AsyncClient, policies: list[Policies]) -> None:
    """Its thresholds don't."""
    rules = {"thresholds": {"threat": {"*": 0.1}}, "flag": {"words": [LOW], "labels": ["toxic"]}}
    policies.append(Policies.model_validate({"policies": {"forum": rules}}))
    (found,) = (await client.post("/predict?policy=forum", json={"text": LOW})).json()["results"]
    assert [label for label, decision in found["decisions"].items() if decision] == ["toxic"]
    assert found["low_confidence"]
