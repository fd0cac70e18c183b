"""How large a request's body may be, by its route."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimitMiddleware:
    """Refuses bodies that are too large for their route, by their declared length and by what arrives.

    Args:
        app: the application.
        limit: returns the limit of a path, in bytes.
    """

    def __init__(self, app: ASGIApp, *, limit: Callable[[str], int]) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        declared = Headers(scope=scope).get("content-length", "")
        refusal = PlainTextResponse(
            f"The body is larger than {limit:,} bytes.\n", status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        )
        if declared.isdecimal() and int(declared) > limit:
            await refusal(scope, receive, send)
            return
        received, started = 0, False

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _TooLargeError
            return message

        async def sending(message: Message) -> None:
            nonlocal started
            if started or received <= limit:  # else it is the application's answer to the error
                started = True
                await send(message)

        try:
            await self._app(scope, receiving, sending)
        except _TooLargeError:
            if started:
                raise
        if received > limit and not started:  # FastAPI turns the error into an answer, which wasn't sent
            await refusal(scope, receive, send)


class _TooLargeError(Exception):
    """A body over the limit."""
