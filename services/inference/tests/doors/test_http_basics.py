"""HEAD, conditional requests, ranges, and other names of media types."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from toxic_core.errors import OverloadedError
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.admission import AdmissionRules, RequestLimit
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_testing.inference.core import LIMITS, FakeCore

pytestmark = pytest.mark.anyio

CSV_NAMES = (
    *("application/csv", "application/x-csv", "application/vnd.ms-excel"),
    *("text/comma-separated-values", "text/x-csv"),
)
NDJSON_NAMES = ("application/jsonl", "application/x-jsonlines", "application/ndjson")
FILE = b"content\n" + b"hello\n" * 20


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/openapi.json",
        "/metrics",
        "/health/live",
        "/health/ready",
        "/v2/health/live",
        "/v2/health/ready",
    ],
)
async def test_head_is_get_without_a_body(client: httpx.AsyncClient, path: str) -> None:
    """Load balancers and uptime checks ask so."""
    whole, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.headers["content-type"]) == (200, whole.headers["content-type"])


@pytest.mark.parametrize("kind", [*CSV_NAMES, "Application/CSV; charset=utf-8", "text/csv"])
async def test_a_csv_file_has_other_names(client: httpx.AsyncClient, kind: str) -> None:
    """At both doors that take files, with the limit of an upload."""
    large = b"content\n" + b"hello\n" * LIMITS.body_bytes
    answer = await client.post("/predict", content=large, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    assert answer.json()["scored"] == LIMITS.body_bytes
    assert (await client.post("/jobs", content=FILE, headers={"content-type": kind})).status_code == 202


@pytest.mark.parametrize("path", ["/predict", "/v2/models/toxic-comments/infer"])
async def test_json_has_another_name(client: httpx.AsyncClient, path: str) -> None:
    """As before RFC 8259; some clients still send it."""
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["hello"]}
    body = {"text": "hello"} if path == "/predict" else {"inputs": [tensor]}
    answer = await client.post(path, json=body, headers={"content-type": "text/json; charset=utf-8"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "kind", ["text/tab-separated-values", "Text/Tab-Separated-Values; charset=utf-8", "text/tsv"]
)
async def test_tabs_that_are_declared_separate_cells(
    client: httpx.AsyncClient, core: FakeCore, kind: str
) -> None:
    """Even if the header has other signs; in a body, in a form and for a job."""
    table = "content\tnote; or, not\nhello, you; there\t1\n"
    for answer in (
        await client.post("/predict", content=table, headers={"content-type": kind}),
        await client.post("/predict", files={"file": ("table.txt", table, kind)}),
    ):
        assert answer.status_code == 200, answer.text
    assert [text.content for text in core.texts] == ["hello, you; there"] * 2
    job = await client.post("/jobs", content=table, headers={"content-type": kind})
    assert (job.status_code, job.json()["rows_total"]) == (202, 1)
    commas = await client.post("/predict", content="content,lang\nhi,en\n", headers={"content-type": kind})
    assert (commas.status_code, "'content,lang'" in commas.text) == (422, True)


@pytest.mark.parametrize("kind", [*NDJSON_NAMES, "application/x-ndjson"])
async def test_json_lines_have_other_names(client: httpx.AsyncClient, kind: str) -> None:
    """Each line is answered."""
    answer = await client.post("/predict", content=b'"a"\n"b"\n', headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    assert len(answer.text.splitlines()) == 2


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "text/csvx", "application/octet-stream", "application/x-tar", "application/pdf", ""],
)
async def test_other_media_types_are_refused(client: httpx.AsyncClient, kind: str) -> None:
    """The bytes are not looked at."""
    for path in ("/predict", "/jobs"):
        answer = await client.post(path, content=FILE, headers={"content-type": kind})
        assert answer.status_code == 415, answer.text


async def test_files_under_any_name_wait_for_capacity(backend: Backend) -> None:
    """They are refused neither by the queue nor by the event loop."""
    full = OverloadedError("9 rows are waiting.", retry_after_seconds=6.4)
    admission = AdmissionRules(RequestLimit(0.5), overload=lambda _caller: full)
    transport = httpx.ASGITransport(create_api(backend, DOORS, admission=admission))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        for kind in CSV_NAMES:
            answer = await client.post("/predict", content=FILE, headers={"content-type": kind})
            assert answer.status_code == 200, answer.text


@pytest.fixture
async def result(client: httpx.AsyncClient, backend: Backend) -> AsyncIterator[str]:
    """The path of a job's result."""
    work = asyncio.create_task(backend.jobs.run())
    job = (await client.post("/jobs", content=FILE, headers={"content-type": "text/csv"})).json()
    async with asyncio.timeout(60):
        while (await client.get(f"/jobs/{job['id']}")).json()["state"] != "done":  # noqa: ASYNC110  no event
            await asyncio.sleep(0)  # the queue works on this event loop
    yield f"/jobs/{job['id']}/result"
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


@pytest.mark.parametrize(
    "given", ["rows=0-5", "bytes=abc", "bytes=", "items", "bytes=-", "bytes=1-2,x", "bytes 0-5"]
)
async def test_a_range_that_is_not_understood_is_ignored(
    client: httpx.AsyncClient, result: str, given: str
) -> None:
    """RFC 9110: the answer is the whole file."""
    whole = await client.get(result)
    answer = await client.get(result, headers={"range": given})
    assert (answer.status_code, answer.content) == (200, whole.content)
    part = await client.get(result, headers={"range": "bytes=0-6"})
    assert (part.status_code, part.content) == (206, whole.content[:7])
    past = await client.get(result, headers={"range": "bytes=999999-"})
    assert past.status_code == 416


async def test_an_unchanged_result_is_not_sent_again(client: httpx.AsyncClient, result: str) -> None:
    """By its entity tag."""
    tag = (await client.get(result)).headers["etag"]
    for given in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        answer = await client.get(result, headers={"if-none-match": given})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert (await client.get(result, headers={"if-none-match": '"x"'})).status_code == 200
    head = await client.head(result)
    assert (head.status_code, head.headers["etag"]) == (200, tag)
