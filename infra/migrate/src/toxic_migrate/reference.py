"""Asks a Perspective API for the scores of one comment: Google's, or any service that speaks it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from toxic_core.errors import ConfigurationError, ToxicError
from toxic_migrate.tables import Comment

GOOGLE = "https://commentanalyzer.googleapis.com"
KEY_VARIABLE = "PERSPECTIVE_API_KEY"
ATTRIBUTES = ("TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT")

_TRIES = 8
_LONGEST_WAIT_SECONDS = 60.0
_TEMPORARY = frozenset({408, 429, 500, 502, 503, 504})
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
_ERROR_CHARACTERS = 200


class ReferenceUnavailableError(ToxicError):
    """The reference doesn't answer."""


@dataclass
class Pacer:
    """Spaces requests, and makes all of them wait if the reference asks for less.

    Attributes:
        rate: requests per second.
        now: returns the time, in seconds.
        sleep: waits.
    """

    rate: float
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    _next: float = field(default=0.0, init=False)

    async def turn(self) -> None:
        """Wait for the next moment at which a request may start."""
        while (wait := self._next - self.now()) > 0:
            await self.sleep(wait)
        self._next = max(self._next, self.now()) + 1 / self.rate

    def pause(self, seconds: float) -> None:
        """Start no request for so long."""
        self._next = max(self._next, self.now() + seconds)


@dataclass(frozen=True, slots=True)
class Reference:
    """A Perspective API.

    Attributes:
        client: with the API's address and key (`open_client`).
        attributes: to ask for.
        pacer: spaces the requests.
    """

    client: httpx.AsyncClient
    attributes: Sequence[str]
    pacer: Pacer

    async def ask(self, comment: Comment) -> tuple[dict[str, float], str]:
        """Return a comment's scores by attribute, and why it has none; an empty text if it has.

        Raises:
            ConfigurationError: the API refuses the key, or isn't there.
            ReferenceUnavailableError: it doesn't answer, also after several tries.
        """
        body: dict[str, object] = {
            "comment": {"text": comment.text},
            "requestedAttributes": {name: {} for name in self.attributes},
            "doNotStore": True,
        }
        if comment.language:
            body["languages"] = [comment.language]
        reason = ""
        for attempt in range(_TRIES):
            await self.pacer.turn()
            wait = 2.0**attempt
            try:
                answer = await self.client.post("/v1alpha1/comments:analyze", json=body)
            except httpx.TransportError as error:
                reason = type(error).__name__
            else:
                if answer.status_code not in _TEMPORARY:
                    return _read(answer)
                reason = f"status {answer.status_code}"
                asked = answer.headers.get("retry-after", "")
                wait = float(asked) if asked.isdecimal() else wait
            self.pacer.pause(min(wait, _LONGEST_WAIT_SECONDS))
        raise ReferenceUnavailableError(
            f"{self.client.base_url} doesn't answer ({reason}). Run the same command later; it resumes."
        )


def open_client(address: str, key: str) -> httpx.AsyncClient:
    """Return a client of the API at an address; the key is sent in a header, which logs omit."""
    headers = {"x-goog-api-key": key} if key else {}
    return httpx.AsyncClient(base_url=address, headers=headers, timeout=30)


def _read(answer: httpx.Response) -> tuple[dict[str, float], str]:
    try:
        content = answer.json()
    except ValueError as error:
        raise ConfigurationError(f"{answer.url.host} isn't a Perspective API; check the address.") from error
    if answer.is_success:
        found = content.get("attributeScores", {})
        return {name: float(each["summaryScore"]["value"]) for name, each in found.items()}, ""
    problem = content.get("error", {})
    message = " ".join(str(problem.get("message", "")).split())[:_ERROR_CHARACTERS]
    if answer.status_code in _REFUSED or "API_KEY_INVALID" in str(problem.get("details")):
        raise ConfigurationError(
            f"{answer.url.host} refuses the request: {message} Check the address, and the key in "
            f"{KEY_VARIABLE}."
        )
    return {}, message or f"status {answer.status_code}"
