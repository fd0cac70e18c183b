"""MLflow's client of its scoring server, unmodified."""

from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from toxic_inference import __version__

TEXTS = ["you are a stupid idiot", "have a lovely day"]


@pytest.fixture
def client(address: str) -> Any:
    """The client."""
    host, _, port = address.removeprefix("http://").partition(":")
    return ScoringServerClient(host, port)


@pytest.mark.parametrize("data", [pd.DataFrame({"text": TEXTS}), np.array(TEXTS), TEXTS])
def test_texts_are_scored(client: Any, address: str, data: Any) -> None:
    """In every form that the client sends, with the labels as columns of the answer."""
    client.wait_server_ready()
    frame = client.invoke(data).get_predictions()
    results = httpx.post(f"{address}/predict", json={"texts": TEXTS}).json()["results"]
    pd.testing.assert_frame_equal(frame, pd.DataFrame([result["scores"] for result in results]))


def test_parameters_versions_and_errors(client: Any) -> None:
    """A language is a parameter; an error has the service's message."""
    assert client.invoke(TEXTS, params={"language": "en"}).get_predictions().shape == (2, 6)
    assert client.get_version() == __version__
    with pytest.raises(Exception, match=r"error code 400.*inputs\[1\] is empty"):
        client.invoke(["hello", ""])
