"""Who requests an alias change: the HTTP headers that carry a `Caller` from the client to the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import quote, unquote

ACTOR_HEADER = "X-Registry-Actor"
REASON_HEADER = "X-Registry-Reason"
OVERRIDE_HEADER = "X-Registry-Override"
ADOPT_HEADER = "X-Registry-Adopt"

_MAX_NAME_LENGTH = 256


class Role(IntEnum):
    """What a user may do; each role may also do what the ones before it may."""

    READER = 1
    """Read runs, versions, files and the ledger."""
    WRITER = 2
    """Register versions, and set aliases that the gate doesn't guard."""
    PROMOTER = 3
    """Promote versions that the gate accepts, and roll back."""
    OVERRIDE = 4
    """Promote against the gate."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, and why.

    Attributes:
        actor: name for the ledger.
        named: whether `actor` is a person's name rather than a network address.
        reason: may be empty.
        override: whether to promote against the gate's reasons; needs a name and a reason.
        adopt: whether the version is the model that ships with a release, to be compared per source.
        role: what the caller may do; everything if no one signs in.
    """

    actor: str
    named: bool = False
    reason: str = ""
    override: bool = False
    adopt: bool = False
    role: Role = Role.OVERRIDE


def to_headers(caller: Caller) -> dict[str, str]:
    """Return the headers that carry `caller`, percent-encoded because a header is one line of Latin-1."""
    headers = {ACTOR_HEADER: caller.actor, REASON_HEADER: caller.reason}
    if caller.override:
        headers[OVERRIDE_HEADER] = "true"
    if caller.adopt:
        headers[ADOPT_HEADER] = "true"
    return {name: quote(value) for name, value in headers.items() if value}


def from_headers(
    headers: Mapping[str, str], *, signed_in: str, address: str, role: Role = Role.OVERRIDE
) -> Caller:
    """Return the caller of a request.

    Args:
        headers: of the request, case-insensitive.
        signed_in: the authenticated user, who takes precedence over the headers; empty for none.
        address: the client's network address, which names an anonymous caller.
        role: of the authenticated user.
    """

    def text(name: str) -> str:
        # Control characters in a reason could forge lines in a terminal.
        decoded = unquote(headers.get(name, ""))
        return " ".join("".join(c if c.isprintable() else " " for c in decoded).split())

    name = signed_in or text(ACTOR_HEADER)
    return Caller(
        actor=name[:_MAX_NAME_LENGTH] or f"anonymous@{address}",
        named=bool(name),
        reason=text(REASON_HEADER),
        override=headers.get(OVERRIDE_HEADER, "").lower() == "true",
        adopt=headers.get(ADOPT_HEADER, "").lower() == "true",
        role=role,
    )
