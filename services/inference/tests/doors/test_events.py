import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

import httpx
import pytest

from toxic_core.signing import TOLERANCE_SECONDS, sign
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.metrics import Metrics
from toxic_inference.webhooks import WebhookReceiver

pytestmark = pytest.mark.anyio

SECRET = "shared with the registry"
NOW = 1_790_000_000


class Registry:
    """Signs messages, and keeps the receiver's clock."""

    def __init__(self) -> None:
        self.now = NOW
        self.pokes = 0

    def poke(self) -> None:
        """Count."""
        self.pokes += 1

    def message(self, **changes: object) -> bytes:
        """Return the body of a message that champion moved."""
        data = {"name": "toxic-comments", "alias": "champion", "version": "2"}
        return json.dumps(
            {"entity": "model_version_alias", "action": "created", "data": data, **changes}
        ).encode()

    def headers(self, body: bytes, *, secret: str = SECRET, delivery_id: str = "d-1") -> Mapping[str, str]:
        """Sign it."""
        return sign(body, secret=secret, delivery_id=delivery_id, timestamp=self.now)


@pytest.fixture
def registry() -> Registry:
    """The sender."""
    return Registry()


@pytest.fixture
async def told(backend: Backend, metrics: Metrics, registry: Registry) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that shares a secret with the registry."""
    receiver = WebhookReceiver(
        model_name="toxic-comments",
        aliases=("champion", "challenger"),
        secret=SECRET,
        poke=registry.poke,
        now=lambda: registry.now,
        emit=metrics.emit,
    )
    app = create_api(replace(backend, webhooks=receiver), DOORS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client


async def test_a_signed_message_makes_the_service_ask_now(
    told: httpx.AsyncClient, registry: Registry, metric: Callable[..., float]
) -> None:
    """The poller is poked, and the message is counted."""
    body = registry.message()
    answer = await told.post("/events", content=body, headers=registry.headers(body))
    assert (answer.status_code, answer.content) == (204, b"")
    assert registry.pokes == 1
    assert metric("toxic_inference_events_total", outcome="accepted") == 1


async def test_a_message_counts_once(
    told: httpx.AsyncClient, registry: Registry, metric: Callable[..., float]
) -> None:
    """A retry or a replay is acknowledged without effect; a new message has one."""
    body = registry.message()
    headers = registry.headers(body)
    for seconds in (0, 1, TOLERANCE_SECONDS):
        registry.now = NOW + int(seconds)
        assert (await told.post("/events", content=body, headers=headers)).status_code == 204
    assert registry.pokes == 1
    assert metric("toxic_inference_events_total", outcome="replayed") == 2
    await told.post("/events", content=body, headers=registry.headers(body, delivery_id="d-2"))
    assert registry.pokes == 2


async def test_what_was_heard_is_forgotten_once_it_can_t_be_replayed(
    told: httpx.AsyncClient, registry: Registry
) -> None:
    """The same id long afterwards is another message: what is remembered doesn't grow for ever."""
    body = registry.message()
    for _ in range(2):
        await told.post("/events", content=body, headers=registry.headers(body))
        registry.now += int(2 * TOLERANCE_SECONDS) + 1
    assert registry.pokes == 2


@pytest.mark.parametrize(
    ("secret", "late", "appended"),
    [("another", 0, b""), (SECRET, TOLERANCE_SECONDS + 1, b""), (SECRET, 0, b" ")],
)
async def test_a_message_that_isn_t_the_registry_s_is_refused(
    told: httpx.AsyncClient,
    registry: Registry,
    metric: Callable[..., float],
    secret: str,
    late: float,
    appended: bytes,
) -> None:
    """Another secret, an old recording, a changed body: 403, and the registry is not asked."""
    body = registry.message()
    headers = registry.headers(body, secret=secret)
    registry.now += int(late)
    answer = await told.post("/events", content=body + appended, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "invalid_signature"
    assert registry.pokes == 0
    assert metric("toxic_inference_events_total", outcome="refused") == 1


async def test_an_unsigned_message_is_refused(told: httpx.AsyncClient, registry: Registry) -> None:
    """The header that is missing is named."""
    answer = await told.post("/events", content=registry.message())
    assert answer.status_code == 403
    assert "x-mlflow-delivery-id" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"name": "another", "alias": "champion"}},
        {"data": {"name": "toxic-comments", "alias": "previous"}},
        {"entity": "model_version"},
    ],
)
async def test_other_news_is_acknowledged_and_left(
    told: httpx.AsyncClient, registry: Registry, changes: dict[str, object]
) -> None:
    """MLflow's webhooks also report other models and entities, and aliases that are not served."""
    body = registry.message(**changes)
    assert (await told.post("/events", content=body, headers=registry.headers(body))).status_code == 204
    assert registry.pokes == 0


async def test_a_signed_body_that_is_no_event_is_refused(told: httpx.AsyncClient, registry: Registry) -> None:
    """A sender that signs another message has a bug."""
    body = b"[1]"
    answer = await told.post("/events", content=body, headers=registry.headers(body))
    assert answer.status_code == 422
    assert registry.pokes == 0


async def test_without_a_secret_the_route_says_so(client: httpx.AsyncClient, registry: Registry) -> None:
    """404, with the setting to turn."""
    body = registry.message()
    answer = await client.post("/events", content=body, headers=registry.headers(body))
    assert answer.status_code == 404
    assert "INFERENCE_EVENT_SECRET" in answer.json()["error"]["message"]
