"""Triton's client of the Open Inference Protocol, unmodified."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

TEXTS = ("you are a stupid idiot", "have a lovely day")
MODEL = "toxic-comments"


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    """The client."""
    client = triton.InferenceServerClient(address.removeprefix("http://"))
    yield client
    client.close()


def text_input(*texts: str, binary: bool) -> Any:
    """Return the input tensor."""
    tensor = triton.InferInput("text", [len(texts)], "BYTES")
    tensor.set_data_from_numpy(np.array(texts, dtype=np.object_), binary_data=binary)
    return tensor


@pytest.mark.parametrize("binary", [True, False])
def test_texts_are_scored(client: Any, binary: bool) -> None:  # noqa: FBT001  a parameter of the test
    """Binary, as the client sends by default, or as JSON: the same values."""
    outputs = [
        triton.InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "decisions")
    ]
    result = client.infer(MODEL, [text_input(*TEXTS, binary=binary)], outputs=outputs, request_id="7")
    probabilities = result.as_numpy("probabilities")
    assert (probabilities.shape, probabilities.dtype) == ((2, 6), np.float32)
    np.testing.assert_array_equal(result.as_numpy("decisions"), probabilities >= 0.5)
    assert result.get_response()["id"] == "7"
    assert result.get_response()["model_version"] == "1"


def test_tokens_are_scored(client: Any) -> None:
    """The model's own tensors, with every output as bytes."""
    tensors = []
    for name, row in (("input_ids", [2, 5, 3, 0]), ("attention_mask", [1, 1, 1, 0])):
        tensor = triton.InferInput(name, [1, 4], "INT32")
        tensor.set_data_from_numpy(np.array([row], dtype=np.int32))
        tensors.append(tensor)
    scores = client.infer(MODEL, tensors, model_version="1").as_numpy("scores")
    assert scores.shape == (1, 6)
    assert ((scores > 0) & (scores < 1)).all()


def test_extensions(client: Any) -> None:
    """The index, a version's configuration and its statistics."""
    client.infer(MODEL, [text_input(*TEXTS, binary=True)])
    (entry,) = client.get_model_repository_index()
    assert (entry["name"], entry["version"], entry["state"]) == (MODEL, "1", "READY")
    labels = client.get_model_config(MODEL, "1")["parameters"]["labels"]["string_value"]
    assert labels.split(",")[0] == "toxic"
    (statistics,) = client.get_inference_statistics(MODEL)["model_stats"]
    assert statistics["inference_stats"]["success"]["count"] >= len(TEXTS)


def test_health_metadata_and_errors(client: Any) -> None:
    """What it asks before it infers, and what it reads when that fails."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["name"] == "toxic-inference"
    assert client.get_model_metadata(MODEL)["inputs"][0]["datatype"] == "BYTES"
    with pytest.raises(InferenceServerException, match="is empty"):
        client.infer(MODEL, [text_input("", binary=True)])
