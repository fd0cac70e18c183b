"""Basic authentication by a file of users, where an operator wants it.

Owns the file's form, `name:hash` a line with Werkzeug's salted hashes (`toxic-registry hash-password` makes
one), and the ASGI middleware that asks for a name on every route but the health check.

Invariant: without a users file nothing is asked; with one, no request gets past without a user's password.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from werkzeug.security import check_password_hash, generate_password_hash

from toxic_core.errors import ConfigurationError
from toxic_registry.server.caller import SIGNED_IN

_OPEN_PATHS = frozenset({"/health"})
_REMEMBERED = 256


class BasicAuthMiddleware:
    """Lets requests pass that carry a user's name and password, and notes the name."""

    def __init__(self, app: ASGIApp, *, users: Mapping[str, str]) -> None:
        self._app = app
        self._users = dict(users)
        # A hash is slow on purpose, and the page asks dozens of times; only good passwords are remembered.
        self._known: set[tuple[str, str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection; see ASGI."""
        if scope["type"] == "lifespan" or scope.get("path") in _OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        name = await self._user(Headers(scope=scope).get("authorization", ""))
        if name is None:
            await PlainTextResponse(
                "Sign in with a user of this registry.\n",
                status_code=401,
                headers={"WWW-Authenticate": 'Basic realm="toxic-registry", charset="UTF-8"'},
            )(scope, receive, send)
            return
        await self._app({**scope, SIGNED_IN: name}, receive, send)

    async def _user(self, header: str) -> str | None:
        name, password = _credentials(header)
        if (name, password) in self._known:
            return name
        stored = self._users.get(name, _NOBODY)
        good = await anyio.to_thread.run_sync(check_password_hash, stored, password)
        if not good or name not in self._users:
            return None
        if len(self._known) < _REMEMBERED:
            self._known.add((name, password))
        return name


def read_users(path: Path) -> dict[str, str]:
    """Return every user's hash by name.

    Raises:
        ConfigurationError: the file can't be read, or a line isn't `name:hash`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The users file {path} can't be read: {error}") from error
    users: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        name, separator, stored = line.strip().partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        if not separator or not name or not stored.startswith(("scrypt:", "pbkdf2:")):
            raise ConfigurationError(
                f"Line {number} of {path} isn't name:hash; `toxic-registry hash-password` makes one."
            )
        users[name] = stored
    if not users:
        raise ConfigurationError(f"The users file {path} names nobody, so nobody could sign in.")
    return users


def user_line(name: str, password: str) -> str:
    """Return the users file's line for a user.

    Raises:
        ConfigurationError: the name can't stand in the file.
    """
    if not name.isprintable() or ":" in name or not name.strip() or name.startswith("#"):
        raise ConfigurationError(f"{name!r} can't be a user's name.")
    return f"{name}:{generate_password_hash(password)}"


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


# Checked against where the name is unknown, so that the time taken doesn't tell which names exist.
_NOBODY = generate_password_hash("nobody has this password")
