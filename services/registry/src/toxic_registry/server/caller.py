"""Who asks for a change, and why, as far as the request says.

Owns the headers that go with a promotion, and the pure ASGI middleware that reads them, so that the store
behind MLflow's handlers knows them whichever route the request took.

Invariant: where people sign in, the actor is who signed in, whatever the headers claim.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

ACTOR_HEADER = "X-Registry-Actor"
REASON_HEADER = "X-Registry-Reason"
OVERRIDE_HEADER = "X-Registry-Override"

SIGNED_IN = "toxic_registry.user"
"""Where in the ASGI scope the name of who signed in stands."""

_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        actor: for the ledger; an address where nobody is named.
        named: whether `actor` is a person's name.
        reason: why; may be empty.
        override: whether they ask to pass the gate against its reasons.
    """

    actor: str
    named: bool = False
    reason: str = ""
    override: bool = False


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_caller() -> Caller:
    """Return who makes the request being answered."""
    return _caller.get() or Caller(actor="registry")


def headers_of(*, actor: str, reason: str, override: str) -> dict[str, str]:
    """Return the headers that tell a registry who asks; `override` is why to pass the gate, or empty."""
    headers = {ACTOR_HEADER: actor, REASON_HEADER: override or reason}
    if override:
        headers[OVERRIDE_HEADER] = "true"
    # A header is Latin-1 in one line; a name or a reason needn't be.
    return {name: quote(value) for name, value in headers.items() if value}


class CallerMiddleware:
    """Makes the caller known for the time of a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection; see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        token = _caller.set(_read(scope))
        try:
            await self._app(scope, receive, send)
        finally:
            _caller.reset(token)


def _read(scope: Scope) -> Caller:
    headers = Headers(scope=scope)
    signed_in = str(scope.get(SIGNED_IN, ""))
    name = signed_in or _text(headers, ACTOR_HEADER)
    address = scope["client"][0] if scope.get("client") else "unknown"
    return Caller(
        actor=name[:_LONGEST] or f"anonymous@{address}",
        named=bool(name),
        reason=_text(headers, REASON_HEADER),
        override=headers.get(OVERRIDE_HEADER, "").lower() == "true",
    )


def _text(headers: Headers, name: str) -> str:
    # Control characters would let a reason forge lines in a terminal.
    return " ".join("".join(c if c.isprintable() else " " for c in unquote(headers.get(name, ""))).split())
