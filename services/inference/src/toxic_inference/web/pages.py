"""What people open in a browser: the page at `/`, and the API's documentation at `/docs`.

Invariant: everything is served from here; a browser that opens these pages asks no other host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

_DAY = "public, max-age=86400"

_DOCS_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>toxic-inference: API</title>
<link rel="stylesheet" href="/assets/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/assets/swagger-ui-bundle.js"></script>
<script src="/assets/docs.js"></script>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class _Asset:
    package: str
    path: str
    media_type: str
    cache_control: str = "no-cache"

    def read(self) -> bytes:
        return files(self.package).joinpath(self.path).read_bytes()


_PAGE = _Asset("toxic_inference.web", "index.html", "text/html")
_ASSETS: Mapping[str, _Asset] = {
    "page.css": _Asset("toxic_inference.web", "page.css", "text/css"),
    **{
        name: _Asset("toxic_inference.web", name, "text/javascript")
        for name in ("page.js", "api.js", "comment.js", "file.js", "csv.js", "docs.js")
    },
    # fastapi-offline is used for the copy of Swagger UI that it carries, and for nothing else.
    "swagger-ui.css": _Asset("fastapi_offline", "static/swagger-ui.css", "text/css", _DAY),
    "swagger-ui-bundle.js": _Asset("fastapi_offline", "static/swagger-ui-bundle.js", "text/javascript", _DAY),
}


def pages_router() -> APIRouter:
    """Return the routes of the page, the documentation and their assets."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page() -> Response:
        return _serve(_PAGE)

    @router.get("/docs")
    async def docs() -> Response:
        return Response(_DOCS_PAGE, media_type="text/html")

    @router.get("/assets/{name}")
    async def asset(name: str) -> Response:
        if name not in _ASSETS:
            raise HTTPException(404)
        return _serve(_ASSETS[name])

    return router


def _serve(asset: _Asset) -> Response:
    headers = {"cache-control": asset.cache_control}
    return Response(asset.read(), media_type=asset.media_type, headers=headers)
