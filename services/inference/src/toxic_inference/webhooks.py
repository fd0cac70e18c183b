"""The receiver of the registry's webhook messages: an alias moved.

Messages are signed as `toxic_core.signing` defines, and each counts once.

Invariant: a message is only a hint. A valid one makes the poller ask the registry now; what is served follows
from the registry's answer, never from a message's content.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel, ValidationError

from toxic_core.errors import InvalidSignatureError, ToxicError
from toxic_core.signing import TOLERANCE_SECONDS, verify
from toxic_inference.events import Emit, RegistryMessageReceived

_ALIAS_ENTITY = "model_version_alias"
# A message may be signed that far in the future, and is valid for as long after that.
_REMEMBERED_SECONDS = 2 * TOLERANCE_SECONDS


class WebhookOutcome(StrEnum):
    """What the receiver did with a message."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    IRRELEVANT = "irrelevant"
    REFUSED = "refused"


class InvalidMessageError(ToxicError):
    """A signed message that is not an event.

    Attributes:
        field: the part of the request at fault.
    """

    field = "body"


class _EventData(BaseModel):
    name: str = ""
    alias: str = ""


class _Event(BaseModel):
    """The members that are read; MLflow's own webhooks have more, and other events."""

    entity: str
    data: _EventData


@dataclass(eq=False, kw_only=True)
class WebhookReceiver:
    """Takes signed messages about one registered model's aliases. Used from the event loop's thread only.

    Attributes:
        model_name: messages about other models are irrelevant.
        aliases: messages about other aliases are irrelevant.
        secret: shared with the registry.
        poke: called for each new relevant message.
        now: Unix time in seconds.
        emit: takes a `RegistryMessageReceived` per message.
    """

    model_name: str
    aliases: Collection[str]
    secret: str
    poke: Callable[[], None]
    now: Callable[[], float]
    emit: Emit
    _seen: dict[str, float] = field(default_factory=dict, init=False)

    def receive(self, headers: Mapping[str, str], body: bytes) -> None:
        """Act on a message once.

        Raises:
            InvalidSignatureError: the signature is wrong or too old.
            InvalidMessageError: the message is signed, but is not an event.
        """
        try:
            delivery_id = verify(headers, body, secret=self.secret, now=self.now())
        except InvalidSignatureError:
            self.emit(RegistryMessageReceived(WebhookOutcome.REFUSED))
            raise
        try:
            event = _Event.model_validate_json(body)
        except ValidationError as error:
            raise InvalidMessageError(
                "The message is signed, but is not an event: it needs entity and data.name."
            ) from error
        now = self.now()
        # The oldest is first.
        while self._seen and next(iter(self._seen.values())) < now - _REMEMBERED_SECONDS:
            del self._seen[next(iter(self._seen))]
        about_model = event.entity == _ALIAS_ENTITY and event.data.name == self.model_name
        if not about_model or event.data.alias not in self.aliases:
            outcome = WebhookOutcome.IRRELEVANT
        elif delivery_id in self._seen:
            outcome = WebhookOutcome.REPLAYED
        else:
            outcome = WebhookOutcome.ACCEPTED
            self._seen[delivery_id] = now
            self.poke()
        self.emit(RegistryMessageReceived(outcome))
