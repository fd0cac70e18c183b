"""Bad input at the running service is a 4xx with a reason, in one shape."""

import json

import httpx
import pytest

from toxic_local.stack import LocalStack

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

JSON = {"content-type": "application/json"}


def _post(stack: LocalStack, content: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(
        f"{stack.plan.inference_uri}/predict", content=content, headers=headers, timeout=60, trust_env=False
    )


def _upload(stack: LocalStack, content: bytes) -> httpx.Response:
    files = {"file": ("comments.csv", content, "text/csv")}
    return httpx.post(f"{stack.plan.inference_uri}/predict", files=files, timeout=60, trust_env=False)


def _body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("content", "headers", "status", "says"),
    [
        pytest.param(_body(texts=[""]), JSON, 422, "empty", id="empty text"),
        pytest.param(_body(texts=["\u200b \n"]), JSON, 422, "invisible characters", id="invisible text"),
        pytest.param(_body(texts=["a" * 100_000]), JSON, 413, "20,480", id="100,000 characters"),
        pytest.param(b"null", JSON, 422, "", id="null"),
        pytest.param(_body(texts=None), JSON, 422, "texts", id="null texts"),
        pytest.param(_body(texts=[1]), JSON, 422, "texts", id="a number for a text"),
        pytest.param(_body(text="a", texs=["b"]), JSON, 422, "texs", id="a misspelt field"),
        pytest.param(b'{"texts": ["a"', JSON, 400, "JSON", id="cut JSON"),
        pytest.param(b"hello", {"content-type": "application/x-thing"}, 415, "x-thing", id="wrong type"),
        pytest.param(b"", JSON, 400, "", id="no body"),
        pytest.param(b'{"texts": ["\xff"]}', JSON, 400, "UTF-8", id="invalid UTF-8"),
    ],
)
def test_a_bad_request_is_a_4xx_in_one_shape(
    stack: LocalStack, content: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    """The answer has a code for programs and a sentence for people."""
    answer = _post(stack, content, headers)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"]
    assert says in error["message"] + str(error.get("field"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"id,title\n1,hello\n", "comment_text", id="no column of texts"),
        pytest.param(bytes(range(256)) * 50, "", id="a binary file"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(5000), "", id="a picture"),
        pytest.param(b"", "empty", id="an empty file"),
        pytest.param(b"content\n\xff\xfe\xfd\n", "", id="nothing but invalid UTF-8"),
    ],
)
def test_a_bad_file_is_a_4xx_in_one_shape(stack: LocalStack, content: bytes, says: str) -> None:
    """A file without a text to score is refused with the reason."""
    answer = _upload(stack, content)
    assert 400 <= answer.status_code < 500, answer.text
    error = answer.json()["error"]
    assert error["code"]
    assert says in error["message"]


def test_a_file_with_some_bad_rows_scores_the_rest(stack: LocalStack) -> None:
    """Rows that can't be scored are reported by their line; the others get their scores."""
    rows = [
        b"content",
        b"a kind word",
        b"\xff\xfe broken",
        b"",
        b'""',
        b"another one",
        b'"' + b"x" * 30_000 + b'"',
    ]
    answer = _upload(stack, b"\n".join(rows) + b"\n").raise_for_status().json()
    assert [result["line"] for result in answer["results"]] == [2, 6]
    assert {error["line"] for error in answer["errors"]} >= {3, 7}
    assert answer["scored"] == 2
    assert answer["rejected"] == len(answer["errors"])


def test_the_service_is_ready_after_all_of_it(stack: LocalStack) -> None:
    """The service still runs after all of the above."""
    assert httpx.get(f"{stack.plan.inference_uri}/health/ready", trust_env=False).status_code == 200
