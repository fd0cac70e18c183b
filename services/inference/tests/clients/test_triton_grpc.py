"""Triton's client of the Open Inference Protocol over gRPC, unmodified."""

from collections.abc import Iterator
from queue import Queue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

TEXTS = ("you are a stupid idiot", "have a lovely day")
MODEL = "toxic-comments"


@pytest.fixture
def client(grpc_address: str) -> Iterator[Any]:
    """The client."""
    client = triton.InferenceServerClient(grpc_address)
    yield client
    client.close()


def text_input(*texts: str) -> Any:
    """Return the input tensor."""
    tensor = triton.InferInput("text", [len(texts)], "BYTES")
    tensor.set_data_from_numpy(np.array(texts, dtype=np.object_))
    return tensor


def test_texts_are_scored(client: Any) -> None:
    """Every output, with the request's id and the version."""
    result = client.infer(MODEL, [text_input(*TEXTS)], request_id="7", client_timeout=60)
    probabilities = result.as_numpy("probabilities")
    assert (probabilities.shape, probabilities.dtype) == ((2, 6), np.float32)
    np.testing.assert_array_equal(result.as_numpy("decisions"), probabilities >= 0.5)
    assert (result.get_response().id, result.get_response().model_version) == ("7", "1")


def test_tokens_are_scored(client: Any) -> None:
    """The model's own tensors."""
    tensors = []
    for name, row in (("input_ids", [2, 5, 3, 0]), ("attention_mask", [1, 1, 1, 0])):
        tensor = triton.InferInput(name, [1, 4], "INT32")
        tensor.set_data_from_numpy(np.array([row], dtype=np.int32))
        tensors.append(tensor)
    scores = client.infer(MODEL, tensors, model_version="1").as_numpy("scores")
    assert scores.shape == (1, 6)
    assert ((scores > 0) & (scores < 1)).all()


def test_a_stream_is_answered(client: Any) -> None:
    """A result or an error per request, in order."""
    answers: Queue[tuple[Any, InferenceServerException | None]] = Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number, text in enumerate(("hello", "", "again")):
        client.async_stream_infer(MODEL, [text_input(text)], request_id=str(number))
    found = [answers.get(timeout=60) for _ in range(3)]
    client.stop_stream()
    assert [error is None for _, error in found] == [True, False, True]
    assert "is empty" in str(found[1][1])
    assert [found[place][0].get_response().id for place in (0, 2)] == ["0", "2"]


def test_extensions(client: Any) -> None:
    """The index, a version's configuration and its statistics."""
    client.infer(MODEL, [text_input(*TEXTS)])
    (entry,) = client.get_model_repository_index().models
    assert (entry.name, entry.version, entry.state) == (MODEL, "1", "READY")
    config = client.get_model_config(MODEL, "1").config
    assert config.parameters["labels"].string_value.split(",")[0] == "toxic"
    assert list(config.output[0].dims) == [-1, 6]
    (statistics,) = client.get_inference_statistics(MODEL).model_stats
    assert statistics.inference_stats.success.count >= len(TEXTS)


def test_health_metadata_and_errors(client: Any) -> None:
    """What it asks before it infers, and what it reads when that fails."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert not client.is_model_ready("other")
    assert client.get_server_metadata().name == "toxic-inference"
    assert client.get_model_metadata(MODEL).inputs[0].datatype == "BYTES"
    with pytest.raises(InferenceServerException, match="is empty") as caught:
        client.infer(MODEL, [text_input("")])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
