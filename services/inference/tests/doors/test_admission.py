import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from toxic_core.errors import OverloadedError
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.admission import LEAST_REQUESTS, AdmissionRules, RequestLimit
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.metrics import Metrics
from toxic_inference.serving.errors import InferenceError
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio

Turn = Callable[[Callable[[], bool]], Awaitable[None]]

REQUESTS = {
    "/predict": {"text": "hello"},
    "/v1alpha1/comments:analyze": {"comment": {"text": "hello"}, "requestedAttributes": {"TOXICITY": {}}},
    "/v1/models/toxic-comments:predict": {"instances": [{"text": "hello"}]},
    "/v2/models/toxic-comments/infer": {
        "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}]
    },
}
CALLER = "127.0.0.1"
"""Who every request of the test's client counts for."""
ALWAYS = ("/health/live", "/health/ready", "/v2/health/ready", "/metrics", "/", "/v1/models/toxic-comments")


class Meter:
    """Seconds that a test advances."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return them."""
        return self.seconds


@pytest.fixture
def cpu() -> Meter:
    """The processor time of the loop's thread."""
    return Meter()


@pytest.fixture
def wall() -> Meter:
    """The time."""
    return Meter()


@pytest.fixture
def limit(cpu: Meter, wall: Meter) -> RequestLimit:
    """A limit for half a second's wait."""
    return RequestLimit(0.5, cpu=cpu, now=wall)


def serve(limit: RequestLimit, meters: tuple[Meter, ...], *, count: int, cost: float) -> None:
    """Serve requests, one after another, each of which takes `cost` on every meter."""
    for _ in range(count):
        assert limit.enter()
        for meter in meters:
            meter.seconds += cost
        limit.leave()


async def test_nothing_is_refused_before_a_cost_is_known(limit: RequestLimit) -> None:
    """A service that has just started takes what comes."""
    assert all(limit.enter() for _ in range(10_000))


async def test_as_many_as_can_be_worked_off_in_time(limit: RequestLimit, cpu: Meter, wall: Meter) -> None:
    """At 5 ms each, half a second has room for a hundred."""
    serve(limit, (cpu, wall), count=200, cost=0.005)
    assert limit.requests == pytest.approx(100)
    assert [limit.enter() for _ in range(101)] == [True] * 100 + [False]
    limit.leave()
    assert limit.enter()


async def test_dearer_requests_lower_the_limit_and_cheaper_ones_raise_it(
    limit: RequestLimit, cpu: Meter, wall: Meter
) -> None:
    """What a request costs is what it has cost lately."""
    serve(limit, (cpu, wall), count=200, cost=0.005)
    serve(limit, (cpu, wall), count=1_000, cost=0.02)
    assert limit.requests == pytest.approx(25, rel=0.05)
    serve(limit, (cpu, wall), count=1_000, cost=0.001)
    assert limit.requests == pytest.approx(500, rel=0.05)


async def test_what_the_loop_does_beside_rare_requests_is_not_their_cost(
    limit: RequestLimit, cpu: Meter, wall: Meter
) -> None:
    """The cost of one request per minute, beside a poll every other second, is no estimate for a hundred."""
    for _ in range(200):
        wall.seconds += 60
        serve(limit, (cpu,), count=1, cost=0.3)
    assert all(limit.enter() for _ in range(1_000))


async def test_some_are_always_let_in(limit: RequestLimit, cpu: Meter, wall: Meter) -> None:
    """However dear requests are, a batch can form."""
    serve(limit, (cpu, wall), count=200, cost=1.0)
    assert limit.requests == LEAST_REQUESTS


@pytest.fixture
def full(limit: RequestLimit, cpu: Meter, wall: Meter) -> RequestLimit:
    """A limit that is reached."""
    serve(limit, (cpu, wall), count=200, cost=0.005)
    while limit.enter(CALLER):
        pass
    return limit


class Queue:
    """Has room until a test fills it."""

    def __init__(self) -> None:
        self.error: OverloadedError | None = None

    def __call__(self, _: str | None) -> OverloadedError | None:
        """Return why a text would be refused."""
        return self.error


@pytest.fixture
def queue() -> Queue:
    """The default version's."""
    return Queue()


@pytest.fixture
def client(backend: Backend, queue: Queue) -> Callable[..., Any]:
    """Return a client of the application under a limit."""

    @asynccontextmanager
    async def make(limit: RequestLimit) -> AsyncIterator[httpx.AsyncClient]:
        rules = AdmissionRules(limit, overload=queue)
        app = create_api(backend, DOORS, admission=rules)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as made:
            yield made

    return make


@pytest.mark.parametrize("path", REQUESTS)
async def test_each_door_refuses_in_its_own_shape(
    path: str, full: RequestLimit, client: Callable[..., Any], metrics: Metrics
) -> None:
    """429 with Retry-After, counted; the request does not reach the core."""
    async with client(full) as asking:
        refused = await asking.post(path, json=REQUESTS[path])
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        error = refused.json()["error"]
        assert "ask again" in (error if isinstance(error, str) else error["message"])
        full.leave(CALLER)
        assert (await asking.post(path, json=REQUESTS[path])).status_code == 200
    assert "toxic_inference_refused_requests_total 1.0" in metrics.render().decode()


async def test_a_page_of_another_origin_can_read_a_refusal(backend: Backend, full: RequestLimit) -> None:
    """Without the headers of CORS, its script sees a broken network, and no time to wait."""
    page = "https://forum.example"
    admission = AdmissionRules(full, overload=Queue())
    app = create_api(backend, DOORS, admission=admission, cors_origins=[page])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as asking:
        refused = await asking.post("/predict", json={"text": "hello"}, headers={"origin": page})
    assert refused.status_code == 429
    assert refused.headers["access-control-allow-origin"] == page
    assert "retry-after" in refused.headers["access-control-expose-headers"]


@pytest.mark.parametrize("path", REQUESTS)
async def test_what_the_queue_would_refuse_is_not_read(
    path: str, limit: RequestLimit, queue: Queue, client: Callable[..., Any], core: FakeCore, metrics: Metrics
) -> None:
    """The queue's own error, before the body is looked at."""
    queue.error = OverloadedError("9 rows are waiting; ask again.", retry_after_seconds=6.4)
    async with client(limit) as asking:
        refused = await asking.post(path, content=b"no JSON")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
        assert "9 rows are waiting" in refused.text
        assert not core.lanes
        queue.error = None
        assert (await asking.post(path, json=REQUESTS[path])).status_code == 200
    assert "toxic_inference_refused_requests_total 1.0" in metrics.render().decode()


@pytest.mark.parametrize("named", ["versions/7", "labels/champion"])
async def test_a_version_that_is_named_has_a_queue_of_its_own(
    named: str, limit: RequestLimit, queue: Queue, client: Callable[..., Any]
) -> None:
    """The champion's queue does not limit another version."""
    queue.error = OverloadedError("9 rows are waiting; ask again.", retry_after_seconds=6.4)
    async with client(limit) as asking:
        path = f"/v1/models/toxic-comments/{named}:predict"
        answer = await asking.post(path, json=REQUESTS["/v1/models/toxic-comments:predict"])
        assert answer.status_code == 200


async def test_what_operators_and_files_need_is_never_refused(
    full: RequestLimit, queue: Queue, client: Callable[..., Any]
) -> None:
    """Health, metrics, pages, a file: they answer while scoring is refused."""
    queue.error = OverloadedError("9 rows are waiting; ask again.", retry_after_seconds=6.4)
    async with client(full) as asking:
        for path in ALWAYS:
            assert (await asking.get(path)).status_code == 200, path
        file = await asking.post("/predict", content="content\nhello\n", headers={"content-type": "text/csv"})
        assert file.status_code == 200


async def test_room_comes_back_however_a_request_ends(
    limit: RequestLimit, cpu: Meter, wall: Meter, client: Callable[..., Any], core: FakeCore, turn: Turn
) -> None:
    """Refused, failed or left by its caller: none stays counted."""
    serve(limit, (cpu, wall), count=200, cost=1.0)
    core.held = asyncio.Event()
    async with client(limit) as asking:

        async def ask() -> int:
            answer = await asking.post("/predict", json=REQUESTS["/predict"])
            return int(answer.status_code)

        calls = [asyncio.ensure_future(ask()) for _ in range(LEAST_REQUESTS)]
        await turn(lambda: len(core.lanes) == LEAST_REQUESTS)
        assert await ask() == 429
        calls[0].cancel()
        await asyncio.wait(calls[:1])
        core.held.set()
        assert await asyncio.gather(*calls[1:]) == [200] * (LEAST_REQUESTS - 1)
        core.error = InferenceError("no")
        assert {await ask() for _ in range(2 * LEAST_REQUESTS)} == {500}
        core.error = None
        assert await ask() == 200
