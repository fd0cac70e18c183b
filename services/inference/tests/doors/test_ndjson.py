import asyncio
import json
from collections.abc import Callable, MutableMapping
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect
from structlog.testing import capture_logs

from toxic_inference.doors.listing import DOORS
from toxic_inference.doors.native.line_spool import LineSpool
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend, DoorThreads
from toxic_inference.serving.errors import InferenceError
from toxic_inference.serving.interfaces import Lane, Text
from toxic_testing.inference.core import LIMITS, FakeCore
from toxic_testing.inference.fakes import spin

pytestmark = pytest.mark.anyio

NDJSON = {"content-type": "application/x-ndjson"}


def lines_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return the answer's lines."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_each_line_is_answered_by_a_line(
    client: httpx.AsyncClient, core: FakeCore, metric: Callable[..., float]
) -> None:
    """In order, with the caller's ids; a bad line has its reason, an empty one no answer."""
    body = b"""\
"hello"
{"text": "hola amigo", "id": "x-7", "lang": "es-MX"}

{"text": "", "id": 3}
{"txt": "a"}
nonsense
[]
"last\\u2028line without end\""""
    answer = await client.post("/predict", content=body, headers=NDJSON)
    assert answer.headers["x-model-version"] == "7"
    first, second, empty, unknown, malformed, array, last = lines_of(answer)
    assert (first["line"], first["scores"]["toxic"]) == (1, 0.05)
    assert (second["line"], second["id"], second["scores"]["toxic"]) == (2, "x-7", 0.1)
    assert (empty["line"], empty["id"], empty["error"]["code"]) == (4, 3, "invalid_text")
    assert (unknown["line"], unknown["error"]["code"]) == (5, "invalid_request")
    assert (malformed["line"], malformed["error"]["code"]) == (6, "malformed_request")
    assert (array["line"], array["error"]["code"]) == (7, "invalid_request")
    assert (last["line"], last["scores"]["toxic"]) == (8, 0.21)
    assert core.texts[:2] == [Text("hello", "en"), Text("hola amigo", "es")]
    assert set(core.lanes) == {Lane.BULK}
    assert core.leases == 0
    assert metric("toxic_inference_rejected_rows_total", reason="invalid_text") == 1


@pytest.mark.parametrize(
    "given",
    ['"\\ud800"', "1" + "0" * 400, "[" * 254 + "]" * 254, "[" * 300 + "]" * 300, '{"\\ud800": 1}'],
)
@pytest.mark.hostile(31)
async def test_an_id_that_can_not_be_sent_back_is_an_error_of_its_line(
    client: httpx.AsyncClient, given: str
) -> None:
    """It ends no stream; neither does a member's name."""
    body = f'{{"text": "hello", "id": {given}}}\n{{"\\ud800": "hello"}}\n"hello"'
    one, two, three = lines_of(await client.post("/predict", content=body, headers=NDJSON))
    assert (one["error"]["code"], two["error"]["code"]) == ("invalid_request", "invalid_request")
    assert three["scores"]["toxic"] == 0.05


async def test_an_empty_stream_is_an_empty_answer(client: httpx.AsyncClient) -> None:
    """No line, no answer, no error."""
    assert lines_of(await client.post("/predict", content=b"", headers=NDJSON)) == []


async def test_a_stream_without_a_version_is_a_503(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Before the answer starts."""
    core.ready = False
    assert (await client.post("/predict", content=b'"a"', headers=NDJSON)).status_code == 503


async def test_a_line_that_is_too_long_takes_none_with_it(client: httpx.AsyncClient) -> None:
    """It is refused by its number, however long."""
    body = b'"a"\n"' + b"x" * 50_000 + b'"\n"b"\n'
    one, two, three = lines_of(await client.post("/predict", content=body, headers=NDJSON))
    assert two["error"]["code"] == "line_too_long"
    assert [one["line"], two["line"], three["line"]] == [1, 2, 3]
    assert "scores" in three


class Caller:
    """A caller who speaks and listens at once: one request, message by message."""

    def __init__(self, app: Any) -> None:
        self._received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.listening = asyncio.Event()
        self.listening.set()
        self.heard: list[int] = []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/predict",
            "raw_path": b"/predict",
            "query_string": b"",
            "headers": [(b"content-type", b"application/x-ndjson")],
        }
        self.task = asyncio.create_task(app(scope, self._received.get, self._send))

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        body = message.get("body", b"")
        self.heard += [number for line in body.splitlines() if (number := json.loads(line).get("line"))]
        if body:
            self._answers.put_nowait(body)
            await self.listening.wait()

    async def next_answer(self) -> bytes:
        """Return the next part of the answer."""
        return await self._answers.get()

    def say(self, body: bytes, *, more: bool = True) -> None:
        """Send a part of the body."""
        self._received.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def leave(self) -> None:
        """Close the connection."""
        self._received.put_nowait({"type": "http.disconnect"})


@pytest.fixture
def app(backend: Backend) -> Any:
    """The application."""
    return create_api(backend, DOORS)


async def test_a_line_is_answered_while_the_next_is_still_to_come(app: Any) -> None:
    """The caller may wait for each answer before saying more."""
    caller = Caller(app)
    for number in range(1, 4):
        caller.say(b'"hello"\n')
        await caller.next_answer()
        assert caller.heard[-1] == number
    caller.say(b"", more=False)
    await caller.task
    assert caller.heard == [1, 2, 3]


@pytest.mark.hostile(16)
async def test_a_stream_that_waits_holds_no_version(app: Any, core: FakeCore) -> None:
    """Neither before its first line nor between lines, nor with half a line."""
    caller = Caller(app)
    for part in (b'"hello"\n', b'"half', b' a line"\n'):
        await spin(lambda: core.leases == 0)
        caller.say(part)
        if part.endswith(b"\n"):
            await caller.next_answer()
    await spin(lambda: core.leases == 0)
    assert caller.heard == [1, 2]
    caller.say(b"", more=False)
    await caller.task


@pytest.mark.hostile(16)
async def test_a_stream_whose_version_is_replaced_ends_with_the_reason(app: Any, core: FakeCore) -> None:
    """All of its answers are one version's; the last line names where to go on."""
    caller = Caller(app)
    caller.say(b'"hello"\n')
    await caller.next_answer()
    core.version = "8"
    caller.say(b'"hello"\n')
    last = json.loads(await caller.next_answer())
    assert last["error"]["code"] == "no_version_ready"
    assert "after line 1" in last["error"]["message"]
    await caller.task


async def test_a_stream_that_gets_too_long_ends_with_the_reason(app: Any) -> None:
    """The last line has the limit and the line to continue after; what was answered stays."""
    caller = Caller(app)
    caller.say(b'"hello"\n')
    await caller.next_answer()
    caller.say(b" " * (LIMITS.upload_bytes + 1))
    last = json.loads(await caller.next_answer())
    assert last["error"]["code"] == "body_too_large"
    assert f"{LIMITS.upload_bytes:,} bytes" in last["error"]["message"]
    assert "after line 1" in last["error"]["message"]
    await caller.task


@pytest.mark.parametrize("more", [True, False])
async def test_who_leaves_is_not_scored_for(app: Any, core: FakeCore, more: bool) -> None:  # noqa: FBT001  a case
    """In the middle of the body as after it; and who doesn't listen is waited for."""
    caller = Caller(app)
    caller.listening.clear()
    caller.say(b'"hello"\n' * 20_000, more=more)
    await caller.next_answer()
    caller.leave()
    await asyncio.sleep(0)
    assert len(caller.heard) <= 256
    caller.listening.set()
    await caller.task
    assert len(caller.heard) < 20_000
    assert core.leases == 0


async def test_the_spool_keeps_order_and_starts_over(threads: DoorThreads) -> None:
    """What is read as fast as it comes takes no room; what isn't waits."""
    with LineSpool(threads.files, max_line_bytes=10) as spool:
        for number in range(1_000):
            await spool.write(b"%d\n" % number)
            assert await spool.take(5) == [b"%d" % number]
        assert spool.size < 10
        for number in range(50_000):
            await spool.write(b"%d\n" % number)
        spool.close()
        taken: list[bytes | None] = []
        while lines := await spool.take(256):
            taken += lines
        assert taken == [b"%d" % number for number in range(50_000)]


async def test_a_spool_that_failed_says_so_at_once(threads: DoorThreads) -> None:
    """Lines that still wait."""
    with LineSpool(threads.files, max_line_bytes=10) as spool:
        await spool.write(b"a\nb\n")
        spool.fail(ClientDisconnect())
        with pytest.raises(ClientDisconnect):
            await spool.take(1)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'\xef\xbb\xbf{"text": "hello"}', "hello"),
        (b'{"Comment": "hello", "id": 1.5, "lang": "English", "score": 1}', "hello"),
        ('{"body": "caf\u00e9"}'.encode("cp1252"), "[invalid_utf8]"),
        (b'{"text": "hi", "text": "you idiot"}', "[malformed_request]"),
        (b'{"text": "hi", "body": "hello"}', "[invalid_request]"),
        (b'{"text": 5}', "[invalid_text]"),
        (b'{"text": NaN}', "[malformed_request]"),
    ],
)
async def test_a_line_is_a_row_of_a_table(
    client: httpx.AsyncClient, core: FakeCore, line: bytes, text: str
) -> None:
    """Its text is found by its name, other members are ignored, and no name occurs twice."""
    (answer,) = lines_of(await client.post("/predict", content=line, headers=NDJSON))
    assert text == (f"[{answer['error']['code']}]" if "error" in answer else core.texts[0].content)


async def test_a_stream_s_options_are_used(client: httpx.AsyncClient, core: FakeCore) -> None:
    """The text column and the encoding; UTF-16 has no lines of bytes."""
    line = '{"body": "caf\u00e9", "text": "hi"}'.encode("cp1252")
    params = {"text_column": "body", "encoding": "windows-1252"}
    lines_of(await client.post("/predict", content=line, headers=NDJSON, params=params))
    assert core.texts[0].content == "caf\u00e9"
    wide = {"content-type": "application/x-ndjson; charset=utf-16"}
    assert (await client.post("/predict", content=line, headers=wide)).status_code == 415


async def test_the_service_reads_its_own_export(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Corrections as they are exported, in both formats, and as a file of a job."""
    filed = {"id": "a", "text": "=hello, you", "consent": True, "labels": {"toxic": True}, "language": "en"}
    assert (await client.post("/feedback", json=filed)).status_code == 201
    for form, kind in (("ndjson", "application/x-ndjson"), ("csv", "text/csv")):
        export = await client.get("/feedback", params={"format": form})
        answer = await client.post("/predict", content=export.content, headers={"content-type": kind})
        assert answer.status_code == 200, answer.text
        assert core.texts[-1] == Text("=hello, you", "en")
        job = await client.post("/jobs", content=export.content, headers={"content-type": kind})
        assert (job.status_code, job.json()["rows_total"]) == (202, 1)


async def test_a_stream_on_which_the_model_fails_ends_with_the_reason(app: Any, core: FakeCore) -> None:
    """The cause is logged; the client isn't told to send the line again on which the model fails."""
    caller = Caller(app)
    caller.say(b'"hello"\n')
    await caller.next_answer()
    core.error = InferenceError("The model failed.")
    with capture_logs() as logs:
        caller.say(b'"hello"\n')
        last = json.loads(await caller.next_answer())
    assert last["error"]["message"].endswith(" The lines after line 1 have no scores.")
    assert "new request" not in last["error"]["message"]
    assert [(log["event"], log["line"]) for log in logs if log["log_level"] == "error"] == [
        ("stream.failed", 1)
    ]
    await caller.task
