"""How large a request's body may be, by its route."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from toxic_core.http.body_limit import BodyLimitMiddleware
from toxic_registry.server.app import body_limit
from toxic_registry.settings import Settings

FILE = "/api/2.0/mlflow-artifacts/artifacts/1/model"
LISTING = "/api/2.0/mlflow-artifacts/artifacts"
OTHER = "/graphql"
MANY = 9 * 2**20
SETTINGS = Settings(max_bundle_megabytes=10)


async def read(request: Request) -> PlainTextResponse:
    """Return how large the body is."""
    return PlainTextResponse(str(len(await request.body())))


async def parts(size: int) -> AsyncIterator[bytes]:
    """Yield a body without a declared length."""
    for _ in range(size // 2**20):
        yield b"a" * 2**20


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("path", "size", "status"),
    [(OTHER, MANY, 413), (LISTING, MANY, 413), (FILE, MANY, 200), (FILE, 2 * MANY, 413)],
)
@pytest.mark.hostile(27)
def test_the_route_has_a_limit(path: str, size: int, status: int, declared: bool) -> None:  # noqa: FBT001
    """Only files may be large, and no larger than a bundle; a missing length makes no difference."""
    app = BodyLimitMiddleware(
        Starlette(routes=[Route("/{path:path}", read, methods=["PUT"])]), limit=partial(body_limit, SETTINGS)
    )

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.put(path, content=b"a" * size if declared else parts(size))

    assert asyncio.run(ask()).status_code == status
