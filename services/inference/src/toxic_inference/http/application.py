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
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from toxic_core.errors import ToxicError
from toxic_core.http.addresses import Addresses
from toxic_inference.events import RouteDeclared
from toxic_inference.http.admission import Admission, AdmissionRules
from toxic_inference.http.backend import (
    MODEL_VERSION_HEADER,
    UNEVALUATED_LANGUAGES_HEADER,
    UNSUPPORTED_ATTRIBUTES_HEADER,
    Backend,
)
from toxic_inference.http.door import Door, Doors
from toxic_inference.http.encodings.content_coding import ContentCoding
from toxic_inference.http.error_shapes import NATIVE
from toxic_inference.http.errors import Problem, problem_of
from toxic_inference.http.guard import Guard, GuardRules
from toxic_inference.http.middleware import BodyLimit, Endpoint, RequestContext
from toxic_inference.http.openapi import OpenApiDocument
from toxic_inference.http.policies import DECIDED_HEADER, POLICY_HEADER
from toxic_inference.http.terms import DO_NOT_STORE_HEADER, TIMEOUT_HEADER
from toxic_inference.http.texts import LOW_CONFIDENCE_TEXTS_HEADER, TRUNCATED_TEXTS_HEADER

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]

_HTTP_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed_request",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}
_BROWSER_HEADERS = (
    *("authorization", "content-type", "content-encoding", "x-api-key", "x-request-id", TIMEOUT_HEADER),
    DO_NOT_STORE_HEADER,
    *("traceparent", "tracestate"),
    POLICY_HEADER,
    # What Google's clients for browsers add.
    *("x-goog-api-key", "x-goog-api-client", "x-goog-authuser", "x-goog-fieldmask", "x-goog-user-project"),
    *("x-client-data", "x-clientdetails", "x-javascript-user-agent", "x-origin", "x-referer"),
    "x-requested-with",
    # What OpenAI's client for browsers adds.
    *("openai-organization", "openai-project", "idempotency-key", "x-stainless-arch", "x-stainless-lang"),
    *("x-stainless-os", "x-stainless-package-version", "x-stainless-retry-count", "x-stainless-runtime"),
    *("x-stainless-runtime-version", "x-stainless-timeout", "x-stainless-helper-method"),
)
"""Headers that pages of other origins may send."""
_EXPOSED_HEADERS = (
    MODEL_VERSION_HEADER,
    UNSUPPORTED_ATTRIBUTES_HEADER,
    UNEVALUATED_LANGUAGES_HEADER,
    TRUNCATED_TEXTS_HEADER,
    LOW_CONFIDENCE_TEXTS_HEADER,
    POLICY_HEADER,
    DECIDED_HEADER,
    *("x-request-id", "traceparent", "retry-after"),
)
"""Headers of answers that such pages may read."""

NO_RULES = GuardRules()


def create_api(
    backend: Backend,
    doors: Sequence[Door],
    *,
    rules: GuardRules = NO_RULES,
    cors_origins: Sequence[str] = (),
    allowed_hosts: Sequence[str] = (),
    trusted_proxies: str = "",
    admission: AdmissionRules | None = None,
    lifespan: Lifespan | None = None,
) -> Starlette:
    """Return the application.

    Args:
        backend: what the handlers work with.
        doors: every door; paths are matched in their order, those that score texts first.
        rules: API keys and their rate.
        cors_origins: origins of pages that may call the service from a browser.
        allowed_hosts: host names, each with or without a port, that are answered; see `Addresses`.
        trusted_proxies: addresses or networks, comma-separated, whose X-Forwarded headers are believed.
        admission: admission control; None admits every request.
        lifespan: runs the core while the application runs.
    """
    registered = Doors(doors, fallback=NATIVE)
    for door in registered.registered:
        for each in door.operations:
            backend.emit(RouteDeclared(door.name, each.path, each.method, each.scores))
    addresses = Addresses(
        allowed_hosts,
        keys=rules.find_key is not None,
        origins=cors_origins,
        public_url=backend.public_url,
        hosts_setting="INFERENCE_ALLOWED_HOSTS",
        origins_advice="List the page's origin in INFERENCE_CORS_ORIGINS, or the service's own address in "
        "INFERENCE_PUBLIC_URL.",
    )
    layers = [
        # First, because pages must be able to read every answer, and a preflight request has no key. Such a
        # request is answered here, before any is counted.
        *([_cors(cors_origins)] if cors_origins else []),
        # A refused request costs as little as possible.
        *([Middleware(Admission, doors=registered, rules=admission, emit=backend.emit)] if admission else []),
        *([Middleware(backend.trace, doors=registered)] if backend.trace else []),
        Middleware(RequestContext, doors=registered, emit=backend.emit),
        Middleware(Guard, doors=registered, rules=rules, addresses=addresses),
        # Outside the limit, which counts decompressed bytes.
        Middleware(ContentCoding, doors=registered),
        Middleware(BodyLimit, doors=registered, limits=backend.limits),
    ]
    if trusted_proxies:
        layers.insert(0, Middleware(ProxyHeadersMiddleware, trusted_hosts=trusted_proxies))

    async def answer(request: Request, error: Exception) -> Response:
        problem = _refusal(request, error) if isinstance(error, HTTPException) else problem_of(error)
        return registered.render(problem, path=request.url.path)

    app = Starlette(
        routes=_routes(registered, backend),
        middleware=layers,
        exception_handlers={ToxicError: answer, HTTPException: answer},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.openapi = OpenApiDocument(registered)
    return app


def _routes(doors: Doors, backend: Backend) -> list[Route]:
    """Return the routes of all doors, those that score texts first: the router tries one after the other."""
    operations = [(door, operation) for door in doors.registered for operation in door.operations]
    return [
        Route(
            f"{operation.path[:-1]}:path}}" if operation.slashes else operation.path,
            Endpoint(door, operation, backend),
            methods=[operation.method],
        )
        for door, operation in sorted(operations, key=lambda each: not each[1].scores)
    ]


def _cors(origins: Sequence[str]) -> Middleware:
    """Return the layer that lets pages of these origins call the service."""
    return Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=list(_BROWSER_HEADERS),
        expose_headers=list(_EXPOSED_HEADERS),
    )


def _refusal(request: Request, error: HTTPException) -> Problem:
    """Return the router's own error as a problem."""
    status, path, message = HTTPStatus(error.status_code), request.url.path, str(error.detail)
    if status is HTTPStatus.NOT_FOUND:
        message = f"There is no {path}; /docs lists every route."
    elif status is HTTPStatus.METHOD_NOT_ALLOWED:
        message = f"{path} does not accept {request.method}; /docs lists the methods."
    code = _HTTP_CODES.get(status, status.phrase.lower().replace(" ", "_"))
    return Problem(status=status, code=code, message=message, headers=error.headers)
