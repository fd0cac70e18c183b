import re
import struct
from typing import Any

import httpx
import numpy as np
import pytest

from toxic_core.errors import NoVersionReadyError, OverloadedError
from toxic_inference.serving.interfaces import Text
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio

MODEL = "/v2/models/toxic-comments"
INFER = f"{MODEL}/infer"
EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]


def texts(*values: Any, **tensor: Any) -> dict[str, Any]:
    """Return an infer request of texts."""
    given = {"name": "text", "shape": [len(values)], "datatype": "BYTES", "data": list(values)}
    return {"inputs": [given | tensor]}


def tokens(ids: Any, mask: Any, *, shape: list[int], datatype: str = "INT32") -> dict[str, Any]:
    """Return an infer request of token ids."""
    return {
        "inputs": [
            {"name": name, "shape": shape, "datatype": datatype, "data": data}
            for name, data in (("input_ids", ids), ("attention_mask", mask))
        ]
    }


async def test_texts_get_probabilities_and_decisions(client: httpx.AsyncClient, core: FakeCore) -> None:
    """As JSON, with the request's id, language and the version that answered."""
    request = texts("a" * 20, "b" * 60) | {"id": "42", "parameters": {"language": "en-GB"}}
    answer = await client.post(INFER, json=request)
    assert answer.json() == {
        "model_name": "toxic-comments",
        "model_version": "7",
        "id": "42",
        "outputs": [
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [2, 6],
                "data": pytest.approx([0.2] * 6 + [0.6] * 6),
            },
            {"name": "decisions", "datatype": "BOOL", "shape": [2, 6], "data": [False] * 6 + [True] * 6},
        ],
    }
    assert answer.headers["x-model-version"] == "7"
    assert core.texts == [Text("a" * 20, "en"), Text("b" * 60, "en")]


@pytest.mark.parametrize("datatype", ["INT32", "INT64"])
async def test_tokens_get_raw_scores(client: httpx.AsyncClient, core: FakeCore, datatype: str) -> None:
    """Flat or nested; padding at the end is taken off."""
    for ids, mask in (([2, 5, 3, 0], [1, 1, 1, 0]), ([[2, 5, 3, 0]], [[1, 1, 1, 0]])):
        answer = await client.post(INFER, json=tokens(ids, mask, shape=[1, 4], datatype=datatype))
        (output,) = answer.json()["outputs"]
        assert (output["name"], output["shape"]) == ("scores", [1, 6])
        assert output["data"] == pytest.approx([0.03] * 6)
        np.testing.assert_array_equal(core.rows[-1].ids, [2, 5, 3])


async def test_an_output_can_be_asked_for(client: httpx.AsyncClient) -> None:
    """One of them, as JSON or behind it."""
    asked = texts("abc") | {"outputs": [{"name": "decisions"}]}
    answer = await client.post(f"{MODEL}/versions/7/infer", json=asked)
    assert [output["name"] for output in answer.json()["outputs"]] == ["decisions"]
    asked["outputs"][0]["parameters"] = {"binary_data": True}
    answer = await client.post(INFER, json=asked)
    length = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content[length:] == b"\0" * 6


async def test_texts_may_come_behind_the_json(client: httpx.AsyncClient, core: FakeCore) -> None:
    """In Triton's form: each with its length before it."""
    data = b"".join(struct.pack("<I", len(text)) + text for text in ("hé".encode(), b"b"))
    tensor = {
        "name": "text",
        "shape": [2],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(data)},
    }
    head = httpx.Request("POST", "http://x", json={"inputs": [tensor]}).content
    headers = {"inference-header-content-length": str(len(head))}
    answer = await client.post(INFER, content=head + data, headers=headers)
    assert answer.status_code == 200, answer.text
    assert [text.content for text in core.texts] == ["hé", "b"]
    for broken in (head + data[:-1], head + data + b"x", head):
        assert (await client.post(INFER, content=broken, headers=headers)).status_code == 400
    bad = {"inference-header-content-length": "9999"}
    assert (await client.post(INFER, content=head, headers=bad)).status_code == 400


@pytest.mark.parametrize(
    ("own", "of_the_request", "given"),
    [
        (None, None, "aMOp"),
        ("str", "base64", "aMOp"),
        (None, "pd", "aMOp"),
        ("base64", None, "hé"),
        ("base64", "np", "hé"),
        (None, "base64", "hé"),
    ],
)
async def test_a_content_type_says_how_texts_are_written(
    client: httpx.AsyncClient, core: FakeCore, own: str | None, of_the_request: str | None, given: str
) -> None:
    """A tensor's own goes before the request's, in JSON and behind it."""
    parameters = {"content_type": own} if own else {}
    request = texts("aMOp", parameters=parameters) | {"parameters": {"content_type": of_the_request}}
    assert (await client.post(INFER, json=request)).status_code == 200
    data = struct.pack("<I", 4) + b"aMOp"
    request["inputs"][0] |= {"data": None, "parameters": parameters | {"binary_data_size": len(data)}}
    head = httpx.Request("POST", "http://x", json=request).content
    headers = {"inference-header-content-length": str(len(head))}
    assert (await client.post(INFER, content=head + data, headers=headers)).status_code == 200
    assert [text.content for text in core.texts] == [given] * 2


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ("aMO", "base64", r"text\[0\] is not UTF-8 in standard base64"),
        ("/w==", "base64", "UTF-8 in standard base64"),
        ("a-_p", "base64", "UTF-8 in standard base64"),
        ("1 May", "datetime", "content type 'datetime' of text is not read"),
    ],
)
async def test_other_contents_are_refused(
    client: httpx.AsyncClient, core: FakeCore, given: str, kind: str, says: str
) -> None:
    """They are never scored as they came."""
    answer = await client.post(INFER, json=texts(given, parameters={"content_type": kind}))
    assert (answer.status_code, core.texts) == (400, [])
    assert re.search(says, answer.json()["error"])


async def test_what_tokenizers_add_is_ignored(client: httpx.AsyncClient, core: FakeCore) -> None:
    """A tensor that the model doesn't read; other names are refused, as is one beside texts."""
    asked = tokens([2, 5, 3], [1, 1, 1], shape=[1, 3])
    added = {"name": "token_type_ids", "shape": [1, 3], "datatype": "INT64", "data": [0, 0, 0]}
    assert (await client.post(INFER, json={"inputs": [*asked["inputs"], added]})).status_code == 200
    np.testing.assert_array_equal(core.rows[-1].ids, [2, 5, 3])
    for inputs in ([*asked["inputs"], added | {"name": "threshold"}], [*texts("a")["inputs"], added]):
        assert (await client.post(INFER, json={"inputs": inputs})).status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ([], 400, "object"),
        ({}, 400, "inputs"),
        ({"inputs": []}, 400, "inputs"),
        (texts(), 400, "no rows"),
        (texts("a", shape=[2]), 400, "1 elements"),
        (texts("a", shape=[-1]), 400, "shape"),
        (texts("a") | {"id": 7}, 400, "id"),
        (texts("a", data="a"), 400, "data"),
        (texts("a", datatype="FP32"), 400, "must be BYTES"),
        (texts(3), 400, "must contain texts"),
        (texts(""), 400, "is empty"),
        (texts(*"abcdef"), 413, "limit is 5"),
        (texts("a", data=None), 400, "either data or binary_data_size"),
        (texts("a", name="other"), 400, "they are other"),
        ({"inputs": texts("a")["inputs"] * 2}, 400, "twice"),
        (texts("a") | {"outputs": [{"name": "nothing"}]}, 400, "no output 'nothing'"),
        (
            texts("a") | {"outputs": [{"name": "decisions", "parameters": {"classification": 2}}]},
            400,
            "classification",
        ),
        (texts("a") | {"parameters": {"language": "not a code"}}, 400, "language"),
        (texts([[[[[[[[[["a"]]]]]]]]]]), 400, "nested"),
        (tokens([1, 2], [1], shape=[1, 2]), 400, "1 elements"),
        (tokens([1.5], [1], shape=[1, 1]), 400, "integers"),
        (tokens([2**70], [1], shape=[1, 1]), 400, "64 bits"),
        (tokens([2**40], [1], shape=[1, 1]), 400, "32 bits"),
        (tokens([1], [2], shape=[1, 1]), 400, "0 and 1"),
        (tokens([], [], shape=[1, 0]), 400, "at least one 1"),
        (tokens([1], [1], shape=[1]), 400, "rows, length"),
        (tokens([1] * 17, [1] * 17, shape=[1, 17]), 400, "17 tokens"),
    ],
)
async def test_bad_requests_say_what_is_wrong(
    client: httpx.AsyncClient, body: Any, status: int, says: str
) -> None:
    """In the protocol's shape."""
    answer = await client.post(INFER, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}
    assert re.search(says, answer.json()["error"])


async def test_health_and_metadata(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Ready is 400 before a version answers, as the protocol has it."""
    for path in ("/v2/health/live", "/v2/health/ready", f"{MODEL}/ready", f"{MODEL}/versions/7/ready"):
        assert (await client.get(path)).status_code == 200, path
    server = (await client.get("/v2")).json()
    assert (server["name"], server["extensions"]) == ("toxic-inference", EXTENSIONS)
    model = (await client.get(MODEL)).json()
    assert (model["name"], model["versions"]) == ("toxic-comments", ["7"])
    assert model["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    core.ready = False
    assert (await client.get("/v2/health/live")).status_code == 200
    for path in ("/v2/health/ready", f"{MODEL}/ready"):
        answer = await client.get(path)
        assert answer.status_code == 400
        assert answer.json()["ready"] is False


async def test_what_isn_t_served_is_404(client: httpx.AsyncClient) -> None:
    """Another model, another version, another path; all in the protocol's shape."""
    for answer in (
        await client.post("/v2/models/other/infer", json=texts("a")),
        await client.post(f"{MODEL}/versions/8/infer", json=texts("a")),
        await client.get("/v2/models/other"),
        await client.get("/v2/models/other/ready"),
        await client.get("/v2/nothing"),
    ):
        assert answer.status_code == 404
        assert answer.json().keys() == {"error"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OverloadedError("The queue is full.", retry_after_seconds=3), 429),
        (NoVersionReadyError("No version is available yet."), 503),
        (RuntimeError("secret"), 500),
    ],
)
async def test_the_core_s_errors_have_the_protocol_s_shape(
    client: httpx.AsyncClient, core: FakeCore, error: Exception, status: int
) -> None:
    """Overload has a Retry-After; an unforeseen error has no details."""
    core.error = error
    answer = await client.post(INFER, json=texts("a"))
    assert (answer.status_code, answer.json().keys()) == (status, {"error"})
    assert "secret" not in answer.text
