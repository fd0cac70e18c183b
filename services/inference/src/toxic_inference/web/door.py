"""What people open in a browser: the page at `/`, the review at `/moderate`, the documentation at `/docs`.

Invariant: the service serves everything itself; a browser that opens these pages asks no other host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.languages import LANGUAGES
from toxic_inference.http.backend import Backend
from toxic_inference.http.door import JSON_TYPE, Access, Door, Operation
from toxic_inference.http.error_shapes import NATIVE
from toxic_inference.http.openapi import OpenApiDocument

_DAY = "public, max-age=86400"


@dataclass(frozen=True, slots=True)
class _Asset:
    package: str
    path: str
    media_type: str
    cache_control: str = "no-cache"


_ASSETS: Mapping[str, _Asset] = {
    "page.css": _Asset(__package__, "page.css", "text/css"),
    **{
        name: _Asset(__package__, name, "text/javascript")
        for name in (
            *("page.js", "api.js", "comment.js", "file.js", "csv.js", "policy.js", "scale.js"),
            *("health.js", "table.js", "frame.js", "moderate.js"),
            "docs.js",
        )
    },
    # fastapi-offline is used only for its copy of Swagger UI.
    "swagger-ui.css": _Asset("fastapi_offline", "static/swagger-ui.css", "text/css", _DAY),
    "swagger-ui-bundle.js": _Asset("fastapi_offline", "static/swagger-ui-bundle.js", "text/javascript", _DAY),
}


async def page(_: Request, __: Backend) -> Response:
    """The page, with the languages to choose from."""
    source = files(__package__).joinpath("index.html").read_text(encoding="utf-8")
    content = source.replace("{languages}", " ".join(LANGUAGES))
    return Response(content, media_type="text/html", headers={"cache-control": "no-cache"})


async def moderate(_: Request, __: Backend) -> Response:
    """The page of the review."""
    content = files(__package__).joinpath("moderate.html").read_bytes()
    return Response(content, media_type="text/html", headers={"cache-control": "no-cache"})


async def docs(_: Request, __: Backend) -> Response:
    """The API's documentation."""
    content = files(__package__).joinpath("docs.html").read_bytes()
    return Response(content, media_type="text/html")


async def openapi(request: Request, _: Backend) -> Response:
    """The OpenAPI document."""
    document: OpenApiDocument = request.app.state.openapi
    return Response(document.json, media_type=JSON_TYPE)


async def asset(request: Request, _: Backend) -> Response:
    """A script or style sheet."""
    found = _ASSETS.get(request.path_params["name"])
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    content = files(found.package).joinpath(found.path).read_bytes()
    return Response(content, media_type=found.media_type, headers={"cache-control": found.cache_control})


WEB = Door(
    name="web",
    title="web",
    clients="browsers",
    prefixes=("/assets/", "/moderate", "/docs", "/openapi.json"),
    errors=NATIVE,
    operations=tuple(
        Operation("GET", path, handler, access=Access.OPEN, documented=False)
        for path, handler in (
            ("/", page),
            ("/moderate", moderate),
            ("/docs", docs),
            ("/openapi.json", openapi),
            ("/assets/{name}", asset),
        )
    ),
)
