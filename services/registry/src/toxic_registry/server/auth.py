"""Optional HTTP basic authentication (RFC 7617) by a file of users.

Owns the file's format, one `name:hash` per line with Werkzeug's salted hashes, and the middleware that checks
credentials on every route except the health check.

Invariant: if there is a users file, no other request passes without a user's password.
"""

from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from werkzeug.datastructures import Authorization
from werkzeug.security import check_password_hash, generate_password_hash

from toxic_core.errors import ConfigurationError
from toxic_registry.caller import Role
from toxic_registry.server.middleware import SIGNED_IN

_OPEN_PATHS = frozenset({"/health"})
_MAX_CACHED = 256

# Checked for unknown names too, so that response times don't reveal which names exist.
_UNKNOWN_USER = generate_password_hash("the password of no user")


class BasicAuthMiddleware:
    """Rejects requests without a user's credentials and stores the user's name in the ASGI scope."""

    def __init__(self, app: ASGIApp, *, users: Mapping[str, str]) -> None:
        self._app = app
        self._users = dict(users)
        # Hashing is slow on purpose and a page sends dozens of requests; only valid credentials are cached.
        self._valid: set[tuple[str, str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; see ASGI."""
        if scope["type"] == "lifespan" or scope.get("path") in _OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        given = Authorization.from_header(Headers(scope=scope).get("authorization"))
        name, password = "", ""
        if given is not None and given.type == "basic":
            name, password = given.username or "", given.password or ""
        if (name, password) not in self._valid:
            stored = self._users.get(name, _UNKNOWN_USER)
            matches = await anyio.to_thread.run_sync(check_password_hash, stored, password)
            if not matches or name not in self._users:
                await PlainTextResponse(
                    "Sign in with a user of this registry.\n",
                    status_code=401,
                    headers={"WWW-Authenticate": 'Basic realm="toxic-registry", charset="UTF-8"'},
                )(scope, receive, send)
                return
            if len(self._valid) < _MAX_CACHED:
                self._valid.add((name, password))
        await self._app({**scope, SIGNED_IN: (name, Role.OVERRIDE)}, receive, send)


def read_users(path: Path) -> dict[str, str]:
    """Return each user's password hash by name.

    Raises:
        ConfigurationError: the file can't be read, is empty, or has a line that isn't `name:hash`.
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
                f"Line {number} of {path} isn't name:hash; create one with `toxic-registry hash-password`."
            )
        users[name] = stored
    if not users:
        raise ConfigurationError(f"The users file {path} has no users, so no one could sign in.")
    return users


def user_line(name: str, password: str) -> str:
    """Return the users file's line for a user.

    Raises:
        ConfigurationError: the name can't be written in the file.
    """
    if not name.isprintable() or ":" in name or not name.strip() or name.startswith("#"):
        raise ConfigurationError(
            f"{name!r} isn't a valid user name; it can't contain a colon or begin with #."
        )
    return f"{name}:{generate_password_hash(password)}"
