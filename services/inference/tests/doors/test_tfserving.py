import re
from typing import Any

import httpx
import numpy as np
import pytest

from toxic_core.errors import ContractError, RegistryUnavailableError
from toxic_inference.serving.versions.states import State, VersionStatus
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio

PREDICT = "/v1/models/toxic-comments:predict"
INPUTS = {"input_ids": [[2, 5, 3, 0], [2, 6, 7, 3]], "attention_mask": [[1, 1, 1, 0], [1, 1, 1, 1]]}


async def test_rows_of_tokens_in_row_form(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Instances of the signature's inputs give predictions, as TensorFlow Serving does."""
    instances = [
        {"input_ids": ids, "attention_mask": mask}
        for ids, mask in zip(INPUTS["input_ids"], INPUTS["attention_mask"], strict=True)
    ]
    answer = await client.post(PREDICT, json={"signature_name": "serving_default", "instances": instances})
    assert answer.json() == {"predictions": [[0.03] * 6, [0.04] * 6]}
    assert answer.headers["x-model-version"] == "7"
    np.testing.assert_array_equal(core.rows[0].ids, [2, 5, 3])
    assert core.rows[0].mask is None


async def test_rows_of_tokens_in_column_form(client: httpx.AsyncClient) -> None:
    """Inputs by name give outputs; a single output isn't named."""
    answer = await client.post(PREDICT, json={"inputs": INPUTS})
    assert answer.json() == {"outputs": [[0.03] * 6, [0.04] * 6]}


async def test_other_members_are_ignored(client: httpx.AsyncClient) -> None:
    """As TensorFlow Serving does: beside the inputs, and inputs that the signature lacks in column form."""
    body = {"inputs": INPUTS | {"position_ids": [[0, 1, 2, 3]] * 2}, "id": "7", "options": {"a": None}}
    assert (await client.post(PREDICT, json=body)).json() == {"outputs": [[0.03] * 6, [0.04] * 6]}
    row = {name: values[0] for name, values in INPUTS.items()} | {"position_ids": [0, 1, 2, 3]}
    assert (await client.post(PREDICT, json={"instances": [row]})).status_code == 400


async def test_holes_in_a_mask_are_kept(client: httpx.AsyncClient, core: FakeCore) -> None:
    """A mask that isn't padding at the end reaches the model as it is."""
    await client.post(
        PREDICT, json={"inputs": {"input_ids": [[0, 5, 3, 0]], "attention_mask": [[0, 1, 1, 0]]}}
    )
    np.testing.assert_array_equal(core.rows[0].ids, [0, 5, 3])
    np.testing.assert_array_equal(core.rows[0].mask, [0, 1, 1])


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"instances": ["abc"]}, "predictions"),
        ({"instances": [{"text": "abc"}]}, "predictions"),
        ({"inputs": ["abc"]}, "outputs"),
        ({"inputs": {"text": ["abc"]}}, "outputs"),
        ({"instances": [{"b64": "YWJj"}]}, "predictions"),
        ({"instances": [{"text": {"b64": "YWJj"}}]}, "predictions"),
    ],
)
async def test_texts_may_stand_for_tokens(client: httpx.AsyncClient, body: Any, key: str) -> None:
    """Texts are tokenised here and get the same raw scores."""
    assert (await client.post(PREDICT, json=body)).json() == {key: [[0.03] * 6]}


@pytest.mark.parametrize("path", ["versions/7", "labels/champion"])
async def test_a_version_or_label_can_be_asked_for(client: httpx.AsyncClient, path: str) -> None:
    """By number and by alias."""
    answer = await client.post(f"/v1/models/toxic-comments/{path}:predict", json={"instances": ["a"]})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    ["other:predict", "toxic-comments/versions/8:predict", "toxic-comments/labels/nobody:predict"],
)
async def test_what_isn_t_served_is_404(client: httpx.AsyncClient, path: str) -> None:
    """Another model, version or alias is not found, in TensorFlow Serving's shape."""
    answer = await client.post(f"/v1/models/{path}", json={"instances": ["a"]})
    assert answer.status_code == 404
    assert answer.json().keys() == {"error"}


def tokens(ids: Any, mask: Any) -> dict[str, Any]:
    """Return a row-form request of one row."""
    return {"instances": [{"input_ids": ids, "attention_mask": mask}]}


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ([], 400, "object"),
        ({}, 400, "instances"),
        ({"instances": ["a"], "inputs": ["a"]}, 400, "either"),
        ({"instances": []}, 400, "non-empty list"),
        ({"instances": "a"}, 400, "list"),
        ({"instances": [3]}, 400, r"instances\[0\]"),
        ({"instances": [{"b64": "?"}]}, 400, r"instances\[0\] is not UTF-8 in standard base64"),
        ({"instances": [{"b64": "/w=="}]}, 400, "UTF-8 in standard base64"),
        ({"instances": ["a", {"input_ids": [1], "attention_mask": [1]}]}, 400, r"instances\[1\]"),
        ({"instances": [""]}, 400, "is empty"),
        ({"inputs": {"text": ["\t "]}}, 400, "white space"),
        ({"instances": ["a"] * 6}, 413, "limit is 5"),
        ({"instances": ["a"], "signature_name": "other"}, 400, "other"),
        (tokens([1], [1]) | {"extra": 1}, 200, ""),
        ({"instances": [{"input_ids": [1]}]}, 400, "exactly"),
        ({"inputs": {"input_ids": [[1]], "attention_mask": [[1], [1]]}}, 400, "1 rows"),
        (tokens([1, 2], [1]), 400, "2 ids"),
        (tokens([], []), 400, "non-empty list"),
        (tokens([1.5], [1]), 400, "integers"),
        (tokens([True], [1]), 400, "integers"),
        (tokens([1], [2]), 400, "0 and 1"),
        (tokens([1], [0]), 400, "at least one 1"),
        (tokens([-1], [1]), 400, "negative"),
        (tokens([2**40], [1]), 400, "32 bits"),
        (tokens([1] * 17, [1] * 17), 400, "17 tokens; the model reads 16"),
        (tokens([1] * 17, [1] * 16 + [0]), 200, ""),
    ],
)
async def test_bad_requests_say_what_is_wrong(
    client: httpx.AsyncClient, body: Any, status: int, says: str
) -> None:
    """Each is refused in TensorFlow Serving's shape; padding past the model's length is none of them."""
    answer = await client.post(PREDICT, json=body)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json().keys() == {"error"}
        assert re.search(says, answer.json()["error"])


@pytest.mark.parametrize("target", ["", "/versions/7", "/labels/champion"])
@pytest.mark.parametrize(("method", "noun"), [("classify", "classification"), ("regress", "regression")])
async def test_other_methods_are_refused_as_tensorflow_serving_refuses_them(
    client: httpx.AsyncClient, target: str, method: str, noun: str
) -> None:
    """The model has only a predict signature; the message is TensorFlow Serving's."""
    answer = await client.post(
        f"/v1/models/toxic-comments{target}:{method}", json={"examples": [{"text": "a"}]}
    )
    assert answer.status_code == 400
    assert answer.json() == {
        "error": f"Expected {noun} signature method_name to be tensorflow/serving/{method}. "
        "Was: tensorflow/serving/predict"
    }
    assert (await client.post(f"/v1/models/other{target}:{method}", json={})).status_code == 404
    assert (await client.post(f"/v1/models/toxic-comments{target}:{method}")).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "says"),
    [
        ("GET", "/v1/models", "Missing model name"),
        ("POST", "/v1/models", "does not accept POST"),
        ("GET", PREDICT, "Malformed request: GET"),
        ("PUT", PREDICT, "does not accept PUT"),
        ("POST", f"{PREDICT}/", "There is no"),
        ("POST", "/v1/models/toxic-comments", "does not accept POST"),
        ("GET", "/v1/models/toxic-comments/nothing/here", "There is no"),
    ],
)
async def test_an_unknown_path_or_method_is_a_malformed_request(
    client: httpx.AsyncClient, method: str, path: str, says: str
) -> None:
    """As in TensorFlow Serving: its only 404 is for a model, version or label that isn't served."""
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json().keys()) == (400, {"error"})
    assert says in answer.json()["error"]


async def test_the_status_shows_every_version_and_its_error(
    client: httpx.AsyncClient, core: FakeCore
) -> None:
    """A version that failed has ended with its error; one that can't be fetched is unavailable."""
    core.known = [
        VersionStatus("9", State.FAILED, ContractError("contract.json is missing"), ()),
        VersionStatus("8", State.FAILED, RegistryUnavailableError("the registry is gone"), ()),
        VersionStatus("7", State.AVAILABLE, None, ("champion",)),
    ]
    answer = await client.get("/v1/models/toxic-comments")
    assert answer.json() == {
        "model_version_status": [
            {
                "version": "9",
                "state": "END",
                "status": {
                    "error_code": "FAILED_PRECONDITION",
                    "error_message": "contract.json is missing",
                },
            },
            {
                "version": "8",
                "state": "END",
                "status": {"error_code": "UNAVAILABLE", "error_message": "the registry is gone"},
            },
            {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
        ]
    }
    one = await client.get("/v1/models/toxic-comments/versions/7")
    assert [status["version"] for status in one.json()["model_version_status"]] == ["7"]
    labelled = await client.get("/v1/models/toxic-comments/labels/champion")
    assert labelled.json() == one.json()
    for path in ("toxic-comments/versions/5", "toxic-comments/labels/nobody", "other"):
        assert (await client.get(f"/v1/models/{path}")).status_code == 404


@pytest.mark.parametrize("path", ["", "/versions/7", "/labels/champion"])
async def test_the_metadata_is_the_contract_s_signature(client: httpx.AsyncClient, path: str) -> None:
    """Names, types and shapes as the artifact contract has them."""
    body = (await client.get(f"/v1/models/toxic-comments{path}/metadata")).json()
    assert body["model_spec"] == {"name": "toxic-comments", "signature_name": "", "version": "7"}
    signature = body["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert {name: info["dtype"] for name, info in signature["inputs"].items()} == {
        "input_ids": "DT_INT32",
        "attention_mask": "DT_INT32",
    }
    sizes = [dim["size"] for dim in signature["outputs"]["scores"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", "6"]
