"""API keys in a file, read again when it changes.

Invariant: a key that is removed from the file is refused from the next request on; a file that can't be read
any more has no effect but a log entry.
"""

from pathlib import Path

import structlog

from toxic_core.errors import ConfigurationError
from toxic_core.files import replacing
from toxic_inference.keys import ApiKey, digest_of, read_keys, write_keys

_log = structlog.get_logger(__name__)


class KeyFile:
    """Finds keys. A look at the file's time is one system call per request.

    Raises:
        ConfigurationError: the file is missing, can't be read, or holds no key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._keys = _by_digest(load_keys(path))
        if not self._keys:
            raise ConfigurationError(f"{path} holds no key; make one: toxic-inference keys add NAME.")

    def find(self, presented: str) -> ApiKey | None:
        """Return the key that a caller presented, or None."""
        if (stamp := _stamp(self._path)) != self._stamp:
            self._stamp = stamp
            try:
                self._keys = _by_digest(load_keys(self._path))
            except ConfigurationError as error:
                _log.warning("keys.unreadable", error=str(error))
            else:
                _log.info("keys.read", keys=len(self._keys))
        return self._keys.get(digest_of(presented))


def load_keys(path: Path) -> tuple[ApiKey, ...]:
    """Return the keys in a file.

    Raises:
        ConfigurationError: it is missing or can't be read.
    """
    try:
        return read_keys(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The API keys {path} can't be read: {getattr(error, 'strerror', None) or error}. Make the file "
            "with: toxic-inference keys add NAME."
        ) from error


def save_keys(path: Path, keys: tuple[ApiKey, ...]) -> None:
    """Replace the keys in a file, which only its owner can read.

    Raises:
        ConfigurationError: it can't be written.
    """
    try:
        with replacing(path) as partial:
            partial.touch(mode=0o600, exist_ok=False)
            partial.write_text(write_keys(keys), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The API keys {path} can't be written: {error.strerror}.") from error


def _by_digest(keys: tuple[ApiKey, ...]) -> dict[str, ApiKey]:
    return {key.digest: key for key in keys}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
