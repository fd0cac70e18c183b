"""The HTTP application: every door behind the same middleware and error table."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from toxic_core.errors import ToxicError
from toxic_inference.http.admission import Admission, AdmissionRules
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.door import Door, Doors
from toxic_inference.http.error_shapes import NATIVE
from toxic_inference.http.errors import Problem, problem_of
from toxic_inference.http.guard import Guard, GuardRules
from toxic_inference.http.middleware import BodyLimit, Endpoint, RequestContext, SecurityHeaders
from toxic_inference.http.openapi import OpenApiDocument

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]

_HTTP_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed_request",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}
NO_RULES = GuardRules()


def create_api(
    backend: Backend,
    doors: Sequence[Door],
    *,
    rules: GuardRules = NO_RULES,
    cors_origins: Sequence[str] = (),
    admission: AdmissionRules | None = None,
    lifespan: Lifespan | None = None,
) -> Starlette:
    """Return the application.

    Args:
        backend: what the handlers work with.
        doors: every door; paths are matched in their order.
        rules: API keys and their rate.
        cors_origins: origins whose pages may call the service from a browser.
        admission: admission control; None admits every request.
        lifespan: runs the core while the application runs.
    """
    registered = Doors(doors, fallback=NATIVE)
    routes = [
        Route(operation.path, Endpoint(door, operation, backend), methods=[operation.method])
        for door in registered.registered
        for operation in door.operations
    ]
    limits = backend.limits
    middleware = [
        Middleware(RequestContext, doors=registered, emit=backend.emit),
        Middleware(SecurityHeaders),
    ]
    if admission is not None:
        # Outermost: a refused request costs as little as possible.
        middleware.insert(0, Middleware(Admission, doors=registered, rules=admission, emit=backend.emit))
    if cors_origins:
        # Inside the security headers, outside the guard: a preflight request has no key.
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(cors_origins),
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["authorization", "content-type", "x-api-key", "x-request-id", "timeout"],
                expose_headers=[MODEL_VERSION_HEADER, "x-request-id", "retry-after"],
            )
        )
    middleware += [
        Middleware(Guard, doors=registered, rules=rules),
        Middleware(
            BodyLimit, doors=registered, max_bytes=limits.body_bytes, max_upload_bytes=limits.upload_bytes
        ),
    ]

    async def on_toxic(request: Request, error: Exception) -> Response:
        return registered.render(problem_of(error), path=request.url.path)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for this class only
        status, path = HTTPStatus(error.status_code), request.url.path
        message = str(error.detail)
        if status is HTTPStatus.NOT_FOUND:
            message = f"There is no {path}; /docs lists every route."
        elif status is HTTPStatus.METHOD_NOT_ALLOWED:
            message = f"{path} does not accept {request.method}; /docs lists the methods."
        code = _HTTP_CODES.get(status, status.phrase.lower().replace(" ", "_"))
        return registered.render(
            Problem(status=status, code=code, message=message, headers=error.headers), path=path
        )

    app = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={ToxicError: on_toxic, HTTPException: on_http},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.openapi = OpenApiDocument(registered)
    return app
