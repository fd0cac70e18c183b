"""Who vouches for a bundle: a signature of its contract's digest, in `signature.json` beside the contract.

The contract lists the digest of every other file, the evaluation among them. So the signer vouches that this
model has these figures.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from toxic_core.contract.artifact import CONTRACT_FILE, SIGNATURE_FILE, file_digest
from toxic_core.errors import InvalidSignatureError
from toxic_core.files import replacing
from toxic_core.signatures import Signature, SigningKey, verify

_KIND = "evidence"


def sign_bundle(path: Path, key: SigningKey) -> None:
    """Write the signature of the sealed bundle in folder `path`."""
    signature = key.sign(file_digest(path / CONTRACT_FILE).encode(), kind=_KIND)
    with replacing(path / SIGNATURE_FILE) as partial:
        partial.write_text(signature.model_dump_json(indent=2) + "\n", encoding="utf-8")


def signer_of(path: Path, *, trusted: Mapping[str, str]) -> str:
    """Return the name of the trusted key that signed the bundle in folder `path`.

    Raises:
        InvalidSignatureError: it has no signature, one of another bundle, or one by a key that isn't trusted.
    """
    try:
        signature = Signature.model_validate_json((path / SIGNATURE_FILE).read_bytes())
    except FileNotFoundError as error:
        raise InvalidSignatureError("It isn't signed.") from error
    except (OSError, ValidationError) as error:
        raise InvalidSignatureError(f"Its {SIGNATURE_FILE} isn't a signature.") from error
    return verify(file_digest(path / CONTRACT_FILE).encode(), signature, kind=_KIND, trusted=trusted)
