import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from toxic_inference.budget import Budget, Held
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.jobs.files import JobFiles, count_rows
from toxic_inference.jobs.queue import JobQueue
from toxic_inference.serving.errors import InferenceError
from toxic_inference.serving.interfaces import Lane
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.fakes import ManualClock

pytestmark = pytest.mark.anyio

CSV = {"content-type": "text/csv"}
FILE = b"id,content\n" + b"".join(b"%d,=hello\n" % index for index in range(600)) + b"600,\n"


class Process:
    """The application with its job queue running, as one process has them."""

    def __init__(self, backend: Backend, queue: JobQueue) -> None:
        app = create_api(replace(backend, jobs=queue), DOORS)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")
        self.queue = queue
        self._task: asyncio.Task[None] | None = None

    def work(self) -> None:
        """Begin to score."""
        self._task = asyncio.create_task(self.queue.run())

    async def stop(self) -> None:
        """Stop, also in the middle of a job."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self.client.aclose()

    async def upload(self, content: bytes = FILE) -> dict[str, Any]:
        """Submit a file; return the job."""
        answer = await self.client.post("/jobs", content=content, headers=CSV)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        assert answer.headers["location"] == f"/jobs/{job['id']}"
        return job

    async def until(self, job_id: str, *states: str) -> dict[str, Any]:
        """Poll until the job has one of the states; return it."""
        async with asyncio.timeout(30):
            while True:
                answer = (await self.client.get(f"/jobs/{job_id}")).json()
                if answer["state"] in {*states, "failed"}:
                    assert answer["state"] in states, answer
                    return dict(answer)
                await asyncio.sleep(0)  # the service runs on this event loop and needs its turn


@pytest.fixture
async def start(backend: Backend, new_queue: Callable[[], JobQueue]) -> AsyncIterator[Callable[[], Process]]:
    """Return the function that starts a process; all share one folder, one after the other."""
    started: list[Process] = []

    def make() -> Process:
        started.append(Process(backend, new_queue()))
        return started[-1]

    yield make
    for process in started:
        await process.stop()


async def test_a_file_is_scored_while_nobody_waits(
    start: Callable[[], Process], core: FakeCore, metric: Callable[..., float]
) -> None:
    """Upload, progress, result: every row in order, formulas harmless, the version named."""
    process = start()
    job = await process.upload()
    assert (job["state"], job["rows_done"], job["rows_total"]) == ("queued", 0, 601)
    early = await process.client.get(f"/jobs/{job['id']}/result")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "job_not_done")
    process.work()
    done = await process.until(job["id"], "done")
    assert (done["rows_done"], done["rows_total"], done["scored"], done["rejected"]) == (601, 601, 600, 1)
    assert done["model_version"] == "7"
    answer = await process.client.get(f"/jobs/{job['id']}/result")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["x-model-version"] == "7"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["id"] for row in rows] == [str(index) for index in range(601)]
    assert (rows[0]["content"], rows[0]["score_toxic"]) == ("'=hello", "0.060000")
    assert "is empty" in rows[600]["error"]
    assert set(core.lanes) == {Lane.BULK}
    assert core.leases == 0
    assert metric("toxic_inference_jobs_total", outcome="done") == 1


async def test_a_broken_download_goes_on_where_it_was(start: Callable[[], Process]) -> None:
    """Range with If-Range; another result's tag gives the whole."""
    process = start()
    process.work()
    job = await process.upload()
    await process.until(job["id"], "done")
    address = f"/jobs/{job['id']}/result"
    whole = await process.client.get(address)
    assert whole.headers["accept-ranges"] == "bytes"
    headers = {"range": "bytes=1000-", "if-range": whole.headers["etag"]}
    rest = await process.client.get(address, headers=headers)
    assert rest.status_code == 206
    assert rest.headers["content-range"] == f"bytes 1000-{len(whole.content) - 1}/{len(whole.content)}"
    assert whole.content[:1000] + rest.content == whole.content
    other = await process.client.get(address, headers={"range": "bytes=1000-", "if-range": '"other"'})
    assert (other.status_code, other.content) == (200, whole.content)
    beyond = await process.client.get(address, headers={"range": "bytes=999999999-"})
    assert beyond.status_code == 416


async def test_a_form_s_file_is_taken_too(start: Callable[[], Process]) -> None:
    """As a browser sends it."""
    process = start()
    process.work()
    answer = await process.client.post("/jobs", files={"file": ("comments.csv", FILE)})
    assert answer.status_code == 202
    await process.until(answer.json()["id"], "done")
    assert (await process.client.post("/jobs", files={"other": ("c.csv", FILE)})).status_code == 422


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "invalid_csv"), (b"a,b\n1,2\n", "invalid_csv"), (b"PK\x03\x04rest", "invalid_csv")],
)
async def test_what_isn_t_a_csv_is_refused_at_once(
    start: Callable[[], Process], content: bytes, code: str, tmp_path: Path
) -> None:
    """Its files are removed."""
    answer = await start().client.post("/jobs", content=content, headers=CSV)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert list((tmp_path / "jobs").iterdir()) == []


async def test_an_upload_over_the_limit_leaves_nothing(start: Callable[[], Process], tmp_path: Path) -> None:
    """Also if its length was not declared."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"content\n"
        for _ in range(300):
            yield b"x" * 1_000

    answer = await start().client.post("/jobs", content=parts(), headers=CSV)
    assert answer.status_code == 413
    assert list((tmp_path / "jobs").iterdir()) == []


async def test_a_job_outlives_its_process(start: Callable[[], Process], core: FakeCore) -> None:
    """What was under way when the service stopped is begun again; what was done is still there."""
    first = start()
    first.work()
    done = await first.upload()
    await first.until(done["id"], "done")
    core.held = asyncio.Event()
    held = await first.upload()
    await first.until(held["id"], "running")
    waiting = await first.upload()
    await first.stop()
    assert core.leases == 0
    core.held = None
    second = start()
    second.work()
    for job in (done, held, waiting):
        assert (await second.until(job["id"], "done"))["scored"] == 600
        assert (await second.client.get(f"/jobs/{job['id']}/result")).text.count("\n") == 602


async def test_a_file_that_stops_the_service_again_and_again_is_given_up(
    start: Callable[[], Process], core: FakeCore
) -> None:
    """Three times; then it has failed, and others have their turn."""
    core.held = asyncio.Event()
    process = start()
    job = await process.upload()
    for _ in range(3):
        process.work()
        await process.until(job["id"], "running")
        await process.stop()
        process = start()
    process.work()
    failed = await process.until(job["id"], "failed")
    assert failed["error"]["code"] == "gave_up"


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (InferenceError("The model failed."), "inference_failed", "The model failed."),
        (OSError(28, "No space left on device"), "internal", "No space left on device"),
        (RuntimeError("secret"), "internal", "see its log"),
    ],
)
async def test_a_job_that_fails_says_why(
    start: Callable[[], Process], core: FakeCore, error: Exception, code: str, says: str
) -> None:
    """And the next one is scored."""
    process = start()
    process.work()
    core.error = error
    job = await process.upload()
    failed = await process.until(job["id"], "failed")
    assert failed["error"]["code"] == code
    assert says in failed["error"]["message"]
    result = await process.client.get(f"/jobs/{job['id']}/result")
    assert result.status_code == 409
    core.error = None
    await process.until((await process.upload())["id"], "done")


async def test_without_a_version_a_job_waits(
    start: Callable[[], Process], core: FakeCore, clock: ManualClock, turn: Callable[..., Any]
) -> None:
    """It doesn't fail, and costs no attempt."""
    core.ready = False
    process = start()
    process.work()
    job = await process.upload()
    for _ in range(5):
        await turn(lambda: True)
        clock.advance(1)
    assert (await process.client.get(f"/jobs/{job['id']}")).json()["state"] == "queued"
    core.ready = True
    async with asyncio.timeout(30):
        while (await process.client.get(f"/jobs/{job['id']}")).json()["state"] != "done":
            clock.advance(1)
            await asyncio.sleep(0)  # as above


async def test_a_deleted_job_is_gone(start: Callable[[], Process], core: FakeCore, tmp_path: Path) -> None:
    """Running or done, with every file; asking for it afterwards is a 404."""
    process = start()
    process.work()
    done = await process.upload()
    await process.until(done["id"], "done")
    core.held = asyncio.Event()
    running = await process.upload()
    await process.until(running["id"], "running")
    for job in (done, running):
        assert (await process.client.delete(f"/jobs/{job['id']}")).status_code == 204
        for answer in (
            await process.client.get(f"/jobs/{job['id']}"),
            await process.client.get(f"/jobs/{job['id']}/result"),
            await process.client.delete(f"/jobs/{job['id']}"),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_job")
    assert list((tmp_path / "jobs").iterdir()) == []
    core.held = None
    await process.until((await process.upload())["id"], "done")


async def test_results_expire(
    start: Callable[[], Process], calendar: Any, clock: ManualClock, tmp_path: Path
) -> None:
    """After the hours that were set, in this process or the next."""
    process = start()
    process.work()
    job = await process.upload()
    await process.until(job["id"], "done")
    calendar.moment += timedelta(hours=2)
    async with asyncio.timeout(30):
        while any((tmp_path / "jobs").iterdir()):
            clock.advance(60)
            await asyncio.sleep(0)  # the service runs on this event loop and needs its turn
    assert (await process.client.get(f"/jobs/{job['id']}")).status_code == 404


async def test_there_is_room_for_so_much(start: Callable[[], Process]) -> None:
    """A caller with a full share is refused, with the time to come back; another one isn't."""
    process = start()
    files = [b"content\n" + b"x" * 100_000] * 15
    answers = [await process.client.post("/jobs", content=file, headers=CSV) for file in files]
    answer = next(answer for answer in answers if answer.status_code != 202)
    assert answers.index(answer) >= 8
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "jobs_full")
    assert int(answer.headers["retry-after"]) > 60
    other = await process.queue.open_upload("another")
    other.write(b"content\n" + b"x" * 100_000)
    other.drop()


async def test_scores_take_no_more_than_their_share(
    new_queue: Callable[[], JobQueue], tmp_path: Path
) -> None:
    """Short rows become long lines: the job fails when they don't fit, and its room comes back."""
    queue = replace(new_queue(), files=JobFiles(tmp_path / "small"), size_bytes=200_000)
    running = asyncio.create_task(queue.run())
    upload = await queue.open_upload("loud")
    upload.write(b"content" + b",a" * 1_000 + b"\n" + b"x\n" * 2_000)
    job = await queue.submit(upload, caller="loud")
    async with asyncio.timeout(50):
        while not queue.get(job.id).ended:  # noqa: ASYNC110  threads work meanwhile
            await asyncio.sleep(0.01)
    ended = queue.get(job.id)
    assert ended.error is not None
    assert ended.error[0] == "jobs_full"
    assert sum(file.stat().st_size for file in (tmp_path / "small").rglob("*") if file.is_file()) < 2_000
    fits = await queue.open_upload("loud")
    fits.write(b"x" * 99_000)
    fits.drop()
    running.cancel()


def test_what_was_left_half_is_removed_at_the_start(tmp_path: Path, calendar: Any) -> None:
    """An upload without its name, and a folder without a record."""
    files = JobFiles(tmp_path)
    upload = files.open_upload(Held(Budget(10**6, OSError), ""))
    upload.write(b"content")
    upload.close()
    (tmp_path / ("0" * 32)).mkdir()
    (tmp_path / ("1" * 32)).mkdir()
    (tmp_path / ("1" * 32) / "job.json").write_text(json.dumps({"id": 1}))
    assert files.read_all(now=calendar.now()) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"content\n", 0),
        (b"content\na\n\nb", 2),
        (b'content\n"a\nb"\nc\n', 2),
        (b'content\n"a\0b"\n\xff\n', 2),
        (b"content\n" + b"x" * 3_000_000 + b"\ny\n", 2),
        (b"", 0),
    ],
)
def test_rows_are_counted_before_they_are_scored(tmp_path: Path, content: bytes, rows: int) -> None:
    """Line breaks in quotes don't count; a line that is far too long counts by its pieces."""
    (tmp_path / "file.csv").write_bytes(content)
    assert count_rows(tmp_path / "file.csv") == rows


@pytest.mark.parametrize("place", ["query", "form"])
async def test_a_job_uses_the_chosen_text_column(
    start: Callable[[], Process], core: FakeCore, place: str
) -> None:
    """Also after a restart, since the record has it; without a choice, two candidates are refused."""
    content = b"text,body\nhi,hello\n"
    process = start()
    refused = await process.client.post("/jobs", content=content, headers=CSV)
    assert refused.status_code == 422
    assert "'text', 'body'" in refused.json()["error"]["message"]
    if place == "form":
        answer = await process.client.post(
            "/jobs", data={"text_column": "body"}, files={"file": ("a.csv", content, "text/csv")}
        )
    else:
        answer = await process.client.post(
            "/jobs", params={"text_column": "body"}, content=content, headers=CSV
        )
    assert answer.status_code == 202, answer.text
    await process.stop()
    process = start()
    process.work()
    await process.until(answer.json()["id"], "done")
    assert [text.content for text in core.texts] == ["hello"]
