"""What one caller may cost: without budgets, each of these requests stops the service or takes its memory."""

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event as ThreadEvent
from typing import Any

import httpx
import pytest

from toxic_core.tables.delimited import InvalidRecordError, Lines
from toxic_inference.budget import Budget
from toxic_inference.composition.executors import Executors
from toxic_inference.corrections.record import FeedbackFullError, FeedbackSource
from toxic_inference.corrections.service import CorrectionService
from toxic_inference.corrections.store import OVERHEAD_BYTES, DatabaseFeedbackStore
from toxic_inference.corrections.tables import digest_of
from toxic_inference.doors.listing import DOORS
from toxic_inference.events import CorrectionKept, Event
from toxic_inference.http.admission import LEAST_REQUESTS, AdmissionRules, RequestLimit
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend, DoorThreads, Limits
from toxic_inference.http.body import MOST_VALUES, parse_json
from toxic_inference.http.errors import TooManyTextsError
from toxic_inference.serving.interfaces import Lane
from toxic_inference.settings import Settings
from toxic_inference.tables.reader import CsvTable, InvalidCsvError
from toxic_inference.threads import Threads
from toxic_testing.inference.core import LIMITS, FakeCore
from toxic_testing.inference.fakes import HeldExecutor
from toxic_testing.inference.perspective import suggested

pytestmark = pytest.mark.anyio

Turn = Callable[[Callable[[], bool]], Awaitable[None]]

ANALYZE = "/v1alpha1/comments:analyze"
SUGGEST = "/v1alpha1/comments:suggestscore"
TENSORS = "/v2/models/toxic-comments/infer"
PREDICT = "/v1/models/toxic-comments:predict"
MANY = 200_000
SMALL: dict[str, dict[str, Any]] = {
    "/predict": {"text": "hello"},
    ANALYZE: {"comment": {"text": "hello"}, "requestedAttributes": {"TOXICITY": {}}},
    PREDICT: {"instances": ["hello"]},
    TENSORS: {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}]},
}


@pytest.fixture
def roomy(backend: Backend) -> httpx.AsyncClient:
    """A client of the application with the body limits of production."""
    limits = Limits(text_bytes=200, texts=5, body_bytes=8 * 2**20, upload_bytes=2**29, bodies_bytes=2**20)
    app = create_api(replaced(backend, limits=limits), DOORS)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


def full() -> FeedbackFullError:
    """Return the refusal of a correction."""
    return FeedbackFullError("Full.", retry_after_seconds=600)


async def fill(corrections: CorrectionService, caller: str, count: int) -> None:
    """File corrections without a text."""
    for number in range(count):
        made = corrections.make(
            f"{caller}-{number}",
            text=None,
            language=None,
            labels={"toxic": True},
            source=FeedbackSource.NATIVE,
        )
        await corrections.file(made, caller=caller)


def replaced(backend: Backend, **fields: Any) -> Backend:
    """Return a backend with other fields."""
    values = {name: getattr(backend, name) for name in Backend.__dataclass_fields__}
    return Backend(**values | fields)


SHAPES = {
    "texts": ("/predict", {"texts": [1] * MANY}),
    "objects": ("/predict", {"texts": [{}] * MANY}),
    "instances": (PREDICT, {"instances": [[]] * MANY}),
    "languages": (ANALYZE, SMALL[ANALYZE] | {"languages": [1] * MANY}),
    "entries": (ANALYZE, SMALL[ANALYZE] | {"context": {"entries": [1] * MANY}}),
    "attributes": (ANALYZE, {"requestedAttributes": {f"A{i}": 1 for i in range(MANY // 4)}}),
    "scores": (SUGGEST, {"attributeScores": {f"A{i}": 1 for i in range(MANY // 4)}}),
    "inputs": (TENSORS, {"inputs": [1] * MANY}),
    "feedback": ("/feedback", {"labels": {f"l{i}": True for i in range(MANY // 4)}}),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.hostile(1)
async def test_a_long_list_is_refused_before_it_is_validated(shape: str, roomy: httpx.AsyncClient) -> None:
    """Whichever list or object is long: 4xx, without an error per element."""
    path, body = SHAPES[shape]
    async with roomy:
        answer = await roomy.post(path, json=body)
    assert 400 <= answer.status_code < 500
    assert len(answer.content) < 2_000


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (json.dumps({"texts": ["a, b [c] {d}, \\\\" * 2_000, 'q"' * 3_000 + "," * 20_000]}), 3),
        (json.dumps([1] * (MOST_VALUES - 10)), MOST_VALUES - 10),
        (json.dumps([1] * (MOST_VALUES + 10)), MOST_VALUES + 10),
        (json.dumps(["a\\", *([{}] * MOST_VALUES)]), 2 * MOST_VALUES + 1),
    ],
)
def test_values_are_counted_outside_of_strings(body: str, values: int) -> None:
    """Punctuation in a text is no value."""
    if values <= MOST_VALUES:
        parse_json(body.encode())
    else:
        with pytest.raises(TooManyTextsError, match=f"{values:,}"):
            parse_json(body.encode())


@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson", "multipart/form-data; boundary=b"])
@pytest.mark.parametrize("path", [ANALYZE, SUGGEST, PREDICT, TENSORS, "/feedback"])
@pytest.mark.hostile(3)
async def test_the_route_chooses_the_limit(path: str, kind: str, client: httpx.AsyncClient) -> None:
    """A content type of files doesn't lift the limit of a route that reads none."""
    body = b"a" * (LIMITS.body_bytes + 1)
    assert len(body) < LIMITS.upload_bytes
    answer = await client.post(path, content=body, headers={"content-type": kind})
    assert answer.status_code in {400, 413}  # Google's shape has 400 for it
    assert "larger than" in answer.text


@pytest.mark.hostile(3)
async def test_events_have_a_small_limit(roomy: httpx.AsyncClient) -> None:
    """The registry's messages are short, and need no key."""
    async with roomy:
        assert (await roomy.post("/events", content=b"a" * 70_000)).status_code == 413


@pytest.mark.hostile(21)
async def test_bodies_share_the_memory(roomy: httpx.AsyncClient, turn: Turn) -> None:
    """Unfinished bodies of one caller take half of it; then large bodies wait, small ones don't."""
    going, started = asyncio.Event(), []

    async def unfinished() -> Any:
        yield b"[" + b" " * 300_000
        started.append(True)
        await going.wait()
        yield b"1]"

    async with roomy:
        held = asyncio.create_task(roomy.post("/predict", content=unfinished(), headers=JSON))
        await turn(lambda: bool(started))
        large = json.dumps({"texts": ["hello"], "lang": "en"}).encode() + b" " * 300_000
        assert (await roomy.post("/predict", content=large, headers=JSON)).status_code == 429
        assert (await roomy.post("/predict", json=SMALL["/predict"])).status_code == 200
        going.set()
        assert (await held).status_code == 422
        assert (await roomy.post("/predict", content=large, headers=JSON)).status_code == 200


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", SMALL)
@pytest.mark.hostile(5)
async def test_silent_bodies_take_nobody_s_place(path: str, backend: Backend, turn: Turn) -> None:
    """A request counts once its body is there, however many connections announce one."""
    cpu = iter(range(10**6))
    limit = RequestLimit(0.5, cpu=lambda: float(next(cpu)), now=lambda: float(next(cpu)))
    for _ in range(100):
        limit.enter()
        limit.leave()
    assert limit.requests == LEAST_REQUESTS
    app = create_api(backend, DOORS, admission=AdmissionRules(limit, overload=lambda _: None))
    going, started = asyncio.Event(), []

    async def silent() -> Any:
        started.append(True)
        await going.wait()
        yield json.dumps(SMALL[path]).encode()

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        held = [asyncio.create_task(client.post(path, content=silent(), headers=JSON)) for _ in range(40)]
        await turn(lambda: len(started) == len(held))
        assert (await client.post(path, json=SMALL[path])).status_code == 200
        going.set()
        assert {(await each).status_code for each in held} <= {200, 429}


async def test_a_caller_within_its_share_is_admitted() -> None:
    """Another caller's requests fill the limit; a newcomer has its share of it."""
    cpu = iter(range(10**6))
    limit = RequestLimit(0.5, cpu=lambda: float(next(cpu)), now=lambda: float(next(cpu)))
    for _ in range(100):
        limit.enter("other")
        limit.leave("other")
    while limit.enter("loud"):
        pass
    assert [limit.enter("quiet") for _ in range(LEAST_REQUESTS)] == [True] * 4 + [False] * 4
    assert not limit.enter("loud")


HALF = "\ud800"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ANALYZE, {"requestedAttributes": {"TOXICITY": {}}, "clientToken": HALF}),
        (ANALYZE, {"requestedAttributes": {"TOXICITY": {}}, "sessionId": HALF}),
        (ANALYZE, {"requestedAttributes": {HALF: {}}}),
        (ANALYZE, {HALF: 1}),
        (SUGGEST, {"attributeScores": {"TOXICITY": {}}, "communityId": HALF}),
        (TENSORS, SMALL[TENSORS] | {"id": HALF}),
        (TENSORS, {"inputs": [{"name": HALF}]}),
        (PREDICT, {"signature_name": HALF, "instances": ["a"]}),
        (PREDICT, {HALF: []}),
        ("/predict", {HALF: 1}),
        ("/feedback", {"labels": {HALF: True}}),
    ],
)
@pytest.mark.hostile(31)
async def test_half_a_surrogate_pair_is_refused_anywhere(
    path: str, body: object, client: httpx.AsyncClient
) -> None:
    """An error of the request, which names it, and never one of the service."""
    answer = await client.post(path, content=json.dumps(body), headers=JSON)
    assert 400 <= answer.status_code < 500
    assert "surrogate" in answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PREDICT, {"signature_name": [], "instances": ["a"]}),
        (PREDICT, {"signature_name": {}, "instances": ["a"]}),
        (TENSORS, {"inputs": [{"name": "text", "shape": [9] * 30_000, "datatype": "BYTES", "data": ["a"]}]}),
        (TENSORS, {"inputs": [{"name": "text", "shape": [10**300], "datatype": "BYTES", "data": ["a"]}]}),
    ],
)
@pytest.mark.hostile(31)
async def test_odd_values_are_errors_of_the_request(
    path: str, body: object, roomy: httpx.AsyncClient
) -> None:
    """Names that can't be hashed, shapes without end."""
    async with roomy:
        answer = await roomy.post(path, json=body)
    assert 400 <= answer.status_code < 500
    assert len(answer.content) < 2_000


def test_a_budget_leaves_the_others_their_share() -> None:
    """A caller has half of it; what is refused isn't reserved; the end of a hold gives everything back."""
    budget = Budget(100, lambda: OSError("full"))
    with budget.hold("a") as first, budget.hold("b") as second:
        first.grow(50)
        with pytest.raises(OSError, match="full"):
            first.grow(1)
        second.grow(30)
        assert budget.used == 80
        with pytest.raises(OSError, match="full"), budget.hold("c") as third:
            third.grow(21)
        assert budget.used == 80
    assert budget.used == 0


async def test_files_wait_in_the_bulk_lane(client: httpx.AsyncClient, core: FakeCore) -> None:
    """With the caller that shares the model, as every request."""
    await client.post("/predict", content="content\nhello\n", headers={"content-type": "text/csv"})
    await client.post("/predict", json=SMALL["/predict"])
    assert core.lanes == [Lane.BULK, Lane.INTERACTIVE]
    assert {terms.caller for terms in core.terms} == {"127.0.0.1"}


CSV = {"content-type": "text/csv"}


@pytest.mark.hostile(7)
async def test_a_file_has_so_many_columns(client: httpx.AsyncClient) -> None:
    """Each row would be as wide as the first line."""
    for path in ("/predict", "/jobs"):
        answer = await client.post(path, content="content" + ",a" * 1_024 + "\nx\n", headers=CSV)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_csv")
        assert "1,025 columns" in answer.text


@pytest.mark.hostile(8)
def test_a_record_without_an_end_is_not_kept() -> None:
    """Neither as a row nor as the first line: 1 MiB of it is read at most."""
    endless = b'"\n",' * 1_000_000
    lines = Lines(io.StringIO(endless.decode()))
    lines.start_record()
    with pytest.raises(InvalidRecordError):
        next(csv.reader(lines, strict=True))
    assert lines.line <= 2**20 / 4 + 1
    with pytest.raises(InvalidCsvError, match="has no end"):
        CsvTable(io.BytesIO(b"content," + endless), max_text_bytes=200)


@pytest.mark.hostile(18)
async def test_corrections_have_room_per_caller(backend: Backend) -> None:
    """A caller fills its half and no more; a long name of a community is refused."""
    room = Budget(12_000, full)
    app = create_api(replaced(backend, corrections=replace(backend.corrections, room=room)), DOORS)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        body = {"labels": {"toxic": True}, "id": "0"}
        filed = [await client.post("/feedback", json=body | {"id": str(number)}) for number in range(6)]
        assert [answer.status_code for answer in filed] == [201] * 5 + [429]
        long = {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}}, "communityId": "c" * 257}
        answer = await client.post(SUGGEST, json=long | {"comment": {"text": "hello"}})
        assert answer.status_code == 400
        assert "communityId" in answer.text


async def test_what_is_stored_counts_once(backend: Backend, feedback_store: DatabaseFeedbackStore) -> None:
    """Although many callers send their first corrections together after a start."""
    await fill(backend.corrections, "before", 3)
    room = Budget(12_000, full)
    started = replace(backend.corrections, room=room)
    await asyncio.gather(*(fill(started, f"caller-{number}", 1) for number in range(4)))
    assert room.used == sum(feedback_store.sizes().values()) == 7 * OVERHEAD_BYTES


@pytest.mark.hostile(18)
async def test_a_start_leaves_each_caller_its_corrections(backend: Backend) -> None:
    """A caller whose share is full adds nothing after a start, and others add theirs."""
    await fill(backend.corrections, "192.0.2.1", 5)
    started = replace(backend.corrections, room=Budget(12_000, full))
    await fill(started, "192.0.2.1", 5)  # the same ones again
    with pytest.raises(FeedbackFullError):
        await fill(started, "192.0.2.1", 6)
    await fill(started, "192.0.2.2", 5)


async def test_what_a_caller_that_leaves_has_begun_is_counted_and_reported(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its correction is stored, or removed, all the same."""
    began, go = ThreadEvent(), ThreadEvent()

    def slow(work: Callable[..., Any]) -> Callable[..., Any]:
        def works(*arguments: Any, **options: Any) -> Any:
            began.set()
            assert go.wait(timeout=30)
            return work(*arguments, **options)

        return works

    async def leave(call: Awaitable[Any]) -> None:
        began.clear()
        go.clear()
        task = asyncio.ensure_future(call)
        async with asyncio.timeout(30):
            while not began.is_set():  # noqa: ASYNC110  a thread works meanwhile
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        go.set()
        await asyncio.wait({task})
        assert task.cancelled()

    store, events, room = backend.corrections.store, list[Event](), Budget(12_000, full)
    monkeypatch.setattr(store, "add", slow(store.add))
    monkeypatch.setattr(store, "delete", slow(store.delete))
    with ThreadPoolExecutor(1) as executor:
        corrections = replace(backend.corrections, threads=Threads(executor), emit=events.append, room=room)
        await leave(fill(corrections, "192.0.2.1", 1))
        assert room.used == OVERHEAD_BYTES
        assert CorrectionKept("native") in events
        await leave(corrections.delete("192.0.2.1-0"))
        assert room.used == 0


async def test_a_removed_correction_leaves_its_caller_room(backend: Backend) -> None:
    """Whoever removes it, by its id or by its text, and also right after a start."""
    room = Budget(12_000, full)
    corrections = replace(backend.corrections, room=room)
    app = create_api(replaced(backend, corrections=corrections), DOORS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:

        async def filed(number: int, **fields: Any) -> int:
            body = {"labels": {"toxic": True}, "id": f"{number}"} | fields
            return (await client.post("/feedback", json=body)).status_code

        for number in range(5):
            assert await filed(number, text="hello", consent=number < 3) == 201
        assert await filed(5) == 429
        assert (await client.delete("/feedback/4")).status_code == 204
        assert [await filed(5), await filed(6)] == [201, 429]
        await corrections.forget(digest_of("hello"))
        assert [await filed(number) for number in (6, 7, 8, 9)] == [201] * 3 + [429]
    started = replace(corrections, room=(after := Budget(12_000, lambda: OSError("full"))))
    await started.delete("8")
    assert after.used == room.used - OVERHEAD_BYTES


async def test_a_replaced_correction_takes_no_room(backend: Backend) -> None:
    """A caller may suggest other scores as often as it likes."""
    room = Budget(12_000, full)
    app = create_api(replaced(backend, corrections=replace(backend.corrections, room=room)), DOORS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for value in (0, 1) * 5:
            assert (await client.post(SUGGEST, json=suggested(value=value))).status_code == 200
        used = OVERHEAD_BYTES + len(suggested()["comment"]["text"])
        assert room.used == used
        (sender,) = backend.corrections.store.sizes()
        room.reserve(sender, 6_000 - used, always=True)
        assert (await client.post(SUGGEST, json=suggested(value=1))).status_code == 200
        other = suggested() | {"comment": {"text": "another text"}}
        assert (await client.post(SUGGEST, json=other)).status_code == 429
        assert room.used == 6_000
        room.reserve(sender, OVERHEAD_BYTES, always=True)
        assert (await client.post(SUGGEST, json=suggested(doNotStore=True))).status_code == 429
        assert not backend.corrections.store.sizes(), "removed, although the new one has no room"
        room.release(sender, 6_000 - used + OVERHEAD_BYTES)
        assert room.used == 0
        assert (await client.post(SUGGEST, json=suggested(value=1))).status_code == 200
        assert (await client.post(SUGGEST, json=suggested(doNotStore=True))).status_code == 200
        assert room.used == OVERHEAD_BYTES


@pytest.mark.hostile(19)
async def test_uploads_that_take_every_thread_delay_nobody_else(
    backend: Backend, threads: DoorThreads, turn: Turn
) -> None:
    """Files, corrections and small requests have threads of their own."""
    held = HeldExecutor()
    changed = replaced(
        backend,
        threads=DoorThreads(threads.read, Threads(held)),
        corrections=replace(backend.corrections, threads=threads.read),
    )
    transport = httpx.ASGITransport(create_api(changed, DOORS))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        upload = asyncio.create_task(client.post("/predict", content="content\nhello\n", headers=CSV))
        await turn(lambda: bool(held.held))
        for path in (ANALYZE, "/predict"):
            assert (await client.post(path, json=SMALL[path])).status_code == 200
        filed = await client.post("/feedback", json={"labels": {"toxic": True}, "id": "0"})
        assert filed.status_code == 201

        def done() -> bool:
            if held.held:
                held.release()
            return upload.done()

        await turn(done)
        assert (await upload).status_code == 200


@pytest.mark.hostile(19)
def test_each_kind_of_work_has_its_threads() -> None:
    """In the service, too."""
    executors = Executors(Settings())
    pools = vars(executors).values()
    assert len({id(pool) for pool in pools}) == len(pools) == 9
    executors.shutdown()
