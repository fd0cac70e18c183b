"""A new door is its declaration and one entry in the list; everything else derives from them."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.errors import OverloadedError
from toxic_inference.adapters.key_file import KeyFile, save_keys
from toxic_inference.doors.__main__ import table_of_doors
from toxic_inference.doors.listing import DOORS, GRPC_DOORS
from toxic_inference.http.admission import AdmissionRules, RequestLimit
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.body import read_json, validate
from toxic_inference.http.door import (
    JSON_TYPE,
    Access,
    Door,
    Doors,
    ErrorShape,
    Operation,
    json_response,
)
from toxic_inference.http.error_shapes import NATIVE
from toxic_inference.http.guard import GuardRules
from toxic_inference.keys import Role, new_key

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[4]
CLIENT, CLIENT_KEY = new_key("forum", Role.CLIENT)
OPERATOR, OPERATOR_KEY = new_key("night-shift", Role.OPERATOR)


class Shout(BaseModel):
    """A request to the dummy door."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"word": "hello"}]})

    word: str


class Complaint(BaseModel):
    """An error of the dummy door."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"complaint": "No."}]})

    complaint: str


async def shout(request: Request, _: Backend) -> Response:
    """Return a word."""
    return json_response(validate(Shout, await read_json(request)))


DUMMY = Door(
    name="dummy",
    title="Dummy",
    clients="tests",
    prefixes=("/dummy/",),
    errors=ErrorShape("a complaint", Complaint, lambda problem: {"complaint": problem.message}),
    operations=tuple(
        Operation(
            "POST",
            f"/dummy/{name}",
            shout,
            body=Shout,
            answers={200: Shout},
            access=access,
            scores=name == "score",
        )
        for name, access in (
            ("score", Access.CLIENT),
            ("open", Access.OPEN),
            ("secret/{number}", Access.OPERATOR),
        )
    ),
)
WORD = {"word": "hello"}


@asynccontextmanager
async def serve(
    backend: Backend, *, rules: GuardRules | None = None, admission: AdmissionRules | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the dummy door beside the others."""
    app = create_api(backend, (*DOORS, DUMMY), rules=rules or GuardRules(), admission=admission)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client


async def test_errors_have_the_doors_shape(backend: Backend) -> None:
    """An invalid body, an unknown path and a wrong method below the door's prefix."""
    async with serve(backend) as client:
        for answer, status in (
            (await client.post("/dummy/score", json={}), 422),
            (await client.get("/dummy/nothing"), 404),
            (await client.get("/dummy/score"), 405),
        ):
            assert answer.status_code == status
            assert answer.json().keys() == {"complaint"}


async def test_admission_control_applies_to_operations_that_score(backend: Backend) -> None:
    """While the queue is full they are refused in the door's shape, and the others answer."""
    full = OverloadedError("9 rows are waiting; ask again.", retry_after_seconds=6.4)
    admission = AdmissionRules(RequestLimit(0.5), overload=lambda _: full)
    async with serve(backend, admission=admission) as client:
        refused = await client.post("/dummy/score", json=WORD)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
        assert refused.json() == {"complaint": "9 rows are waiting; ask again."}
        assert (await client.post("/dummy/open", json=WORD)).status_code == 200


async def test_keys_are_required_as_the_operations_declare(backend: Backend, tmp_path: Path) -> None:
    """Unless it is open, an operation needs a key; an operator's operation needs an operator's."""
    save_keys(tmp_path / "keys.txt", (CLIENT_KEY, OPERATOR_KEY))
    async with serve(backend, rules=GuardRules(find_key=KeyFile(tmp_path / "keys.txt").find)) as client:
        for path, key, status in (
            ("open", None, 200),
            ("score", None, 401),
            ("score", CLIENT, 200),
            ("secret/1", CLIENT, 403),
            ("secret/1", OPERATOR, 200),
        ):
            headers = {"x-api-key": key} if key else {}
            answer = await client.post(f"/dummy/{path}", json=WORD, headers=headers)
            assert answer.status_code == status, (path, key)


async def test_requests_have_the_doors_label(backend: Backend, metric: Callable[..., float]) -> None:
    """Counters and latencies name the door, and whether the route scores."""
    async with serve(backend) as client:
        await client.post("/dummy/score", json=WORD)
    labels = {"door": "dummy", "route": "/dummy/score"}
    assert metric("toxic_inference_requests_total", **labels, method="POST", status="200") == 1
    assert metric("toxic_inference_request_duration_seconds_count", **labels, scores="yes") == 1


async def test_the_documentation_lists_the_door(backend: Backend) -> None:
    """The OpenAPI document has its operations, models and errors; the table of doors has its row."""
    async with serve(backend) as client:
        document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/dummy/score"]["post"]
    assert operation["tags"] == ["Dummy"]
    assert operation["description"] == "Return a word."
    assert document["components"]["schemas"]["Shout"]["examples"] == [WORD]
    errors = operation["responses"]["default"]["content"][JSON_TYPE]["schema"]
    assert errors == {"$ref": "#/components/schemas/Complaint"}
    assert document["paths"]["/dummy/open"]["post"]["security"] == [{}]
    assert "| `dummy` | `/dummy/…` | tests |" in table_of_doors((*DOORS, DUMMY))


def test_the_table_of_doors_is_current() -> None:
    """`make doors` writes docs/doors.md from the declarations."""
    assert (ROOT / "docs/doors.md").read_text() == table_of_doors((*DOORS, *GRPC_DOORS))


def test_operations_that_cannot_be_told_apart_get_the_strictest_access() -> None:
    """Access is decided before routing, so a parameter may hide another operation's path."""

    def operation(path: str, access: Access) -> Operation:
        return Operation("GET", path, shout, access=access, documented=False)

    paths = {"/a/{x}": Access.OPEN, "/a/{x}/b": Access.OPERATOR, "/a/c": Access.CLIENT}
    operations = tuple(operation(path, access) for path, access in paths.items())
    door = Door(name="a", title="A", clients="", prefixes=("/a/",), errors=NATIVE, operations=operations)
    doors = Doors((door,), fallback=NATIVE)
    assert doors.access("GET", "/a/1") is Access.OPERATOR
    assert doors.access("GET", "/a/c") is Access.CLIENT
    assert doors.access("GET", "/b") is Access.CLIENT


def test_every_door_declares_what_the_metrics_and_documents_need() -> None:
    """Names are unique, every documented operation has a description, and prefixes cover the paths."""
    assert len({door.name for door in DOORS}) == len(DOORS)
    for door in DOORS:
        for operation in door.operations:
            assert inspect.getdoc(operation.handler), operation.path
            assert operation.path == "/" or operation.path.startswith(door.prefixes), operation.path
