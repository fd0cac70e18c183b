"""Every route against requests made from the OpenAPI document, valid and not."""

import json
import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_testing.fuzzing import HOSTILE_TEXTS, examples, is_long, spoilt

pytestmark = [pytest.mark.slow, pytest.mark.fuzz]


@pytest.fixture
def schema(backend: Backend) -> Any:
    """The application's OpenAPI document."""
    return schemathesis.openapi.from_asgi("/openapi.json", create_api(backend, DOORS))


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_breaks_the_service(schema: Any, mode: GenerationMode) -> None:
    """No generated request makes any route fail with a 5xx."""
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 30
    if mode is GenerationMode.NEGATIVE:  # a path can't be wrong, since any text fits; a body can
        operations = [operation for operation in operations if operation.body]
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=examples(8),
            deadline=None,
            derandomize=not is_long(),
            suppress_health_check=list(HealthCheck),
        )
        def answer(case: Any) -> None:
            case.call_and_validate(checks=[not_a_server_error])

        answer()


def usual_requests(document: dict[str, Any]) -> Iterator[tuple[str, str, str, object]]:
    """Yield method, path, media type and body of each example in the OpenAPI document."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            contents = operation.get("requestBody", {}).get("content") or {"": {}}
            for media_type, content in contents.items():
                model = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                examples_of = document["components"]["schemas"].get(model, {}).get("examples") or [None]
                yield method.upper(), path, media_type, content.get("example", examples_of[0])


@pytest.mark.anyio
@pytest.mark.hostile(31)
async def test_no_hostile_value_breaks_the_service(client: httpx.AsyncClient) -> None:
    """In place of any part of each route's example, in its path and in its query."""
    requests = list(usual_requests((await client.get("/openapi.json")).json()))
    assert sum(isinstance(body, dict) for *_, body in requests) > 10
    draw = random.Random(None if is_long() else 7)  # noqa: S311  not a secret

    def encoded(value: object) -> str:
        return quote(str(value).encode(errors="surrogatepass"), safe="")

    failures: list[str] = []
    for method, path, media_type, usual in requests:
        for _ in range(examples(20)):
            body = spoilt(usual, draw)
            content = body if isinstance(usual, str) and isinstance(body, str) else json.dumps(body)
            address = re.sub(r"\{[^}]*\}", lambda _: encoded(draw.choice(HOSTILE_TEXTS)), path)
            if method == "GET":
                address += f"?{encoded(draw.choice(HOSTILE_TEXTS))}={encoded(draw.choice(HOSTILE_TEXTS))}"
            answer = await client.request(
                method,
                address,
                content=content.encode(errors="surrogatepass"),
                headers={"content-type": media_type or "application/json"},
            )
            if answer.status_code >= 500 and answer.status_code != 503:
                failures.append(f"{method} {address!r:.100} {body!r:.300} {answer.text:.200}")
    assert not failures, "\n".join(failures)
