"""`POST /events`: the registry's webhook. The signature replaces an API key."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from toxic_inference.http.backend import Backend
from toxic_inference.http.door import Access, Door, Operation
from toxic_inference.http.error_shapes import NATIVE
from toxic_inference.http.errors import WebhooksDisabledError

_MAX_MESSAGE_BYTES = 64 * 1024


async def receive(request: Request, backend: Backend) -> Response:
    """Report that an alias moved.

    The service asks the registry what to serve. Takes MLflow's webhook messages and the registry's own.
    """
    if backend.webhooks is None:
        raise WebhooksDisabledError(
            "Events are off; set INFERENCE_EVENT_SECRET to the secret that the registry signs with."
        )
    backend.webhooks.receive(request.headers, await request.body())
    return Response(status_code=HTTPStatus.NO_CONTENT)


EVENTS = Door(
    name="events",
    title="events",
    clients="the registry and MLflow's webhooks",
    prefixes=("/events",),
    errors=NATIVE,
    operations=(
        Operation(
            "POST",
            "/events",
            receive,
            body_bytes=_MAX_MESSAGE_BYTES,
            answers={204: None},
            errors={
                403: "The message is not signed with the shared secret, or is too old.",
                404: "No secret is set, so no event is taken.",
            },
            access=Access.OPEN,
        ),
    ),
)
