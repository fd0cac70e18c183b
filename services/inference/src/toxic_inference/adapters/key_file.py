"""API keys in a file, read again when it changes.

Invariant: a key that is removed from the file is refused from the next request on; a file that can't be read
any more has no effect but a log entry.
"""

from pathlib import Path

from toxic_core.errors import ConfigurationError
from toxic_core.files import replacing
from toxic_inference.adapters.watched_file import WatchedFile
from toxic_inference.keys import ApiKey, digest_of, read_keys, write_keys


class KeyFile:
    """Finds keys.

    Raises:
        ConfigurationError: the file is missing, can't be read, or holds no key.
    """

    def __init__(self, path: Path) -> None:
        self._keys = WatchedFile(path, _by_digest, name="keys")
        if not self._keys.current():
            raise ConfigurationError(f"{path} holds no key; make one: toxic-inference keys add NAME.")

    def find(self, presented: str) -> ApiKey | None:
        """Return the key that a caller presented, or None."""
        return self._keys.current().get(digest_of(presented))


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


def _by_digest(path: Path) -> dict[str, ApiKey]:
    return {key.digest: key for key in load_keys(path)}
