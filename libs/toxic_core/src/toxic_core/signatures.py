"""Ed25519 signatures (RFC 8032) of statements, and keys in OpenSSH's formats.

`ssh-keygen -t ed25519` makes such keys; a file of trusted keys has the lines of its `.pub` files.

Invariant: a signature covers the kind of the statement, so that one made for one purpose is none for another.
"""

import base64
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from toxic_core.contract.schema import FrozenModel
from toxic_core.errors import ConfigurationError, InvalidSignatureError


class Signature(FrozenModel):
    """A signature and the key that made it.

    Attributes:
        key: the public key, as `ssh-ed25519 AAAA…`.
        value: the signature, in base64.
    """

    key: str
    value: str


class SigningKey:
    """A private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = _line(key.public_key())
        """The public key, as a line without a comment."""

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """Read a private key in OpenSSH's format or PEM, without a passphrase.

        Raises:
            ConfigurationError: the file can't be read or has no such key.
        """
        try:
            content = path.read_bytes()
            load = (
                serialization.load_ssh_private_key
                if b"OPENSSH" in content
                else serialization.load_pem_private_key
            )
            key = load(content, password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(f"The signing key {path} can't be read: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(
                f"The signing key {path} isn't an Ed25519 key; make one with `ssh-keygen -t ed25519`."
            )
        return cls(key)

    @classmethod
    def read_or_create(cls, path: Path) -> "SigningKey":
        """Read the key at `path`; make a new one, which only its owner can read, if there is none."""
        if path.exists():
            return cls.read(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        key = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        # Written whole before it has its name; the first of several processes gives it.
        with NamedTemporaryFile(dir=path.parent) as file:
            file.write(key)
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
        return cls.read(path)

    def sign(self, statement: bytes, *, kind: str) -> Signature:
        """Sign a statement of a kind, such as `evidence`."""
        value = self._key.sign(_message(statement, kind))
        return Signature(key=self.public, value=base64.b64encode(value).decode("ascii"))


def read_trusted_keys(path: Path) -> dict[str, str]:
    """Return the name (the comment) of each public key in a file of `ssh-ed25519 AAAA… name` lines.

    Raises:
        ConfigurationError: the file can't be read, or a line isn't such a key.
    """
    keys: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The trusted keys {path} can't be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        kind, _, rest = line.strip().partition(" ")
        value, _, name = rest.partition(" ")
        try:
            keys[_line(_public(f"{kind} {value}"))] = name or value[-8:]
        except InvalidSignatureError as error:
            raise ConfigurationError(
                f"Line {number} of {path} isn't an Ed25519 public key, such as `ssh-ed25519 AAAA… name`."
            ) from error
    return keys


def verify(statement: bytes, signature: Signature, *, kind: str, trusted: Mapping[str, str]) -> str:
    """Return the name of the trusted key that signed a statement of a kind.

    Raises:
        InvalidSignatureError: the key isn't trusted, or the signature isn't of this statement and kind.
    """
    if signature.key not in trusted:
        raise InvalidSignatureError(f"The key {signature.key} isn't trusted.")
    try:
        value = base64.b64decode(signature.value, validate=True)
        _public(signature.key).verify(value, _message(statement, kind))
    except (InvalidSignature, ValueError) as error:
        raise InvalidSignatureError(
            f"The signature of the key {trusted[signature.key]} doesn't match the statement."
        ) from error
    return trusted[signature.key]


def _message(statement: bytes, kind: str) -> bytes:
    return f"toxic-comments {kind} 1\n".encode() + statement


def _line(key: Ed25519PublicKey) -> str:
    encoded = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return encoded.decode("ascii")


def _public(line: str) -> Ed25519PublicKey:
    try:
        key = serialization.load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidSignatureError("It isn't a public key in OpenSSH's format.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidSignatureError("It isn't an Ed25519 key.")
    return key
