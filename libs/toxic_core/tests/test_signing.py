import pytest

from toxic_core.errors import InvalidSignatureError
from toxic_core.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign, verify

BODY = b'{"data": {"alias": "champion"}}'
NOW = 1_790_000_000
HEADERS = sign(BODY, secret="s3cret", delivery_id="d-1", timestamp=NOW)


def test_signed_message_is_accepted_whatever_the_case_of_its_headers() -> None:
    """A server may hand header names on in lower case."""
    assert verify(HEADERS, BODY, secret="s3cret", now=NOW) == "d-1"
    assert verify({name.lower(): value for name, value in HEADERS.items()}, BODY, secret="s3cret", now=NOW)


def test_signature_is_the_one_that_mlflow_computes() -> None:
    """MLflow's own delivery of the same message carries the same signature."""
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
def test_anything_else_is_refused(headers: dict[str, str], body: bytes, secret: str, now: float) -> None:
    """Another body, secret, time or none: nobody can make the receiver act but the sender."""
    with pytest.raises(InvalidSignatureError):
        verify(headers, body, secret=secret, now=now)


def test_time_that_is_no_number_is_refused_though_signed() -> None:
    """A sender that signs nonsense is refused by name, not by a crash."""
    headers = sign(BODY, secret="s3cret", delivery_id="d", timestamp=NOW)
    odd = {**headers, TIMESTAMP_HEADER: "soon"}
    with pytest.raises(InvalidSignatureError, match="isn't that"):
        verify(odd, BODY, secret="s3cret", now=NOW)
