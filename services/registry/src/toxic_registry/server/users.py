"""The users of a file and of a setting.

The file has a name, a password's salted scrypt hash and a role per line, `name:hash role`. The setting has
passwords instead of hashes.

Invariant: the users of the file are those in it now. While it can't be read, its users can't sign in, and no
fixed user in place of one that it had: an admin who was demoted in the file would be one again.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import structlog
from werkzeug.security import check_password_hash, generate_password_hash

from toxic_core.errors import ConfigurationError
from toxic_registry.caller import Role

_log = structlog.stdlib.get_logger(__name__)

_MAX_CACHED = 256
_ROLES = ", ".join(role.name.lower() for role in Role)

# Checked for unknown names too, so that response times don't reveal which names exist.
_NO_HASH = generate_password_hash("the password of no user")


@dataclass(frozen=True, slots=True)
class User:
    """A user's password hash and role."""

    hash: str
    role: Role


class Users:
    """The users of a file, which may change at any time, and fixed ones.

    Args:
        path: the file, if there is one.
        fixed: users by name; the file's user of the same name counts.

    Raises:
        ConfigurationError: the file is invalid at the start.
    """

    def __init__(self, path: Path | None, fixed: Mapping[str, User] = MappingProxyType({})) -> None:
        self._path = path
        self._fixed = fixed
        self._seen = _signature(path) if path else None
        self._users: Mapping[str, User | None] = read_users(path) if path else {}
        # Hashing is slow on purpose, and a page sends dozens of requests. Only valid ones are kept.
        self._key = secrets.token_bytes(32)
        self._valid: set[bytes] = set()

    def find(self, name: str) -> User | None:
        """Return the user of a name, as the file has it now."""
        if self._path and (signature := _signature(self._path)) != self._seen:
            self._seen = signature
            try:
                self._users = read_users(self._path)
                _log.info("users.read", users=len(self._users))
            except ConfigurationError as error:
                self._users = dict.fromkeys(self._users)
                _log.error("users.unreadable", error=str(error))
        return self._users[name] if name in self._users else self._fixed.get(name)

    def was_valid(self, user: User, password: str) -> bool:
        """Return whether this password of a user was checked before."""
        return self._digest(user, password) in self._valid

    def check(self, user: User | None, password: str) -> bool:
        """Check a password; takes tens of milliseconds and 32 MB, also for no user."""
        if not check_password_hash(user.hash if user else _NO_HASH, password) or user is None:
            return False
        if len(self._valid) < _MAX_CACHED:
            self._valid.add(self._digest(user, password))
        return True

    def _digest(self, user: User, password: str) -> bytes:
        return hmac.digest(
            self._key, f"{user.hash}\n{password}".encode("utf-8", "surrogatepass"), hashlib.sha256
        )


def read_users(path: Path) -> dict[str, User]:
    """Return each user by name. A line without a role, of an older release, allows everything.

    Raises:
        ConfigurationError: the file can't be read, is empty, or has a line that isn't `name:hash role`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The users file {path} can't be read: {error}") from error
    users: dict[str, User] = {}
    for number, line in enumerate(lines, start=1):
        name, separator, rest = line.strip().partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        stored, _, role = rest.partition(" ")
        known = role.strip().upper() or Role.OVERRIDE.name
        if (
            not separator
            or not name
            or not stored.startswith(("scrypt:", "pbkdf2:"))
            or known not in Role.__members__
        ):
            raise ConfigurationError(
                f"Line {number} of {path} isn't name:hash role, with one of the roles {_ROLES}; "
                "create one with `toxic-registry hash-password`."
            )
        users[name] = User(stored, Role[known])
    if not users:
        raise ConfigurationError(f"The users file {path} has no users, so no one could sign in.")
    return users


def parse_users(text: str) -> dict[str, User]:
    """Return each user by name in the text of REGISTRY_USERS, `name:password role` between commas.

    Raises:
        ConfigurationError: an entry has another form, an empty password or no known role.
    """
    users: dict[str, User] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, _, rest = entry.partition(":")
        password, _, role = rest.rpartition(" ")
        if not name or not password or role.upper() not in Role.__members__:
            raise ConfigurationError(
                f"The user {name!r} in REGISTRY_USERS isn't name:password role, with a role of {_ROLES}."
            )
        users[name] = User(generate_password_hash(password), Role[role.upper()])
    return users


def user_line(name: str, password: str, role: Role) -> str:
    """Return the users file's line for a user.

    Raises:
        ConfigurationError: the name can't be written in the file.
    """
    if not name.isprintable() or ":" in name or not name.strip() or name.startswith("#"):
        raise ConfigurationError(
            f"{name!r} isn't a valid user name; it can't contain a colon or begin with #."
        )
    return f"{name}:{generate_password_hash(password)} {role.name.lower()}"


def _signature(path: Path) -> tuple[int, ...] | None:
    """Return what differs between two states of a file; the change time can't be set by its writer."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
