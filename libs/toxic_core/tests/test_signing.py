import pytest

from toxic_core.errors import InvalidSignatureError
from toxic_core.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign, verify

BODY = b'{"data": {"alias": "champion"}}'
NOW = 1_790_000_000
HEADERS = sign(BODY, secret="s3cret", delivery_id="d-1", timestamp=NOW)


def test_signed_message_is_valid_with_headers_in_any_case() -> None:
    """A server may pass header names in lower case."""
    assert verify(HEADERS, BODY, secret="s3cret", now=NOW) == "d-1"
    assert verify({name.lower(): value for name, value in HEADERS.items()}, BODY, secret="s3cret", now=NOW)


def test_signature_is_the_one_that_mlflow_computes() -> None:
    """MLflow signs the same message with the same signature."""
    assert HEADERS[SIGNATURE_HEADER] == "v1,xVlIE2pa56FwRs8PD0zz5p8Py7loOO22+F8IkPq52DE="


@pytest.mark.parametrize(
    ("headers", "body", "secret", "now"),
    [
        (HEADERS, BODY + b" ", "s3cret", NOW),
        (HEADERS, BODY, "other", NOW),
        (HEADERS, BODY, "", NOW),
        (HEADERS, BODY, "s3cret", NOW + 301),
        (HEADERS, BODY, "s3cret", NOW - 301),
        ({**HEADERS, TIMESTAMP_HEADER: str(NOW + 1)}, BODY, "s3cret", NOW),
        ({**HEADERS, SIGNATURE_HEADER: "v1,é"}, BODY, "s3cret", NOW),
        ({}, BODY, "s3cret", NOW),
    ],
)
def test_any_change_makes_a_message_invalid(
    headers: dict[str, str], body: bytes, secret: str, now: float
) -> None:
    """Another body, secret or time, or missing headers."""
    with pytest.raises(InvalidSignatureError):
        verify(headers, body, secret=secret, now=now)


def test_invalid_time_is_refused_before_it_is_parsed() -> None:
    """The error is `InvalidSignatureError`, not a crash."""
    headers = sign(BODY, secret="s3cret", delivery_id="d", timestamp=NOW)
    odd = {**headers, TIMESTAMP_HEADER: "soon"}
    with pytest.raises(InvalidSignatureError, match="doesn't match"):
        verify(odd, BODY, secret="s3cret", now=NOW)
