"""Google's batch endpoint."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from dataclasses import replace as changed
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httplib2
import httpx
import pytest
from googleapiclient.discovery import build_from_document
from starlette.testclient import TestClient

from toxic_core.errors import OverloadedError
from toxic_inference.adapters.key_file import KeyFile, save_keys
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.doors.listing import DOORS
from toxic_inference.doors.perspective.batch import MAX_BYTES, MAX_PARTS
from toxic_inference.http.admission import AdmissionRules, RequestLimit
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.guard import GuardRules
from toxic_inference.keys import Role, new_key
from toxic_inference.serving.interfaces import Lane
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.perspective import ANALYZE, SUGGEST, asked, error_of, suggested

pytestmark = pytest.mark.anyio

KEY, STORED = new_key("forum", Role.CLIENT)


@dataclass(frozen=True)
class Part:
    """A part of a batch's answer."""

    content_id: str | None
    status: int
    body: Any
    headers: dict[str, str]


def part(
    body: object,
    target: str = ANALYZE,
    *,
    content_id: str | None = None,
    headers: str = "Content-Type: application/json",
    line_end: str = "\r\n",
) -> bytes:
    """Return a part of a batch, after its boundary."""
    own = ["Content-Type: application/http", *([f"Content-ID: {content_id}"] if content_id else []), ""]
    inner = [f"POST {target} HTTP/1.1", *([headers] if headers else []), ""]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return line_end.join([*own, *inner, ""]).encode() + content


async def send(
    client: httpx.AsyncClient, *parts: bytes, path: str = "/batch", line_end: str = "\r\n", **options: Any
) -> list[Part]:
    """Send a batch; return the parts of its answer as Google's clients read them."""
    end = line_end.encode()
    body = b"".join(b"--b1" + end + each + end for each in parts) + b"--b1--"
    headers = {"content-type": 'multipart/mixed; boundary="b1"'} | options.pop("headers", {})
    answer = await client.post(path, content=body, headers=headers, **options)
    assert answer.status_code == 200, answer.text
    opening = f"content-type: {answer.headers['content-type']}\r\n\r\n".encode()
    found = []
    parsed: Any = BytesParser().parsebytes(opening + answer.content)
    for each in parsed.get_payload():
        assert each.get_content_type() == "application/http"
        head, _, content = each.get_payload().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert int(fields["content-length"]) == len(content.encode())
        found.append(Part(each["content-id"], int(first.split()[1]), json.loads(content), fields))
    return found


@pytest.fixture
def backend(backend: Backend) -> Backend:
    """With room for large batches."""
    return changed(backend, limits=changed(backend.limits, body_bytes=4_000_000, text_bytes=20_480))


@pytest.mark.parametrize("path", ["/batch", "/batch/commentanalyzer/v1alpha1"])
@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
async def test_each_part_is_answered_in_order(
    client: httpx.AsyncClient, core: FakeCore, path: str, line_end: str
) -> None:
    """With its own status; one that fails doesn't affect the others."""
    found = await send(
        client,
        part(asked("a" * 10), content_id="<x + 1>", line_end=line_end),
        part(asked(""), content_id="<x + 2>", line_end=line_end),
        part(asked("a" * 30), f"{ANALYZE}?alt=json&fields=languages", content_id="3", line_end=line_end),
        part({}, "/v1alpha1/nothing", line_end=line_end),
        part(asked("a" * 20), f"https://commentanalyzer.googleapis.com{ANALYZE}?key=k", line_end=line_end),
        path=path,
        line_end=line_end,
    )
    assert [each.status for each in found] == [200, 400, 200, 404, 200]
    ids = [each.content_id for each in found]
    assert ids == ["<response-x + 1>", "<response-x + 2>", "response-3", None, None]
    scores = [found[each].body["attributeScores"]["TOXICITY"]["summaryScore"]["value"] for each in (0, 4)]
    assert scores == [0.1, 0.2]
    assert found[1].body["error"]["details"][0]["errorType"] == "COMMENT_EMPTY"
    assert found[2].body == {"languages": ["en"]}
    assert found[3].body["error"]["status"] == "NOT_FOUND"
    assert found[0].headers["x-model-version"] == "7"
    assert set(core.lanes) == {Lane.BULK}


async def test_a_batch_as_googles_documentation_writes_it(client: httpx.AsyncClient) -> None:
    """Request lines without a version, a quoted boundary, text around the parts."""
    body = (
        "A preamble.\r\n--batch (1)  \r\n"
        "Content-Type: application/http\r\nContent-ID: <item1:1@a.example>\r\n\r\n"
        f"POST {ANALYZE}\r\nContent-Type: application/json\r\n\r\n{json.dumps(asked())}\r\n\r\n"
        "--batch (1)--\r\n--batch (1)\r\nAn epilogue."
    )
    kind = 'Multipart/Mixed; charset="utf-8"; boundary="batch (1)"'
    answer = await client.post("/batch", content=body, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    assert answer.text.count("HTTP/1.1 200 OK") == answer.text.count("<response-item1:1@a.example>") == 1


async def test_a_part_s_answer_is_not_compressed(client: httpx.AsyncClient) -> None:
    """Google's client for Python puts `accept-encoding` into each part, and can't decompress its answer."""
    accepting = "Content-Type: application/json\r\naccept-encoding: gzip, deflate"
    long = asked("One sentence. " * 20, spanAnnotations=True)
    (found,) = await send(client, part(long, headers=accepting))
    assert len(found.body["attributeScores"]["TOXICITY"]["spanScores"]) == 20
    assert "content-encoding" not in found.headers


async def test_parts_may_be_suggestions(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore
) -> None:
    """Any request of the API, but neither another door's nor a batch."""
    found = await send(
        client,
        part(suggested(), SUGGEST),
        part({"text": "hello"}, "/predict"),
        part(b"--b--", "/batch", headers="Content-Type: multipart/mixed; boundary=b"),
        part({}, "/v1alpha1/../feedback"),
        part({}, "http://other.example"),
    )
    assert [each.status for each in found] == [200, 404, 404, 404, 404]
    assert all(each.body["error"]["status"] == "NOT_FOUND" for each in found[1:])
    assert len(feedback_store.page(after=0, limit=9)) == 1


@pytest.mark.parametrize("text", ["a" * 6_000, "ü 💬" * 2_000, "x + y <z>" * 500])
async def test_a_long_content_id_is_unharmed(client: httpx.AsyncClient, text: str) -> None:
    """Some programs send the text itself in it; others fold it."""
    content_id = f"<{quote(text)}>"
    folded = "<abc +\r\n 1>"
    found = await send(
        client, part(asked(), content_id=content_id), part(asked(), content_id=folded), part(asked())
    )
    assert found[0].content_id == f"<response-{quote(text)}>"
    assert found[1].content_id == "<response-abc + 1>"


async def test_parts_are_scored_together(
    client: httpx.AsyncClient, core: FakeCore, turn: Callable[..., Any]
) -> None:
    """None waits for another's answer."""
    core.held = asyncio.Event()
    sending = asyncio.create_task(send(client, *(part(asked(f"text {n}")) for n in range(50))))
    await turn(lambda: len(core.lanes) == 50)
    core.held.set()
    assert [each.status for each in await sending] == [200] * 50
    assert core.leases == 0


async def test_a_departed_caller_cancels_every_part(
    client: httpx.AsyncClient, core: FakeCore, turn: Callable[..., Any]
) -> None:
    """All of them stop."""
    core.held = asyncio.Event()
    sending = asyncio.create_task(send(client, part(asked("a")), part(asked("b"))))
    await turn(lambda: len(core.lanes) == 2)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await turn(lambda: core.leases == 0)
    assert core.cancelled


async def test_a_thousand_parts_are_the_most(client: httpx.AsyncClient) -> None:
    """As at Google."""
    each = part(asked())
    assert len(await send(client, *[each] * MAX_PARTS)) == MAX_PARTS
    body = b"--b1\n" + b"\n--b1\n".join([each] * (MAX_PARTS + 1)) + b"\n--b1--"
    answer = await client.post(
        "/batch", content=body, headers={"content-type": "multipart/mixed; boundary=b1"}
    )
    assert "1 to 1,000 calls" in error_of(answer, 400, "INVALID_ARGUMENT")["message"]


async def test_parts_are_counted_before_any_is_read(client: httpx.AsyncClient, monkeypatch: Any) -> None:
    """A body of empty parts alone has hundreds of thousands."""
    read: list[object] = []
    monkeypatch.setattr("toxic_inference.doors.perspective.batch._part", read.append)
    answer = await client.post(
        "/batch",
        content=b"--b" + b"\r\n--b" * 200_000,
        headers={"content-type": "multipart/mixed; boundary=b"},
    )
    assert answer.status_code == 400
    assert not read


async def test_a_target_that_is_no_address_fails_alone(client: httpx.AsyncClient) -> None:
    """The other parts are answered; the batch's own query may have any bytes."""
    answers = await send(client, part(asked(), "http://[/v1alpha1/x"), part(asked()))
    assert [answer.status for answer in answers] == [400, 200]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/mixed; boundary=b", b""),
        ("multipart/mixed; boundary=b", b"--b--"),
        ("multipart/mixed; boundary=b", b"--b\r\n" + part(asked())),
        ("multipart/mixed; boundary=b", b"--c\r\n" + part(asked()) + b"\r\n--c--"),
        ("multipart/mixed", b"--b--"),
        ("multipart/form-data; boundary=b", b"--b--"),
        ("application/json", b"{}"),
        ("", b""),
    ],
)
async def test_a_body_that_is_no_batch_is_refused(client: httpx.AsyncClient, kind: str, body: bytes) -> None:
    """In Google's shape."""
    answer = await client.post("/batch", content=body, headers={"content-type": kind})
    assert "Failed to parse batch request" in error_of(answer, 400, "INVALID_ARGUMENT")["message"]


@pytest.mark.parametrize(
    "broken",
    [b"", b"Content-Type: application/http", b"\r\n\r\n", b"A: b\r\n\r\nnonsense\r\n\r\n{}", b"\0" * 50],
)
async def test_a_part_that_is_no_request_has_its_own_error(client: httpx.AsyncClient, broken: bytes) -> None:
    """The others are answered."""
    found = await send(client, broken, part(asked()))
    assert [each.status for each in found] == [400, 200]


async def test_what_the_batch_has_its_parts_have_too(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Parameters and headers, unless a part has its own; except for those of the body."""
    found = await send(
        client,
        part(asked(), headers=""),
        part(asked(), f"{ANALYZE}?prettyPrint=false&fields=clientToken"),
        part(gzip.compress(json.dumps(asked()).encode()), headers="Content-Encoding: gzip"),
        part(asked(), headers="timeout: 5"),
        params={"fields": "languages"},
        headers={"timeout": "9", "content-language": "xx"},
    )
    assert [each.body for each in found] == [
        {"languages": ["en"]},
        {},
        {"languages": ["en"]},
        {"languages": ["en"]},
    ]
    assert [terms.timeout_seconds for terms in core.terms] == [9.0, 9.0, 9.0, 5.0]


@pytest.fixture
async def keyed(backend: Backend, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with a key and a quota."""
    save_keys(tmp_path / "keys.txt", (STORED,))
    rules = GuardRules(find_key=KeyFile(tmp_path / "keys.txt").find, requests_per_minute=3)
    transport = httpx.ASGITransport(create_api(backend, DOORS, rules=rules))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


async def test_each_part_needs_a_key_and_counts(keyed: httpx.AsyncClient) -> None:
    """Its own, or the batch's."""
    good, bad = f"{ANALYZE}?key={KEY}", f"{ANALYZE}?key=wrong"
    found = await send(keyed, part(asked(), good), part(asked(), bad), part(asked()))
    assert [each.status for each in found] == [200, 400, 403]
    assert found[1].body["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    found = await send(keyed, part(asked()), part(asked()), part(asked()), headers={"x-goog-api-key": KEY})
    assert [each.status for each in found] == [200, 200, 429]
    assert found[2].headers["retry-after"]


async def test_a_batch_waits_for_capacity(backend: Backend) -> None:
    """As files do, while single requests are refused."""
    full = OverloadedError("9 rows are waiting.", retry_after_seconds=6.4)
    admission = AdmissionRules(RequestLimit(0.5), overload=lambda _: full)
    transport = httpx.ASGITransport(create_api(backend, DOORS, admission=admission))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        assert (await client.post(ANALYZE, json=asked())).status_code == 429
        assert [each.status for each in await send(client, part(asked()))] == [200]


class Http:
    """What Google's client for Python sends its requests with: the application itself."""

    def __init__(self, backend: Backend) -> None:
        self.service = TestClient(create_api(backend, DOORS))

    def request(self, uri: str, method: str = "GET", **options: Any) -> tuple[httplib2.Response, bytes]:
        """Let the application answer."""
        answer = self.service.request(
            method, uri, content=options.get("body"), headers=options.get("headers") or {}
        )
        return httplib2.Response({**answer.headers, "status": str(answer.status_code)}), answer.content


def test_googles_client_for_python_sends_batches(backend: Backend) -> None:
    """With callbacks by id, and an exception for a part that fails."""
    http = Http(backend)
    document = http.service.get("/$discovery/rest").json()
    api = build_from_document(document, http=http, developerKey="any")
    answered: dict[str, Any] = {}
    batch = api.new_batch_http_request(lambda name, answer, error: answered.update({name: error or answer}))
    texts = {"plain": "hello", "with spaces & 💬": "hola", "empty": ""}
    for name, text in texts.items():
        batch.add(api.comments().analyze(body=asked(text, languages=["en"])), request_id=name)
    batch.execute()
    assert answered.keys() == texts.keys()
    assert answered["plain"]["languages"] == ["en"]
    assert answered["with spaces & 💬"]["detectedLanguages"] == ["es"]
    assert answered["empty"].error_details[0]["errorType"] == "COMMENT_EMPTY"


async def test_the_discovery_document_names_it(client: httpx.AsyncClient) -> None:
    """Google's clients take the path from there."""
    document = (await client.get("/$discovery/rest")).json()
    assert document["batchPath"] == "batch"


async def test_a_batch_of_texts_in_their_content_ids_fits(backend: Backend) -> None:
    """It is larger than another route's body may be; the ids come back unharmed; a part has its own limit."""
    backend = changed(backend, limits=changed(backend.limits, body_bytes=300_000))
    text = "Have a lovely day, all of you. " * 600
    sent = [part(asked(text), content_id=f"<{index} + {quote(text)}>") for index in range(30)]
    assert len(b"".join(sent)) > 4 * backend.limits.body_bytes
    sent.append(part(asked("a" * 300_000)))
    app = create_api(backend, DOORS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        found = await send(client, *sent)
    assert [each.status for each in found] == [200] * 30 + [413]
    ids = [(each.content_id or "").replace("\n", "").replace("\r", "") for each in found[:30]]
    assert ids == [f"<response-{index} + {quote(text)}>" for index in range(30)]


async def test_a_batch_has_a_limit_of_its_own_after_decompression(client: httpx.AsyncClient) -> None:
    """Of 1,000 long texts that are sent twice, percent-encoded the second time, and not more."""
    assert MAX_PARTS * (20_480 + 1.4 * 20_480 + 1_000) < MAX_BYTES
    headers = {"content-type": "multipart/mixed; boundary=b", "content-encoding": "gzip"}
    for size, status in ((MAX_BYTES, 400), (MAX_BYTES + 1, 413)):
        answer = await client.post("/batch", content=gzip.compress(b"-" * size, 1), headers=headers)
        assert answer.status_code == status, answer.text


async def test_the_batch_s_host_counts_and_not_a_part_s(backend: Backend) -> None:
    """Google's client for Python writes Google's host into each part."""
    app = create_api(backend, DOORS, allowed_hosts=("service",))
    headers = "Host: commentanalyzer.googleapis.com\r\nContent-Type: application/json"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        (found,) = await send(client, part(asked(), headers=headers))
    assert found.status == 200
