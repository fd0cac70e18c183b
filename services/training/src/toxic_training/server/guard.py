"""Who may call the training server: host names, pages of other origins, and the token.

Invariant: on an address that other machines reach, no request without the token starts or stops a run.
"""

import hmac
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from toxic_core.errors import ToxicError
from toxic_core.http.addresses import Addresses, ForeignRequestError
from toxic_training.server.answers import Problem, ProblemAnswer
from toxic_training.server.settings import Settings

PROBES = frozenset({"/health", "/metrics"})
_OPEN = PROBES | {"/alerts"}
"""Paths that need no token, or check another one, which no page of another origin has."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class _NoTokenError(ToxicError):
    """A request without the token."""


class Guard:
    """Middleware that passes or refuses requests before anything reads their body."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._token = settings.token.get_secret_value()
        self._exposed = settings.host not in _LOOPBACK
        self._addresses = Addresses(
            settings.allowed_hosts, keys=bool(self._token), hosts_setting="TRAINING_ALLOWED_HOSTS"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; see ASGI."""
        if scope["type"] == "http" and scope["path"] not in _OPEN:
            try:
                self._check(scope)
            except ForeignRequestError as error:
                await _refusal(HTTPStatus.FORBIDDEN, "forbidden", error)(scope, receive, send)
                return
            except _NoTokenError as error:
                status = HTTPStatus.UNAUTHORIZED if self._token else HTTPStatus.FORBIDDEN
                await _refusal(status, "wrong_token", error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._addresses.check_host(headers)
        changes = scope["method"] not in _SAFE
        if changes:
            self._addresses.check_origin(headers)
        if not self._token and self._exposed and changes:
            raise _NoTokenError(
                "Other machines reach this server: set TRAINING_TOKEN, and send it as Authorization: Bearer."
            )
        if self._token and not is_bearer(headers.get("authorization", ""), self._token):
            raise _NoTokenError("The header Authorization must be Bearer with the token of TRAINING_TOKEN.")


def is_bearer(authorization: str, token: str) -> bool:
    """Return whether a header has the token; takes the same time whichever part of it differs."""
    return hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode())


def _refusal(status: HTTPStatus, code: str, error: ToxicError) -> JSONResponse:
    problem = ProblemAnswer(error=Problem(code=code, message=str(error)))
    return JSONResponse(problem.model_dump(mode="json"), status_code=status)
