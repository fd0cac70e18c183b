"""Signed messages between services (HMAC-SHA256).

The signature covers `<delivery id>.<timestamp>.<body>`, as in MLflow's own webhooks (after
https://www.standardwebhooks.com), so that a receiver verifies both alike.
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
"""Largest difference between a message's time and the receiver's; it bounds replay attacks."""

_VERSION = "v1"


def sign(body: bytes, *, secret: str, delivery_id: str, timestamp: int) -> dict[str, str]:
    """Return the headers of a signed message.

    Args:
        body: the exact bytes to send.
        secret: shared with the receiver.
        delivery_id: unique per message; retries repeat it.
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
    """Verify a received message and return its delivery id.

    Args:
        headers: by name, case-insensitive.
        body: the exact bytes received.
        secret: shared with the sender.
        now: Unix time in seconds.
        tolerance_seconds: largest difference from the sender's clock.

    Raises:
        InvalidSignatureError: the secret is empty, a header is missing or malformed, the signature is wrong,
            or the time is beyond the tolerance.
    """
    if not secret:
        raise InvalidSignatureError("No secret is configured to verify signatures with.")
    found = {name.lower(): value for name, value in headers.items()}
    try:
        delivery_id, timestamp, signature = (
            found[name.lower()] for name in (DELIVERY_ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
        )
    except KeyError as error:
        raise InvalidSignatureError(f"The message has no header {error}.") from error
    expected = _signature(body, secret=secret, delivery_id=delivery_id, timestamp=timestamp)
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise InvalidSignatureError("The signature doesn't match this body, time and secret.")
    # Parsed only now, when the signature shows that the sender wrote it.
    if not timestamp.isascii() or not timestamp.isdecimal():
        raise InvalidSignatureError("The message's time isn't a whole number of seconds.")
    if abs(now - int(timestamp)) > tolerance_seconds:
        raise InvalidSignatureError(f"The message's time is more than {tolerance_seconds:g} s from now.")
    return delivery_id


def _signature(body: bytes, *, secret: str, delivery_id: str, timestamp: str) -> str:
    content = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return f"{_VERSION},{base64.b64encode(digest).decode('ascii')}"
