import asyncio
import csv
import gzip
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from toxic_core.errors import NoVersionReadyError
from toxic_core.tables import NO_OPTIONS
from toxic_inference.budget import Budget, Held
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.jobs.files import JobFiles, PartialUpload, count_rows
from toxic_inference.jobs.queue import JobQueue
from toxic_inference.jobs.record import Job, JobsFullError, JobState
from toxic_inference.policies.file import Policies
from toxic_inference.serving.errors import InferenceError
from toxic_inference.serving.interfaces import Lane, Scorer, Text, TextScore
from toxic_model.identification import Identified
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.fakes import ManualClock
from toxic_testing.tables import HEADER, ROWS, files

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


async def test_a_file_is_decided_by_a_policy(
    start: Callable[[], Process], policies: list[Policies], core: FakeCore
) -> None:
    """As it is when the file's turn comes; if it is gone by then, the job fails and says so."""
    content = b"content\n[b]lovely[/b] day\n"
    process = start()
    ids = []
    for name in ("forum", "gone"):
        policies.append(Policies.model_validate({"policies": {name: {}, "forum": {}}}))
        answer = await process.client.post("/jobs", params={"policy": name}, content=content, headers=CSV)
        assert answer.json()["policy"] == name
        ids.append(answer.json()["id"])
    forum = {"markup": "bbcode", "flag": {"words": ["lovely"], "labels": ["insult"]}}
    policies.append(Policies.model_validate({"policies": {"forum": forum}}))
    process.work()
    await process.until(ids[0], "done")
    answer = await process.client.get(f"/jobs/{ids[0]}/result")
    assert answer.headers["x-policy"] == "forum"
    (row,) = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert (row["policy"], row["decided_by"], row["decision_insult"]) == ("forum", "list", "true")
    assert [text.content for text in core.texts] == ["lovely day"]
    gone = await process.until(ids[1], "failed")
    assert gone["error"]["code"] == "unknown_policy"


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "invalid_csv"), (b"a,b\n1,2\n", "invalid_csv"), (b"PK\x03\x04rest", "invalid_csv")],
)
async def test_what_isn_t_a_table_is_refused_at_once(
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


@pytest.mark.hostile(23)
async def test_a_stop_of_the_service_is_no_failure(start: Callable[[], Process], core: FakeCore) -> None:
    """However often it is stopped, and the file is scored in the end."""
    core.held = asyncio.Event()
    process = start()
    job = await process.upload()
    for _ in range(5):
        process.work()
        await process.until(job["id"], "running")
        await process.stop()
        process = start()
    core.held.set()
    process.work()
    assert (await process.until(job["id"], "done"))["scored"] == 600


class Interrupted(FakeCore):
    """A core that scores some chunks of a file, then blocks or ends the process."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks = 0
        self.crash = False

    async def score(self, texts: Sequence[Text], *, lane: Lane) -> Sequence[TextScore]:
        """Score a chunk, if there is one left."""
        if not self.chunks:
            if self.crash:
                raise CrashError
            self.held = asyncio.Event()
        self.chunks -= 1
        return await super().score(texts, lane=lane)


class CrashError(BaseException):
    """Ends the queue's task without a last word, as `kill -9` ends the process."""


@pytest.mark.parametrize("edited", ["nothing", "keys", "version", "policy"])
@pytest.mark.hostile(23)
async def test_a_job_goes_on_where_it_was(
    new_queue: Callable[[], JobQueue], policies: list[Policies], edited: str
) -> None:
    """Rows that were scored aren't scored again, unless another version or policy decides now."""
    policies.append(Policies.model_validate({"policies": {"forum": {}}}))
    core = Interrupted()
    core.chunks = 2
    made = new_queue()
    identify = made.scoring.identify_language

    def govern(_: str) -> tuple[Scorer, Callable[[str], Identified], str]:
        return core, identify, policies[-1].policies["forum"].digest()

    first = replace(made, govern=govern)
    upload = await first.open_upload()
    upload.write(b"id,content\n" + b"".join(b"%d,hello %d\n" % (row, row) for row in range(1_500)))
    job = await first.submit(upload, policy="forum")
    running = asyncio.create_task(first.run())
    async with asyncio.timeout(30):
        while core.held is None:  # noqa: ASYNC110  threads work meanwhile
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    assert first.get(job.id).rows_done == 1_024
    resumed = FakeCore()
    resumed.version = "8" if edited == "version" else "7"
    edits: dict[str, Any] = {"keys": {"keys": ["night-shift"]}, "policy": {"markup": "html"}}
    policies.append(Policies.model_validate({"policies": {"forum": edits.get(edited, {})}}))

    def govern_again(_: str) -> tuple[Scorer, Callable[[str], Identified], str]:
        return resumed, identify, policies[-1].policies["forum"].digest()

    second = replace(new_queue(), govern=govern_again)
    running = asyncio.create_task(second.run())
    async with asyncio.timeout(30):
        while not second.get(job.id).ended:  # noqa: ASYNC110  threads work meanwhile
            await asyncio.sleep(0.01)
    running.cancel()
    ended = second.get(job.id)
    assert (ended.error, ended.rows_done, ended.scored) == (None, 1_500, 1_500)
    assert len(resumed.texts) == (1_500 if edited in {"version", "policy"} else 1_500 - 1_024)
    rows = list(csv.DictReader(io.StringIO(second.result(job.id).read_text(), newline="")))
    assert [row["id"] for row in rows] == [str(row) for row in range(1_500)]
    assert {row["model_version"] for row in rows} == {resumed.version}


@pytest.mark.hostile(23)
async def test_a_file_that_ends_the_process_again_and_again_is_given_up(
    new_queue: Callable[[], JobQueue],
) -> None:
    """Three times at the same place; a crash after more rows doesn't count."""
    queue = new_queue()
    upload = await queue.open_upload()
    upload.write(b"content\n" + b"hello\n" * 10_000)
    job = await queue.submit(upload)
    attempts = 0
    while True:
        core = Interrupted()
        core.crash, core.chunks = True, 3 if attempts < 4 else 0
        queue = new_queue()
        queue = replace(queue, scorer=core, scoring=replace(queue.scoring, clock=Hasty()))
        running = asyncio.create_task(queue.run())
        async with asyncio.timeout(30):
            while not (running.done() or queue.get(job.id).ended):  # noqa: ASYNC110  threads work meanwhile
                await asyncio.sleep(0.01)
        if not running.done():
            break
        assert isinstance(running.exception(), CrashError)
        attempts += 1
    running.cancel()
    failed = queue.get(job.id)
    assert failed.error is not None
    assert (failed.error[0], failed.rows_done, attempts) == ("gave_up", 4 * 3 * 512, 4 + 2)


class Hasty(ManualClock):
    """A clock by which each look is a minute later."""

    def now(self) -> float:
        """Return the time."""
        self.advance(60)
        return super().now()


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (InferenceError("The model failed."), "inference_failed", "The model failed."),
        (OSError(5, "Input/output error"), "internal", "Input/output error"),
        (OSError(28, "No space left on device"), "disk_full", "disk is full"),
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


class _SlowSaving(JobFiles):
    """Saves no record before `go` is set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.saving, self.go = Event(), Event()

    def save(self, job: Job) -> None:
        """Replace a job's record, late."""
        self.saving.set()
        self.go.wait(timeout=30)
        super().save(job)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_deletion_waits_for_the_record_that_is_being_saved(
    start: Callable[[], Process], calendar: Any, tmp_path: Path, *, cancelled: bool
) -> None:
    """The next process doesn't find the job again, also if a stop cancels the request meanwhile."""
    process = start()
    files = process.queue.files = _SlowSaving(tmp_path / "jobs")
    process.work()
    job = await process.upload()
    async with asyncio.timeout(30):
        while not files.saving.is_set():  # noqa: ASYNC110  threads work meanwhile
            await asyncio.sleep(0)
    deletion = asyncio.create_task(process.client.delete(f"/jobs/{job['id']}"))
    await asyncio.sleep(0.05)
    assert not deletion.done()
    if cancelled:
        deletion.cancel()
        await asyncio.sleep(0.05)
    files.go.set()
    await asyncio.wait({deletion})
    assert deletion.cancelled() if cancelled else deletion.result().status_code == 204
    await process.stop()
    assert files.read_all(now=calendar.now()) == []
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_removed_job_is_not_saved_again(tmp_path: Path, calendar: Any) -> None:
    """Saving fails, and doesn't create the job's folder."""
    files = JobFiles(tmp_path)
    upload = files.open_upload(Held(Budget(10**6, OSError), ""))
    upload.close()
    now = calendar.now()
    job = Job(id="0" * 32, state=JobState.QUEUED, created_at=now, expires_at=now, rows_total=1)
    files.keep(upload, job)
    files.remove(job)
    with pytest.raises(FileNotFoundError):
        files.save(job)
    assert list(tmp_path.iterdir()) == []


class _SlowRemoval(JobFiles):
    """Removes nothing before `go` is set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.removing: list[str] = []
        self.go = Event()

    def remove(self, job: Job) -> None:
        """Remove a job's folder, late."""
        self.removing.append(job.id)
        self.go.wait(timeout=30)
        super().remove(job)


async def test_a_deletion_while_jobs_expire_does_not_end_the_queue(
    start: Callable[[], Process], calendar: Any, clock: ManualClock, tmp_path: Path
) -> None:
    """A job that a client can still delete, since the time was set back, is removed once."""
    process = start()
    files = process.queue.files = _SlowRemoval(tmp_path / "jobs")
    process.work()
    jobs = [await process.upload() for _ in range(2)]
    await process.until(jobs[1]["id"], "done")
    calendar.moment += timedelta(hours=2)
    async with asyncio.timeout(30):
        while not files.removing:
            clock.advance(60)
            await asyncio.sleep(0)  # the service runs on this event loop and needs its turn
        calendar.moment -= timedelta(hours=2)
        deletion = asyncio.create_task(process.client.delete(f"/jobs/{jobs[1]['id']}"))
        while len(files.removing) < 2:  # noqa: ASYNC110  threads work meanwhile
            await asyncio.sleep(0)
    files.go.set()
    assert (await deletion).status_code == 204
    await process.until((await process.upload())["id"], "done")
    assert files.removing == [job["id"] for job in jobs]


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


async def test_an_expired_job_is_unknown(start: Callable[[], Process], calendar: Any) -> None:
    """From the time that the service stated on, even if its files aren't removed yet."""
    process = start()
    process.work()
    job = await process.upload()
    done = await process.until(job["id"], "done")
    address = f"/jobs/{job['id']}"
    calendar.moment = datetime.fromisoformat(done["expires_at"]) - timedelta(seconds=1)
    assert (await process.client.get(f"{address}/result")).status_code == 200
    calendar.moment += timedelta(seconds=1)
    for answer in (
        await process.client.get(address),
        await process.client.get(f"{address}/result"),
        await process.client.delete(address),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_job")


async def test_results_expire_while_a_job_runs(
    start: Callable[[], Process], core: FakeCore, calendar: Any, clock: ManualClock, tmp_path: Path
) -> None:
    """A job that takes hours doesn't delay the removal of others."""
    process = start()
    process.work()
    await process.until((await process.upload())["id"], "done")
    core.held = asyncio.Event()
    running = await process.upload()
    await process.until(running["id"], "running")
    calendar.moment += timedelta(hours=2)
    async with asyncio.timeout(30):
        while len(list((tmp_path / "jobs").iterdir())) > 1:
            clock.advance(60)
            await asyncio.sleep(0)  # the service runs on this event loop and needs its turn
    core.held.set()
    await process.until(running["id"], "done")


@pytest.mark.hostile(22)
async def test_a_result_is_kept_from_the_end_of_its_job(
    start: Callable[[], Process], core: FakeCore, calendar: Any, clock: ManualClock
) -> None:
    """Time in the queue and of scoring doesn't count, across a restart neither."""
    core.held = asyncio.Event()
    process = start()
    process.work()
    job = await process.upload()
    assert job["expires_at"] is None
    await process.until(job["id"], "running")
    calendar.moment += timedelta(hours=30)
    await process.stop()
    process = start()
    process.work()
    core.held.set()
    done = await process.until(job["id"], "done")
    clock.advance(60)
    assert (await process.client.get(f"/jobs/{job['id']}/result")).status_code == 200
    assert datetime.fromisoformat(done["expires_at"]) == calendar.moment + timedelta(hours=1)


@pytest.mark.hostile(21)
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


@pytest.mark.hostile(7, 21)
async def test_scores_take_no_more_than_their_share(
    new_queue: Callable[[], JobQueue], tmp_path: Path
) -> None:
    """Short rows become long lines: the job fails when they don't fit, and its room comes back."""
    queue, files = new_queue(), JobFiles(tmp_path / "small")
    queue = replace(queue, files=files, scoring=replace(queue.scoring, files=files), size_bytes=200_000)
    running = asyncio.create_task(queue.run())
    upload = await queue.open_upload("loud")
    upload.write(b"content" + b"".join(b",%d" % n for n in range(1_000)) + b"\n" + b"x\n" * 2_000)
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


class _FailingDisk(JobFiles):
    """Fails as a disk does, while there is an `error`."""

    error: OSError | None = None

    def save(self, job: Job) -> None:
        """Replace a job's record."""
        self._work()
        super().save(job)

    def size(self, job: Job) -> int:
        """Return the size of a job's files."""
        self._work()
        return super().size(job)

    def _work(self) -> None:
        if self.error is not None:
            raise self.error


async def test_a_version_that_is_unloaded_while_the_disk_is_full_does_not_end_the_queue(
    start: Callable[[], Process], core: FakeCore, clock: ManualClock, tmp_path: Path
) -> None:
    """The job waits for the next version, although its record can't be saved."""
    process = start()
    files = process.queue.files = _FailingDisk(tmp_path / "jobs")
    held = core.held = asyncio.Event()
    process.work()
    job = await process.upload()
    await process.until(job["id"], "running")
    files.error = OSError(28, "No space left on device")
    core.ready, core.error = False, NoVersionReadyError("The version is unloaded.")
    held.set()
    await process.until(job["id"], "queued")
    files.error, core.ready, core.error = None, True, None
    async with asyncio.timeout(30):
        while (await process.client.get(f"/jobs/{job['id']}")).json()["state"] != "done":
            clock.advance(1)
            await asyncio.sleep(0)  # the service runs on this event loop and needs its turn


async def test_a_job_whose_end_fails_does_not_end_the_queue(
    start: Callable[[], Process], core: FakeCore, tmp_path: Path
) -> None:
    """It fails with the reason, and the next one is scored."""
    process = start()
    files = process.queue.files = _FailingDisk(tmp_path / "jobs")
    held = core.held = asyncio.Event()
    process.work()
    job = await process.upload()
    await process.until(job["id"], "running")
    files.error = OSError(5, "Input/output error")
    held.set()
    failed = await process.until(job["id"], "failed")
    assert "Input/output error" in failed["error"]["message"]
    files.error = core.held = None
    await process.until((await process.upload())["id"], "done")


class _UnreadableDisk(JobFiles):
    """Has files whose size can't be read, once it `fails`."""

    fails = False

    def size(self, job: Job) -> int:
        """Return the size of a job's files."""
        if self.fails:
            raise OSError(5, "Input/output error")
        return super().size(job)


async def test_a_job_of_unknown_size_ends_as_its_record_says(
    start: Callable[[], Process], core: FakeCore, tmp_path: Path
) -> None:
    """The result is there, so it is done."""
    process = start()
    files = process.queue.files = _UnreadableDisk(tmp_path / "jobs")
    held = core.held = asyncio.Event()
    process.work()
    job = await process.upload()
    await process.until(job["id"], "running")
    files.fails = True
    held.set()
    await process.until(job["id"], "done")


class _FullDisk(JobFiles):
    """Writes uploads to the device that is always full."""

    def open_upload(self, held: Held) -> PartialUpload:
        """Return an upload that no byte fits in."""
        path = self._folder / "upload"
        path.mkdir()
        (path / "upload.csv").symlink_to("/dev/full")
        return PartialUpload(path, held)


@pytest.mark.parametrize("content", [FILE, FILE * 3], ids=["at the end", "in the middle"])
async def test_a_full_disk_is_said_to_be_full(
    start: Callable[[], Process], tmp_path: Path, content: bytes
) -> None:
    """The answer is 507 with a message, and nothing is left of the upload."""
    process = start()
    process.queue.files = _FullDisk(tmp_path / "full")
    answer = await process.client.post("/jobs", content=content, headers=CSV)
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk_full")
    assert "disk is full" in answer.json()["error"]["message"]
    assert list((tmp_path / "full").iterdir()) == []


class _SlowUpload(JobFiles):
    """Opens no upload before `go` is set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.opening, self.go = Event(), Event()

    def open_upload(self, held: Held) -> PartialUpload:
        """Return an upload, late."""
        self.opening.set()
        self.go.wait(timeout=30)
        return super().open_upload(held)


async def _has_its_whole_share(queue: JobQueue) -> bool:
    """Return whether a caller can upload half of the two million bytes, less one per upload."""
    upload = await queue.open_upload()
    try:
        upload.write(b"x" * 999_999)
    except JobsFullError:
        return False
    finally:
        upload.drop()
    return True


async def test_an_upload_whose_caller_leaves_while_it_is_opened_leaves_nothing(
    new_queue: Callable[[], JobQueue], tmp_path: Path
) -> None:
    """Its folder is removed and its room is released."""
    queue = new_queue()
    files = queue.files = _SlowUpload(tmp_path / "jobs")
    opening = asyncio.create_task(queue.open_upload())
    async with asyncio.timeout(30):
        while not files.opening.is_set():  # noqa: ASYNC110  threads work meanwhile
            await asyncio.sleep(0)
    opening.cancel()
    await asyncio.sleep(0)
    files.go.set()
    await asyncio.wait({opening})
    assert opening.cancelled()
    assert list((tmp_path / "jobs").iterdir()) == []
    assert await _has_its_whole_share(queue)


async def test_an_upload_that_can_t_be_opened_leaves_nothing(
    new_queue: Callable[[], JobQueue], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is removed and its room is released, whether the folder or the file can't be created."""
    queue, folder = new_queue(), tmp_path / "jobs"
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        await queue.open_upload()
    folder.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr("toxic_inference.jobs.files._UPLOAD", "missing/upload.csv")
        with pytest.raises(FileNotFoundError):
            await queue.open_upload()
    assert list(folder.iterdir()) == []
    assert await _has_its_whole_share(queue)


class _SlowKeeping(JobFiles):
    """Turns an upload into a job, but returns only when `go` is set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.kept, self.go = Event(), Event()

    def keep(self, upload: PartialUpload, job: Job) -> None:
        """Turn an upload into a job, and return late."""
        super().keep(upload, job)
        self.kept.set()
        self.go.wait(timeout=30)


async def test_an_upload_whose_caller_leaves_while_it_is_kept_is_no_job(
    start: Callable[[], Process], calendar: Any, tmp_path: Path
) -> None:
    """The next process doesn't find it."""
    process = start()
    files = process.queue.files = _SlowKeeping(tmp_path / "jobs")
    upload = asyncio.create_task(process.client.post("/jobs", content=FILE, headers=CSV))
    async with asyncio.timeout(30):
        while not files.kept.is_set():  # noqa: ASYNC110  threads work meanwhile
            await asyncio.sleep(0)
    upload.cancel()
    await asyncio.sleep(0)
    files.go.set()
    await asyncio.wait({upload})
    assert upload.cancelled()
    assert files.read_all(now=calendar.now()) == []
    assert await _has_its_whole_share(process.queue)


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
    ],
)
def test_rows_are_counted_before_they_are_scored(tmp_path: Path, content: bytes, rows: int) -> None:
    """Line breaks in quotes don't count; a line that is far too long counts by its pieces."""
    (tmp_path / "file.csv").write_bytes(content)
    assert count_rows(tmp_path / "file.csv", NO_OPTIONS) == rows


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


@pytest.mark.parametrize("name", files())
async def test_a_job_reads_a_table_as_people_have_it(start: Callable[[], Process], name: str) -> None:
    """Every format, dialect and compression, with what must be declared; counted before it is scored."""
    content, options = files()[name]
    process = start()
    process.work()
    declared = {"encoding": options.encoding} if options.encoding else {}
    answer = await process.client.post("/jobs", data=declared, files={"file": (name, content)})
    assert answer.status_code == 202, answer.text
    assert answer.json()["rows_total"] == len(ROWS)
    job = await process.until(answer.json()["id"], "done")
    assert (job["scored"], job["rejected"]) == (len(ROWS), 0)
    result = await process.client.get(f"/jobs/{job['id']}/result")
    found = [
        tuple(row[name] for name in HEADER) for row in csv.DictReader(io.StringIO(result.text, newline=""))
    ]
    assert found == [(*row[:3], row[3].replace("=1+1", "'=1+1")) for row in ROWS]


async def test_a_job_s_body_is_a_table_of_any_type(start: Callable[[], Process]) -> None:
    """The media type admits it; the bytes decide."""
    process = start()
    for kind, content in (
        ("application/json", b'["hello"]'),
        ("application/x-ndjson", b'{"text": "hello"}'),
        ("application/gzip", gzip.compress(b"text\nhello\n")),
        ("text/tab-separated-values", b"id\ttext\n1\thello\n"),
    ):
        answer = await process.client.post("/jobs", content=content, headers={"content-type": kind})
        assert (answer.status_code, answer.json().get("rows_total")) == (202, 1), answer.text


async def test_a_field_of_a_job_that_isn_t_known_is_named(start: Callable[[], Process]) -> None:
    """In the form and in the query; nothing is left."""
    process = start()
    form = await process.client.post("/jobs", data={"column": "a"}, files={"file": ("c.csv", FILE)})
    query = await process.client.post("/jobs", params={"column": "a"}, content=FILE, headers=CSV)
    for answer in (form, query):
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "column")
        assert "text_column" in answer.json()["error"]["message"]
