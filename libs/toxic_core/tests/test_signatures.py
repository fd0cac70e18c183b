import shutil
import subprocess
from pathlib import Path

import pytest

from toxic_core.errors import ConfigurationError, InvalidSignatureError
from toxic_core.signatures import Signature, SigningKey, read_trusted_keys, verify


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    """A key made for the test."""
    return SigningKey.read_or_create(tmp_path / "own.key")


def test_signature_names_the_key_that_made_it(key: SigningKey) -> None:
    """The name is the trusted key's comment."""
    signature = key.sign(b"statement", kind="evidence")
    assert verify(b"statement", signature, kind="evidence", trusted={key.public: "trainer"}) == "trainer"


def test_signature_is_of_one_statement_kind_and_key(key: SigningKey, tmp_path: Path) -> None:
    """No other verifies."""
    signature, trusted = key.sign(b"statement", kind="evidence"), {key.public: "trainer"}
    other = SigningKey.read_or_create(tmp_path / "other.key")
    forged = Signature(key=key.public, value=other.sign(b"statement", kind="evidence").value)
    for statement, given, kind in (
        (b"another", signature, "evidence"),
        (b"statement", signature, "ledger head"),
        (b"statement", forged, "evidence"),
        (b"statement", Signature(key=key.public, value="no base64"), "evidence"),
        (b"statement", other.sign(b"statement", kind="evidence"), "evidence"),
    ):
        with pytest.raises(InvalidSignatureError):
            verify(statement, given, kind=kind, trusted=trusted)


def test_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """The second call reads the first one's key."""
    path = tmp_path / "new" / "own.key"
    assert SigningKey.read_or_create(path).public == SigningKey.read_or_create(path).public
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.server
@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH isn't installed")
def test_keys_of_openssh_are_read(tmp_path: Path) -> None:
    """`ssh-keygen` makes the pair; the `.pub` file is a file of trusted keys."""
    path = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the trainer", "-f", str(path)], check=True
    )
    signature = SigningKey.read(path).sign(b"x", kind="evidence")
    trusted = read_trusted_keys(path.with_suffix(".pub"))
    assert verify(b"x", signature, kind="evidence", trusted=trusted) == "the trainer"


@pytest.mark.parametrize(
    "content", ["", "ssh-rsa AAAA x", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", None]
)
def test_invalid_private_key_is_an_error_that_names_the_file(tmp_path: Path, content: str | None) -> None:
    """A mistake stops the start."""
    path = tmp_path / "bad.key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"bad\.key"):
        SigningKey.read(path)


@pytest.mark.parametrize("line", ["ssh-ed25519", "ssh-ed25519 AAAA x", "nonsense"])
def test_invalid_trusted_key_is_an_error_that_names_its_line(
    tmp_path: Path, line: str, key: SigningKey
) -> None:
    """Comments and empty lines are allowed."""
    path = tmp_path / "trusted"
    path.write_text(f"# keys\n\n{key.public} trainer\n{line}\n")
    with pytest.raises(ConfigurationError, match="Line 4"):
        read_trusted_keys(path)
