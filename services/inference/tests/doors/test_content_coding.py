"""Compressed bodies and answers, on every door."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.door import Doors
from toxic_inference.http.encodings.content_coding import MIN_BYTES, ContentCoding
from toxic_inference.http.encodings.negotiation import quality
from toxic_inference.http.error_shapes import NATIVE
from toxic_testing.inference.core import LIMITS, FakeCore
from toxic_testing.inference.perspective import ANALYZE, SUGGEST, asked, suggested

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
CSV = {"content-type": "text/csv"}
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}
BODIES: dict[str, tuple[str, dict[str, str], bytes]] = {
    "analyze": (ANALYZE, JSON, orjson.dumps(asked())),
    "suggestscore": (SUGGEST, {}, orjson.dumps(suggested())),
    "tf_serving": ("/v1/models/toxic-comments:predict", {}, b'{"instances": ["hello"]}'),
    "infer": ("/v2/models/toxic-comments/infer", JSON, orjson.dumps({"inputs": [TENSOR]})),
    "predict": ("/predict", JSON, b'{"text": "hello"}'),
    "csv": ("/predict", CSV, b"content\nhello\n"),
    "form": ("/predict", {"content-type": "application/x-www-form-urlencoded"}, b"message=hello"),
    "ndjson": ("/predict", {"content-type": "application/x-ndjson"}, b'{"text": "hello"}\n"hi"\n'),
    "jobs": ("/jobs", CSV, b"content\nhello\n"),
    "feedback": ("/feedback", JSON, b'{"labels": {"toxic": true}}'),
}


def raw_deflate(body: bytes) -> bytes:
    """Compress without zlib's header, as some clients understand deflate."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(body) + stream.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "upper": ("GZIP", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "members": (
        "gzip",
        lambda body: b"".join(gzip.compress(body[i : i + 5]) for i in range(0, len(body), 5)),
    ),
    "padded": ("identity, gzip", lambda body: gzip.compress(body) + b"\0" * 9),
    "deflate": ("deflate", zlib.compress),
    "raw": ("deflate", raw_deflate),
    "identity": ("identity", bytes),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("coding", CODINGS)
async def test_every_door_reads_compressed_bodies(client: httpx.AsyncClient, body: str, coding: str) -> None:
    """In one part, and in parts of any size."""
    path, headers, content = BODIES[body]
    name, compress = CODINGS[coding]
    sent = compress(content)

    async def parts() -> AsyncIterator[bytes]:
        for begin in range(0, len(sent), 7):
            yield sent[begin : begin + 7]

    plain = await client.post(path, headers=headers, content=content)
    for each in (sent, parts()):
        answer = await client.post(path, headers=headers | {"content-encoding": name}, content=each)
        assert answer.status_code in {200, 201, 202}, answer.text
        if body not in {"jobs", "feedback"}:
            assert answer.content == plain.content


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "gzip;x"])
async def test_an_unknown_coding_is_refused(
    client: httpx.AsyncClient, core: FakeCore, body: str, coding: str
) -> None:
    """With the ones that are read, in the door's shape, even if the body is plain."""
    path, headers, content = BODIES[body]
    answer = await client.post(path, headers=headers | {"content-encoding": coding}, content=content)
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, deflate")
    assert "content coding" in answer.text
    assert core.texts == []


async def test_a_body_is_compressed_once(client: httpx.AsyncClient) -> None:
    """Codings in two headers are two codings."""
    headers = [("content-type", "application/json"), *[("content-encoding", "gzip")] * 2]
    twice = gzip.compress(gzip.compress(b'{"text": "hello"}'))
    assert (await client.post("/predict", headers=headers, content=twice)).status_code == 415


@pytest.mark.parametrize(
    "content",
    [
        b'{"text": "hello"}',
        gzip.compress(b'{"text": "hello"}')[:-4],
        gzip.compress(b'{"text": "hello"}')[:12],
        gzip.compress(b'{"text": "hello"}') + b"more",
        gzip.compress(b'{"text": "hello"}')[:-8] + b"\1" * 8,
    ],
    ids=["plain", "cut", "header", "trailing", "checksum"],
)
async def test_a_broken_body_is_named_as_such(client: httpx.AsyncClient, content: bytes) -> None:
    """The text isn't blamed."""
    answer = await client.post("/predict", headers=JSON | {"content-encoding": "gzip"}, content=content)
    assert answer.status_code == 400
    assert "coding gzip" in answer.json()["error"]["message"]
    broken = await client.post(
        "/predict", headers=JSON | {"content-encoding": "deflate"}, content=zlib.compress(b"{}") + b"x"
    )
    assert broken.status_code == 400


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"") * 10_000, gzip.compress(b"{}") + b"\0" * 200_000],
    ids=["members", "padding"],
)
async def test_compressed_nothing_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    """It would count for nothing against the limit, which is one of decompressed bytes."""
    answer = await client.post("/predict", headers=JSON | {"content-encoding": "gzip"}, content=content)
    assert answer.status_code == 400
    assert "larger than what is in it" in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", ["analyze", "tf_serving", "infer", "predict", "csv", "jobs"])
@pytest.mark.parametrize("coding", ["gzip", "members", "deflate"])
async def test_a_bomb_is_refused_with_flat_memory(client: httpx.AsyncClient, body: str, coding: str) -> None:
    """By its decompressed size: 64 MB in 64 kB."""
    path, headers, _ = BODIES[body]
    name, compress = CODINGS[coding]
    size = 2**26
    bomb = gzip.compress(b" " * 2**20) * 64 if coding == "members" else compress(b" " * size)
    tracemalloc.start()
    answer = await client.post(path, headers=headers | {"content-encoding": name}, content=bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 413, answer.text
    assert "larger than" in answer.text
    assert peak < 8 * 2**20


async def test_a_compressed_body_within_the_limit_is_read(client: httpx.AsyncClient) -> None:
    """The limit counts decompressed bytes, to the last one."""
    room = LIMITS.body_bytes - len(b'{"text": "hello"}')
    for spaces, status in ((room, 200), (room + 1, 413)):
        content = gzip.compress(b'{"text": "hello"}' + b" " * spaces)
        answer = await client.post("/predict", headers=JSON | {"content-encoding": "gzip"}, content=content)
        assert answer.status_code == status


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 64))
async def test_members_and_parts_may_be_cut_anywhere(members: list[bytes], size: int) -> None:
    """What arrives is what was compressed."""
    sent = b"".join(gzip.compress(member) for member in members)
    pieces = [sent[begin : begin + size] for begin in range(0, len(sent), size)] or [b""]
    received: list[bytes] = []

    async def receive() -> Message:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        more = True
        while more:
            message = await receive()
            received.append(message["body"])
            more = message["more_body"]

    async def send(_: Message) -> None:
        pass

    scope = {"type": "http", "headers": [(b"content-encoding", b"gzip")]}
    await ContentCoding(app, doors=Doors((), fallback=NATIVE))(scope, receive, send)
    assert b"".join(received) == b"".join(members)


@pytest.fixture
async def raw(backend: Backend) -> AsyncIterator[httpx.AsyncClient]:
    """A client that asks for no coding by itself."""
    transport = httpx.ASGITransport(create_api(backend, DOORS))
    headers = {"accept-encoding": "identity"}
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
        yield client


async def test_large_answers_are_compressed_when_asked(raw: httpx.AsyncClient) -> None:
    """Small ones and other clients' are not; the content is the same."""
    body: dict[str, Any] = {"texts": [f"text {number}" for number in range(5)]}
    plain = await raw.post("/predict", json=body)
    assert len(plain.content) > MIN_BYTES
    assert "content-encoding" not in plain.headers
    for accepted in ("gzip", "br;q=1, gzip;q=0.5", "*", "deflate, GZIP"):
        answer = await raw.post("/predict", json=body, headers={"accept-encoding": accepted})
        assert answer.headers["content-encoding"] == "gzip"
        assert "accept-encoding" in answer.headers["vary"]
        assert answer.json() == plain.json()
    for refused in ("gzip;q=0", "deflate", "br, *;q=0", "", "gzip;q=x"):
        answer = await raw.post("/predict", json=body, headers={"accept-encoding": refused})
        assert "content-encoding" not in answer.headers
    small = await raw.get("/health/live", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers


async def test_streams_are_compressed(raw: httpx.AsyncClient) -> None:
    """Each part is flushed, so that a client that reads along gets it at once."""
    asking = {"accept-encoding": "gzip"}
    rows = b"content\n" + b"hello\n" * 200
    answer = await raw.post("/predict", headers=CSV | asking | {"accept": "text/csv"}, content=rows)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text.count("hello") == 200
    lines = await raw.post("/predict", headers=BODIES["ndjson"][1] | asking, content=b'"a"\n' * 300)
    assert [orjson.loads(line)["line"] for line in lines.text.splitlines()] == list(range(1, 301))


async def test_files_with_ranges_are_not_compressed(tmp_path: Path) -> None:
    """A resumed download counts the bytes of the file."""
    (tmp_path / "scores.csv").write_bytes(b"a" * 5_000)
    app = ContentCoding(FileResponse(tmp_path / "scores.csv"), doors=Doors((), fallback=NATIVE))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for headers, length in (({}, 5_000), ({"range": "bytes=0-2999"}, 3_000)):
            answer = await client.get("/", headers=headers | {"accept-encoding": "gzip"})
            assert "content-encoding" not in answer.headers
            assert len(answer.content) == length


@pytest.mark.parametrize(
    ("header", "weight"),
    [
        ("text/csv", 1),
        ("text/csv;q=0.1, application/json", 0.1),
        ("application/json, text/*;q=0.5", 0.5),
        ("*/*;q=0.2", 0.2),
        ("TEXT/CSV ; charset=utf-8 ; q=0.3", 0.3),
        ("text/csv;q=2", 1),
        ("text/csv;q=", 0),
        ("application/json", None),
        ("", None),
    ],
)
def test_quality(header: str, weight: float | None) -> None:
    """The most specific name counts."""
    assert quality(header, "text/csv", "text/*", "*/*") == weight


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv"),
        ("text/csv, application/json", "text/csv"),
        ("text/csv, */*;q=0.1", "text/csv"),
        ("text/csv;q=0.1, application/json", "application/json"),
        ("text/csv;q=0", "application/json"),
        ("*/*", "application/json"),
        ("text/html, */*;q=0.8", "application/json"),
    ],
)
async def test_a_files_scores_have_the_preferred_type(
    client: httpx.AsyncClient, accept: str, kind: str
) -> None:
    """By the weights in Accept."""
    answer = await client.post("/predict", headers=CSV | {"accept": accept}, content=b"content\nhello\n")
    assert answer.headers["content-type"].startswith(kind)
