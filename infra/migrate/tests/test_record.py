"""Recording: a row per comment, through faults of the reference."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_migrate.recording import ScoresFile, record
from toxic_migrate.reference import Pacer, Reference, ReferenceUnavailableError
from toxic_migrate.tables import Comment, read_comments, read_scores
from toxic_testing.tables import ROWS, files

pytestmark = pytest.mark.anyio

Write = Callable[[Sequence[Sequence[object]]], Path]

TEXTS = ('a "fine"\r\nday', "so, so", "été\nà Paris", "no", "yes")
COMMENTS = [Comment(f"{number}-x", text, "") for number, text in enumerate(TEXTS)]
SCORE = {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 0.25, "type": "PROBABILITY"}}}}
OK = httpx.Response(200, json=SCORE)


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        """Return it."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class Api(httpx.AsyncBaseTransport):
    """A Perspective API that gives prepared answers, then good ones."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked.append(request)
        answer = self.answers.pop(0) if self.answers else OK
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def texts(self) -> list[str]:
        """What was asked about."""
        return [json.loads(request.content)["comment"]["text"] for request in self.asked]


async def run(api: Api, path: Path, *, rate: float = 1, comments: Sequence[Comment] = COMMENTS) -> list[str]:
    """Record comments, and return what was said."""
    said: list[str] = []
    time = Time()
    with ScoresFile(path, ["TOXICITY"]) as file:
        async with httpx.AsyncClient(transport=api, base_url="http://reference") as client:
            reference = Reference(client, ["TOXICITY"], Pacer(rate, now=time.now, sleep=time.sleep))
            await record(comments, file, reference, say=said.append, now=time.now)
    return said


async def test_every_comment_gets_a_row(tmp_path: Path) -> None:
    """With its text unchanged; a second run asks no more."""
    api, path = Api(), tmp_path / "scores.csv"
    said = await run(api, path)
    assert said[-1] == "5 of 5 comments, 0 of them with an error"
    found = read_scores(path)
    assert found.texts == TEXTS
    assert found.theirs["TOXICITY"].tolist() == [0.25] * 5
    body = json.loads(api.asked[0].content)
    assert body["requestedAttributes"] == {"TOXICITY": {}}
    assert body["doNotStore"] is True
    await run(api, path)
    assert len(api.asked) == 5


@pytest.mark.parametrize("cut", range(1, 60))
async def test_a_half_written_row_is_asked_for_again(tmp_path: Path, cut: int) -> None:
    """Wherever the file ends, also within a text with a line break; whole rows stay."""
    path = tmp_path / "scores.csv"
    await run(Api(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    api = Api()
    await run(api, path)
    assert path.read_bytes() == whole
    path.unlink()
    await run(Api(), path, comments=COMMENTS[: len(COMMENTS) - len(api.asked)])
    assert 0 <= len(whole) - cut - path.stat().st_size < max(map(len, TEXTS)) + 30


async def test_a_refused_comment_keeps_its_error(tmp_path: Path) -> None:
    """It is counted, has no scores, and isn't asked for again."""
    error = {"error": {"code": 400, "message": "Attribute TOXICITY does not support\nrequest languages: xx"}}
    api, path = Api(httpx.Response(400, json=error)), tmp_path / "scores.csv"
    said = await run(api, path)
    assert said[-1] == "5 of 5 comments, 1 of them with an error"
    assert b"Attribute TOXICITY does not support request languages: xx" in path.read_bytes()
    assert len(read_scores(path).texts) == 4
    await run(api, path)
    assert len(api.asked) == 5


async def test_all_wait_if_the_reference_asks_for_less(tmp_path: Path) -> None:
    """By its Retry-After, or twice as long each time; no comment is lost."""
    time = Time()
    busy = httpx.Response(429, headers={"retry-after": "7"})
    api = Api(busy, httpx.Response(503), httpx.Response(500))
    async with httpx.AsyncClient(transport=api, base_url="http://reference") as client:
        pacer = Pacer(10, now=time.now, sleep=time.sleep)
        scores, error = await Reference(client, ["TOXICITY"], pacer).ask(COMMENTS[0])
    assert (scores, error) == ({"TOXICITY": 0.25}, "")
    assert time.seconds == pytest.approx(7 + 2 + 4, abs=0.5)
    with ScoresFile(tmp_path / "scores.csv", ["TOXICITY"]):
        pass
    with pytest.raises(ReferenceUnavailableError, match="status 429"):
        await run(Api(*[busy] * 100), tmp_path / "scores.csv")


async def test_requests_keep_the_rate() -> None:
    """One per second by default."""
    time = Time()
    pacer = Pacer(1, now=time.now, sleep=time.sleep)
    for _ in range(5):
        await pacer.turn()
    assert time.seconds == pytest.approx(4)


async def test_a_refused_key_ends_the_run(tmp_path: Path) -> None:
    """With what to check; no comment is written."""
    invalid = {"error": {"message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}}
    for refusal in (httpx.Response(403, json={"error": {}}), httpx.Response(400, json=invalid)):
        with pytest.raises(ConfigurationError, match="PERSPECTIVE_API_KEY"):
            await run(Api(*[refusal] * 9), tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_bytes() == b"key,comment_text,lang,TOXICITY,error\r\n"


async def test_progress_has_the_time_left(tmp_path: Path) -> None:
    """By the rate."""
    comments = [Comment(str(number), "hello", "") for number in range(60)]
    said = await run(Api(), tmp_path / "scores.csv", rate=0.05, comments=comments)
    assert "of 60 comments, 0 of them with an error, about" in said[0]
    assert any(line.endswith("about 10 min left") for line in said)


async def test_a_file_of_something_else_is_left_alone(tmp_path: Path, write: Write) -> None:
    """Other attributes, another table, a broken row, or a second process: an error each, and no change."""
    path = tmp_path / "scores.csv"
    await run(Api(), path)
    whole = path.read_bytes()
    with pytest.raises(InvalidDataError, match="isn't a table of THREAT"):
        ScoresFile(path, ["THREAT"])
    with pytest.raises(ConfigurationError, match="another table"):
        await run(Api(), path, comments=COMMENTS[:3])
    with ScoresFile(path, ["TOXICITY"]), pytest.raises(ConfigurationError, match="Another process"):
        ScoresFile(path, ["TOXICITY"])
    assert path.read_bytes() == whole
    path.write_bytes(broken := whole.replace(b"so, so", b'so", so'))
    with pytest.raises(InvalidDataError, match="broken row after 1 whole"):
        ScoresFile(path, ["TOXICITY"])
    assert path.read_bytes() == broken
    other = write([["comment_text", "TOXICITY"], ["hello", 0.5]])
    with pytest.raises(InvalidDataError, match="name another --out"):
        ScoresFile(other, ["TOXICITY"])


def test_comments_have_keys_by_place_and_content(write: Write) -> None:
    """Rows without a text are left out; a changed text is another comment."""
    rows: list[list[object]] = [
        ["id", "content", "lang"],
        [1, "hello", "pt-BR"],
        [2, " ", ""],
        [3, "hello", ""],
    ]
    first = read_comments(write(rows))
    assert [(each.text, each.language) for each in first] == [("hello", "pt"), ("hello", "")]
    second = read_comments(write([["id", "content"], [1, "hello"], [2, ""], [3, "hello"]]))
    assert [a.key == b.key for a, b in zip(first, second, strict=True)] == [False, True]
    with pytest.raises(InvalidDataError, match="--text-column"):
        read_comments(write([["id", "remark"], [1, "hello"]]))


@pytest.mark.parametrize("name", files())
def test_comments_are_read_from_tables_as_people_have_them(tmp_path: Path, name: str) -> None:
    """Every format, dialect and compression; a row that can't be read is named by its line."""
    content, options = files()[name]
    if options.encoding is None:
        (tmp_path / name).write_bytes(content)
        found = read_comments(tmp_path / name)
        assert [(comment.text, comment.language) for comment in found] == [row[1:3] for row in ROWS]
    else:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidDataError, match=r"2 rows that can't be read\. Line 3"):
            read_comments(tmp_path / name)
