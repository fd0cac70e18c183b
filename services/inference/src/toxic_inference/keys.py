"""API keys and their file.

A key is random and long, so its plain SHA-256 is safe to store and fast to look up; a slow digest is only
needed for secrets that people choose.

Invariant: a key itself is shown once, when it is generated, and is never stored.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from toxic_core.errors import ConfigurationError

_PREFIX = "toxic_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VALUE = re.compile(r"[A-Za-z0-9._-]{32,256}")
"""A key that someone else made, such as Google's of 39 characters: long enough for a plain digest."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HEADER = "# API keys of toxic-inference: name, role, SHA-256. `toxic-inference keys` writes this file.\n"


class Role(StrEnum):
    """What a key permits."""

    CLIENT = "client"
    """Scoring and filing corrections."""
    OPERATOR = "operator"
    """Also reading and deleting corrections."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The stored part of a key.

    Attributes:
        name: its owner, for the log.
        role: what it permits.
        digest: SHA-256 of the key, in hexadecimal.
    """

    name: str
    role: Role
    digest: str


def new_key(name: str, role: Role, *, value: str | None = None) -> tuple[str, ApiKey]:
    """Return a new key, to be shown once, and its stored part.

    Args:
        name: its owner.
        role: what it permits.
        value: the key, if the caller has one already.

    Raises:
        ConfigurationError: the name or the value is invalid.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} can't name a key; use letters, digits, dots, dashes, underscores."
        )
    if value is not None and not _VALUE.fullmatch(value):
        raise ConfigurationError(
            "A key must have 32 to 256 letters, digits, dots, dashes, underscores, and be random."
        )
    key = value or _PREFIX + secrets.token_urlsafe(32)
    return key, ApiKey(name, role, digest_of(key))


def digest_of(key: str) -> str:
    """Return the digest that is stored for a key."""
    return sha256(key.encode("utf-8", errors="replace")).hexdigest()


def read_keys(text: str) -> tuple[ApiKey, ...]:
    """Return the keys in a file's text.

    Raises:
        ConfigurationError: a line is not a key, or a name occurs twice.
    """
    keys: dict[str, ApiKey] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) != 3 or fields[1] not in list(Role) or not _DIGEST.fullmatch(fields[2]):  # noqa: PLR2004
            raise ConfigurationError(f"Line {number} of the API keys is not a name, a role and a SHA-256.")
        if fields[0] in keys:
            raise ConfigurationError(f"Line {number} of the API keys repeats the name {fields[0]!r}.")
        keys[fields[0]] = ApiKey(fields[0], Role(fields[1]), fields[2])
    return tuple(keys.values())


def write_keys(keys: Iterable[ApiKey]) -> str:
    """Return the text of a file of `keys`."""
    return _HEADER + "".join(f"{key.name} {key.role} {key.digest}\n" for key in keys)
