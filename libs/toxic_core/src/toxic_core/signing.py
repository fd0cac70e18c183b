"""Signed messages between services: who sent a body, when, and that nobody changed it.

The form is that of MLflow's own webhooks (after https://www.standardwebhooks.com): HMAC-SHA256 over
`<delivery id>.<timestamp>.<body>`, so that a receiver needs one check, whether the registry or MLflow sent.

Invariant: `verify` returns only for a body that a holder of the secret signed within the tolerance.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping

from toxic_core.errors import InvalidSignatureError

SIGNATURE_HEADER = "X-MLflow-Signature"
TIMESTAMP_HEADER = "X-MLflow-Timestamp"
DELIVERY_ID_HEADER = "X-MLflow-Delivery-Id"

TOLERANCE_SECONDS = 300.0
"""How far a message's time may lie from the receiver's: it bounds how long a recorded one can be replayed."""

_VERSION = "v1"


def sign(body: bytes, *, secret: str, delivery_id: str, timestamp: int) -> dict[str, str]:
    """Return the headers that go with `body`.

    Args:
        body: as it is sent, to the byte.
        secret: shared with the receiver.
        delivery_id: unique to this message, but the same over its retries.
        timestamp: Unix time in seconds.
    """
    return {
        DELIVERY_ID_HEADER: delivery_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: _signature(body, secret=secret, delivery_id=delivery_id, timestamp=str(timestamp)),
    }


def verify(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secret: str,
    now: float,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> str:
    """Check a received message and return its delivery id.

    Args:
        headers: by name, in any case.
        body: as it was received, to the byte.
        secret: shared with the sender; never empty.
        now: Unix time in seconds.
        tolerance_seconds: how far the sender's clock may be off.

    Raises:
        InvalidSignatureError: a header is missing or malformed, the signature is another, or the message is
            too old or from the future.
    """
    if not secret:
        raise InvalidSignatureError("There is no secret to check signatures with.")
    found = {name.lower(): value for name, value in headers.items()}
    try:
        delivery_id, timestamp, signature = (
            found[name.lower()] for name in (DELIVERY_ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
        )
    except KeyError as error:
        raise InvalidSignatureError(f"The message has no header {error}.") from error
    expected = _signature(body, secret=secret, delivery_id=delivery_id, timestamp=timestamp)
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise InvalidSignatureError("The signature isn't that of this body, time and secret.")
    # The timestamp is signed, so that it is looked at only now, as a number its sender wrote.
    if not timestamp.isascii() or not timestamp.isdecimal():
        raise InvalidSignatureError("The message's time isn't a whole number of seconds.")
    if abs(now - int(timestamp)) > tolerance_seconds:
        raise InvalidSignatureError(f"The message is more than {tolerance_seconds:g} s old or early.")
    return delivery_id


def _signature(body: bytes, *, secret: str, delivery_id: str, timestamp: str) -> str:
    content = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return f"{_VERSION},{base64.b64encode(digest).decode('ascii')}"
