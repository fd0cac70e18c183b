"""A text that is not read to its end, on the doors whose bodies have no member for it."""

from typing import Any

import httpx
import pytest

from toxic_testing.inference.core import TRUNCATED_FROM
from toxic_testing.inference.perspective import ANALYZE, asked

pytestmark = pytest.mark.anyio

HEADER = "x-truncated-texts"
PREDICT, INFER = "/v1/models/toxic-comments:predict", "/v2/models/toxic-comments/infer"
SHORT, LONG = "hello", "a" * (TRUNCATED_FROM + 1)


def tensor(*texts: str) -> dict[str, Any]:
    """Return an infer request."""
    return {"inputs": [{"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}]}


@pytest.mark.parametrize(
    ("path", "body", "positions"),
    [
        (ANALYZE, asked(LONG), "0"),
        (ANALYZE, asked(f"{SHORT}. {LONG}", spanAnnotations=True), "0"),
        (PREDICT, {"instances": [SHORT, LONG, SHORT, LONG]}, "1,3"),
        (PREDICT, {"inputs": {"text": [LONG]}}, "0"),
        (INFER, tensor(SHORT, SHORT, LONG), "2"),
    ],
)
async def test_a_header_names_the_texts_that_were_not_read_to_their_end(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], positions: str
) -> None:
    """By their position in the request."""
    answer = await client.post(path, json=body)
    assert (answer.status_code, answer.headers[HEADER]) == (200, positions), answer.text


@pytest.mark.parametrize(
    ("path", "body"), [(ANALYZE, asked(SHORT)), (PREDICT, {"instances": [SHORT] * 2}), (INFER, tensor(SHORT))]
)
async def test_it_is_absent_if_every_text_was_read(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    """As it nearly always is."""
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert HEADER not in answer.headers
