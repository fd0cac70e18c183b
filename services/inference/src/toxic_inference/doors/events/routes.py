"""`POST /events`: the registry says that an alias moved.

Owns the check of such messages: the signature of `toxic_core.signing`, and that none counts twice.

Invariant: a message is a hint and nothing more. A sound one makes the poller ask the registry now; what is
served follows from the registry's answer alone, never from a message's content.
"""

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.errors import InvalidSignatureError
from toxic_core.signing import TOLERANCE_SECONDS, verify
from toxic_inference.events import Emit, RegistryMessageReceived
from toxic_inference.http.errors import EventsDisabledError, InvalidRequestError

EVENTS_PATH = "/events"

_ALIAS_ENTITY = "model_version_alias"
# A message may be signed for that far in the future, and be good for as long after.
_REMEMBERED_SECONDS = 2 * TOLERANCE_SECONDS


class EventOutcome(StrEnum):
    """What became of a message."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    IRRELEVANT = "irrelevant"
    REFUSED = "refused"


class _EventData(BaseModel):
    name: str = ""
    alias: str = ""


class _Event(BaseModel):
    """The part of a message that is read; MLflow's own webhooks send more, and of other things."""

    entity: str
    data: _EventData


class EventReceiver:
    """Takes signed messages about one registered model's aliases. Used from the event loop's thread only.

    Args:
        model_name: messages about other models are of no interest.
        aliases: nor those about other aliases: a promotion moves one that is served, and `previous`.
        secret: shared with the registry.
        poke: called for each new message of interest.
        now: Unix time in seconds.
        emit: receives every message's outcome.
    """

    def __init__(
        self,
        *,
        model_name: str,
        aliases: Collection[str],
        secret: str,
        poke: Callable[[], None],
        now: Callable[[], float],
        emit: Emit,
    ) -> None:
        self._model_name = model_name
        self._aliases = frozenset(aliases)
        self._secret = secret
        self._poke = poke
        self._now = now
        self._emit = emit
        self._seen: dict[str, float] = {}

    def receive(self, headers: Mapping[str, str], body: bytes) -> None:
        """Act on a message once.

        Raises:
            InvalidSignatureError: it isn't from a holder of the secret, or too old.
            InvalidRequestError: it is signed, but not an event.
        """
        try:
            delivery_id = verify(headers, body, secret=self._secret, now=self._now())
        except InvalidSignatureError:
            self._emit(RegistryMessageReceived(EventOutcome.REFUSED))
            raise
        if not self._is_of_interest(body):
            outcome = EventOutcome.IRRELEVANT
        elif self._is_known(delivery_id):
            outcome = EventOutcome.REPLAYED
        else:
            outcome = EventOutcome.ACCEPTED
            self._poke()
        self._emit(RegistryMessageReceived(outcome))

    def _is_of_interest(self, body: bytes) -> bool:
        try:
            event = _Event.model_validate_json(body)
        except ValidationError as error:
            raise InvalidRequestError(
                "The message is signed, but isn't an event: it needs entity and data.name.", field="body"
            ) from error
        about_model = event.entity == _ALIAS_ENTITY and event.data.name == self._model_name
        return about_model and event.data.alias in self._aliases

    def _is_known(self, delivery_id: str) -> bool:
        now = self._now()
        # Oldest first, as they came.
        while self._seen and next(iter(self._seen.values())) < now - _REMEMBERED_SECONDS:
            del self._seen[next(iter(self._seen))]
        known = delivery_id in self._seen
        self._seen.setdefault(delivery_id, now)
        return known


def events_router(receiver: EventReceiver | None) -> APIRouter:
    """Return the route; without a receiver it says that events are off."""
    router = APIRouter(tags=["operations"])

    @router.post(
        EVENTS_PATH,
        summary="Hear that an alias moved",
        status_code=HTTPStatus.NO_CONTENT,
        responses={
            403: {"description": "The message isn't signed with the shared secret, or is too old."},
            404: {"description": "No secret is set, so that no event is taken."},
        },
    )
    async def events(request: Request) -> Response:
        """Ask the registry now what to serve. Takes MLflow's webhook messages and the registry's own."""
        if receiver is None:
            raise EventsDisabledError(
                "Events are off; set INFERENCE_EVENT_SECRET to the secret that the registry signs with."
            )
        receiver.receive(request.headers, await request.body())
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router
