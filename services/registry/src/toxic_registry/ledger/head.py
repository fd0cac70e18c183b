"""The head of the ledger outside the database: the number of its entries and the hash of the last one.

A signed file beside the registry's state, and whatever copies its operators keep. An entry's hash covers all
entries before it, so one head fixes the whole ledger up to it.

Invariant: the head never goes back. It may lag behind the ledger, by the changes of other registries on the
same database or after a crash, so a ledger is compared with it as its beginning.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import structlog
from pydantic import ValidationError

from toxic_core.contract.schema import FrozenModel
from toxic_core.errors import InvalidSignatureError
from toxic_core.files import replacing
from toxic_core.signatures import Signature, SigningKey, verify
from toxic_registry.ledger.entries import Entry, LedgerError, verify_chain

_log = structlog.stdlib.get_logger(__name__)

_KIND = "ledger head"


class Head(FrozenModel):
    """A signed head.

    Attributes:
        size: the number of entries.
        hash: of the last one.
        signature: of both, by the registry's key.
    """

    size: int
    hash: str
    signature: Signature


class HeadFile:
    """The head of one registry's ledger in a file, and the key beside it; thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = SigningKey.read_or_create(path.with_suffix(".key"))
        self._lock = threading.Lock()
        self._head = read_head(path)

    @property
    def key(self) -> str:
        """The public key that signs the head."""
        return self._key.public

    @property
    def head(self) -> Head | None:
        """The head; None before the first entry."""
        return self._head

    def check(self, entries: Sequence[Entry]) -> None:
        """Compare a ledger with the head, and advance the head to its end.

        Raises:
            LedgerError: the ledger lacks entries of the head, has others, or another key signed the head; or
                an entry was changed.
        """
        verify_chain(entries)
        if self._head is not None:
            try:
                verify_head(entries, self._head, key=self._key.public)
            except LedgerError as error:
                raise LedgerError(
                    f"{error} Restore the database. If it is an older one on purpose, remove {self._path}."
                ) from error
        if entries:
            self.advance(entries[-1])

    def advance(self, entry: Entry) -> None:
        """Move the head to a new entry; a failed write is logged, because the entry is committed."""
        with self._lock:
            if self._head is not None and self._head.size >= entry.sequence:
                return
            signature = self._key.sign(_statement(entry.sequence, entry.hash), kind=_KIND)
            self._head = Head(size=entry.sequence, hash=entry.hash, signature=signature)
            try:
                write_head(self._path, self._head)
            except OSError as error:
                _log.error("ledger.head_not_written", path=str(self._path), error=str(error))


def read_head(path: Path) -> Head | None:
    """Return the head in a file; None if there is no file.

    Raises:
        LedgerError: the file can't be read as a head.
    """
    try:
        return Head.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise LedgerError(f"{path} isn't a head of a ledger.") from error


def write_head(path: Path, head: Head) -> None:
    """Replace the head in a file."""
    with replacing(path) as partial:
        partial.write_text(head.model_dump_json() + "\n", encoding="utf-8")


def keep_head(path: Path, head: Head | None, *, entries: Sequence[Entry]) -> None:
    """Compare a ledger with the head that an operator keeps in a file, then replace it by the registry's.

    The first time there is no file, and the registry's head is kept without a comparison.

    Raises:
        LedgerError: the ledger lacks entries of the kept head or has others; or the registry's head is older,
            or signed by another key.
    """
    if (kept := read_head(path)) is not None:
        # The key of the first time: another one means another registry.
        verify_head(entries, kept, key=kept.signature.key)
        if head is None or head.signature.key != kept.signature.key:
            raise LedgerError(f"The head isn't signed by the key of {path}; is it another registry?")
        if head.size < kept.size:
            raise LedgerError(
                f"The registry's head has {head.size} entries, but the one in {path} has {kept.size}. "
                "Restart the registry, which moves its head to the end of the ledger; if it stays behind, "
                "someone has changed the registry."
            )
    if head is not None:
        write_head(path, head)


def verify_head(entries: Sequence[Entry], head: Head, *, key: str) -> None:
    """Check that a ledger begins with the entries of a head that `key` signed.

    Raises:
        LedgerError: it doesn't, or another key signed the head.
    """
    try:
        verify(_statement(head.size, head.hash), head.signature, kind=_KIND, trusted={key: "the registry"})
    except InvalidSignatureError as error:
        raise LedgerError(f"The head of the ledger isn't signed by the registry's key: {error}") from error
    if len(entries) < head.size:
        raise LedgerError(
            f"The ledger has {len(entries)} entries, but had {head.size}: some were removed from its end."
        )
    if entries[head.size - 1].hash != head.hash:
        raise LedgerError(f"The ledger was rewritten: entry {head.size} isn't the one that was recorded.")


def _statement(size: int, last_hash: str) -> bytes:
    return f"{size} {last_hash}".encode()
