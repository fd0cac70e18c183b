import asyncio
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from toxic_core.errors import ConfigurationError
from toxic_core.settings import name_faults
from toxic_inference import __version__
from toxic_inference.composition.otel import open_otel
from toxic_inference.doors.listing import DOORS
from toxic_inference.events import BatchRan, TracedRows
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.door import Doors
from toxic_inference.http.error_shapes import NATIVE
from toxic_inference.metrics import Metrics
from toxic_inference.otel.exporting import Otel
from toxic_inference.otel.settings import OtelSettings
from toxic_inference.serving.batching.scheduler import SchedulerResources
from toxic_inference.serving.scoring.service import ScoringLimits, ScoringService
from toxic_inference.serving.tracing import TRACE
from toxic_inference.serving.versions.harness import ActiveServable
from toxic_inference.threads import Threads
from toxic_testing.inference.collector import Collector, attributes, running_collector
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.fakes import EventLog, InlineExecutor, ManualClock

pytestmark = pytest.mark.anyio

TEXT = "A neighbourly word about marigolds"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = CALLER[:-1] + "0"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector."""
    with running_collector() as collector:
        yield collector


@pytest.fixture
def sampling() -> dict[str, Any]:
    """Settings of the sampler."""
    return {}


@pytest.fixture
def otel(collector: Collector, sampling: dict[str, Any]) -> Iterator[Otel]:
    """Traces to the collector; `close` sends them."""
    otel = Otel(OtelSettings(exporter_otlp_endpoint=collector.url, **sampling))
    yield otel
    otel.close()


@pytest.fixture
def scheduling(scheduling: SchedulerResources, otel: Otel, log: EventLog) -> SchedulerResources:
    """Resources of a scheduler whose events are traced."""
    return replace(scheduling, emit=both(otel, log))


def both(otel: Otel, log: EventLog) -> Callable[[Any], None]:
    """Return what passes events to the tracing and to the log."""

    def emit(event: Any) -> None:
        log(event)
        assert otel.tracing is not None
        otel.tracing.emit(event)

    return emit


@pytest.fixture
def traced(backend: Backend, otel: Otel, log: EventLog) -> Backend:
    """A backend over the fake core, whose requests are traced."""
    assert otel.tracing is not None
    return replace(backend, emit=both(otel, log), trace=otel.tracing.layer)


@pytest.fixture
async def client(
    traced: Backend,
    active_servable: ActiveServable,
    inline: InlineExecutor,
    clock: ManualClock,
    otel: Otel,
    log: EventLog,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application over the real core with a fake model."""
    scorer = ScoringService(
        lease=lambda _: nullcontext(active_servable),
        threads=Threads(inline),
        clock=clock,
        emit=both(otel, log),
        limits=ScoringLimits(windows=3, span_passes=18),
    )
    async with caller_of(replace(traced, scorer=scorer)) as client:
        yield client
    await active_servable.scheduler.close()


def caller_of(backend: Backend) -> httpx.AsyncClient:
    """Return a client of the application."""
    transport = httpx.ASGITransport(create_api(backend, DOORS), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://service")


async def predict(client: httpx.AsyncClient, *texts: str, **headers: str) -> httpx.Response:
    """Score texts in English."""
    body = {"texts": list(texts), "language": "en"}
    answer = await client.post("/predict", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_request_is_a_trace_of_its_steps(
    client: httpx.AsyncClient, otel: Otel, collector: Collector
) -> None:
    """Request, tokenisation, queue; and the batch, linked both ways, with its computation."""
    answer = await predict(client, TEXT, traceparent=CALLER)
    otel.close()
    assert sorted(span.name for span in collector.spans) == [
        "POST /predict",
        "batch",
        "compute",
        "queue",
        "tokenise",
    ]
    by_name = {span.name: span for span in collector.spans}
    request, batch = by_name["POST /predict"], by_name["batch"]
    _, trace_id, parent_id, _ = CALLER.split("-")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (trace_id, parent_id)
    assert request.kind == request.SPAN_KIND_SERVER
    assert answer.headers["traceparent"].split("-")[1:3] == [trace_id, request.span_id.hex()]
    assert attributes(request.attributes) == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "toxic.door": "native",
        "toxic.model.version": "1",
    }
    for step in (by_name["tokenise"], by_name["queue"]):
        assert (step.trace_id, step.parent_span_id) == (request.trace_id, request.span_id)
        assert attributes(step.attributes)["toxic.model.version"] == "1"
    assert [(link.trace_id, link.span_id) for link in batch.links] == [(request.trace_id, request.span_id)]
    assert [link.span_id for link in by_name["queue"].links] == [batch.span_id]
    assert not batch.parent_span_id
    assert batch.trace_id != request.trace_id
    assert by_name["compute"].parent_span_id == batch.span_id
    assert {resource["service.name"] for resource in collector.resources} == {"toxic-inference"}


async def test_a_batch_links_to_every_request_whose_rows_it_computes(
    client: httpx.AsyncClient, otel: Otel, collector: Collector
) -> None:
    """Two requests at once are one batch with two links."""
    await asyncio.gather(predict(client, "One text"), predict(client, "Two text", "Three text"))
    otel.close()
    (batch,) = collector.named("batch")
    requests = {span.span_id for span in collector.named("POST /predict")}
    assert {link.span_id for link in batch.links} == requests
    assert len(requests) == 2
    assert attributes(batch.attributes)["toxic.rows"] == 3
    assert sorted(attributes(span.attributes)["toxic.rows"] for span in collector.named("queue")) == [1, 2]


@pytest.mark.parametrize("sampling", [{"traces_sampler": "traceidratio", "traces_sampler_arg": 0.0}])
async def test_a_request_that_is_not_sampled_has_no_spans_but_a_context(
    client: httpx.AsyncClient, otel: Otel, collector: Collector
) -> None:
    """Its id continues in the answer, without the flag; `traceidratio` ignores the caller's flag."""
    answer = await predict(client, TEXT, traceparent=CALLER)
    otel.close()
    assert collector.spans == []
    _, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert trace_id == CALLER.split("-")[1]
    assert span_id != CALLER.split("-")[2]
    assert int(flags, 16) & 1 == 0


async def test_by_default_the_caller_decides(
    client: httpx.AsyncClient, otel: Otel, collector: Collector
) -> None:
    """A caller that doesn't sample its trace isn't traced here either."""
    await predict(client, "One text", traceparent=UNSAMPLED)
    await predict(client, "Two text", traceparent="00-nonsense")
    otel.close()
    (request,) = collector.named("POST /predict")
    assert not request.parent_span_id


@pytest.mark.parametrize("sampling", [{"traces_sampler": "traceidratio", "traces_sampler_arg": 0.5}])
async def test_a_share_of_the_requests_is_sampled_with_its_batches(
    client: httpx.AsyncClient, otel: Otel, collector: Collector
) -> None:
    """A sampled request has all of its steps; the ids of callers decide, so the same half each time."""
    for number in range(1, 16):  # the id 0 is invalid
        trace_id = f"{number:016x}{number << 60:016x}"
        await predict(client, f"Text number {number}", traceparent=f"00-{trace_id}-b7ad6b7169203331-00")
    otel.close()
    requests = collector.named("POST /predict")
    assert len(requests) == 7
    linked = [link.span_id for batch in collector.named("batch") for link in batch.links]
    assert sorted(linked) == sorted(span.span_id for span in requests)
    assert len(collector.named("compute")) == len(collector.named("tokenise")) == len(requests)


async def test_no_text_no_key_and_no_baggage_leave_the_service(
    client: httpx.AsyncClient, traced: Backend, core: FakeCore, otel: Otel, collector: Collector
) -> None:
    """Neither in attributes nor in errors: a message could quote what the caller sent."""
    word = TEXT.rsplit(maxsplit=1)[-1]
    await predict(client, TEXT, baggage=f"comment={word}", **{"x-api-key": "secret-key"})
    await client.post("/predict", content=f'{{"texts": "{TEXT}"'.encode())
    await client.get(f"/{word}?key=secret-key&text={TEXT}")
    core.error = ValueError(f"can't read {TEXT!r}")
    async with caller_of(traced) as failing:
        assert (await failing.post("/predict", json={"texts": [TEXT]})).status_code == 500
    otel.close()
    sent = b"".join(collector.bodies).lower()
    for word in (*TEXT.lower().split()[2:], "secret-key", "baggage", "can't read"):
        assert word.encode() not in sent
    failed = [span for span in collector.spans if span.status.code == span.status.STATUS_CODE_ERROR]
    assert [attributes(span.attributes)["error.type"] for span in failed] == ["500"]
    assert not failed[0].events
    assert not failed[0].status.message
    assert "GET unmatched" in {span.name for span in collector.spans}


async def test_a_context_that_cannot_be_used_is_not_logged(
    client: httpx.AsyncClient, otel: Otel, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the caller's: each request could fill the log with what it likes."""
    await predict(client, "One text", traceparent=CALLER, tracestate="a=1,marigolds are no member")
    await predict(client, "Two text", traceparent=CALLER, tracestate="marigolds" * 1_000)
    await predict(client, "Three text", traceparent=CALLER * 20)
    otel.close()
    assert len(collector.named("POST /predict")) == 3
    assert not [line for line in caplog.records if line.name.startswith("opentelemetry")]


async def test_a_batch_that_outlives_its_request_is_traced(
    otel: Otel, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    """A caller may leave meanwhile; its span has ended, and nothing is logged for it."""
    found: list[object] = []

    async def app(*_: object) -> None:
        found.append(TRACE.get())

    assert otel.tracing is not None
    layer: Any = otel.tracing.layer(app, doors=Doors(DOORS, fallback=NATIVE))
    await layer({"type": "http", "path": "/predict", "headers": []}, None, None)
    otel.tracing.emit(
        BatchRan(
            version="1",
            rows=1,
            tokens=3,
            padded_tokens=3,
            compute_seconds=0.1,
            longest_wait_seconds=0.1,
            traced=[TracedRows(found[0], 1, waited_seconds=0.1, seconds=0.2)],
        )
    )
    otel.close()
    assert sorted(span.name for span in collector.spans) == ["batch", "compute", "queue", "request"]
    assert not caplog.records


async def test_health_and_metrics_are_not_traced(
    client: httpx.AsyncClient, otel: Otel, collector: Collector
) -> None:
    """Probes and scrapes come every few seconds."""
    for path in ("/health/live", "/health/ready", "/metrics", "/v2/health/live"):
        assert "traceparent" not in (await client.get(path)).headers
    otel.close()
    assert collector.spans == []


async def test_log_lines_have_the_ids(client: httpx.AsyncClient) -> None:
    """A line of the log leads to the trace, and the next request's lines to another."""
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        answers = [await predict(client, f"Text number {number}") for number in range(2)]
    ended = [line for line in lines if line["event"] == "request.ended"]
    ids = [(line["trace_id"], line["span_id"]) for line in ended]
    assert ids == [tuple(answer.headers["traceparent"].split("-")[1:3]) for answer in answers]
    assert "trace_id" not in structlog.contextvars.get_contextvars()


async def test_a_large_upload_has_a_bounded_number_of_spans(
    client: httpx.AsyncClient, otel: Otel, collector: Collector
) -> None:
    """A file of any size is one request."""
    rows = "\n".join(f"row number {number}" for number in range(1_200))
    answer = await client.post("/predict", files={"file": ("c.csv", f"text\n{rows}\n".encode())})
    assert answer.json()["scored"] == 1_200
    otel.close()
    below = [span for span in collector.spans if span.name in {"tokenise", "queue"}]
    assert len(below) == 64
    assert len(collector.named("batch")) <= 64


async def test_metrics_arrive_as_on_the_metrics_page(
    metrics: Metrics, client: httpx.AsyncClient, otel: Otel, collector: Collector, log: EventLog
) -> None:
    """Counters, gauges and histograms with the names and labels of Prometheus."""
    await predict(client, "One text", "Two text")
    for event in log.events:
        metrics.emit(event)
    assert otel.export_metrics(metrics.registry) is not None
    otel.close()
    tokenised = collector.metrics["toxic_inference_tokenised_texts"].sum
    assert tokenised.is_monotonic
    (point,) = tokenised.data_points
    assert (attributes(point.attributes), point.as_double) == ({"version": "1"}, 2.0)
    rows = collector.metrics["toxic_inference_batch_rows"].histogram
    (histogram,) = rows.data_points
    assert (histogram.count, histogram.sum, sum(histogram.bucket_counts)) == (1, 2.0, 1)
    assert len(histogram.bucket_counts) == len(histogram.explicit_bounds) + 1
    assert collector.metrics["toxic_inference_queue_rows"].gauge.data_points[0].as_double == 0.0


async def test_a_collector_that_is_gone_costs_a_log_line_and_no_answer(
    client: httpx.AsyncClient, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests are answered; the outage is logged once, and its end; the stop waits for a bounded time."""
    settings = OtelSettings(exporter_otlp_endpoint=collector.url, traces_exporter="none")
    otel = Otel(settings, stop_seconds=0.2)
    export = otel.export_metrics(CollectorRegistry())
    assert export is not None
    collector.status = 400
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            export.deliver(export.figures.read())
        collector.status = 200
        export.deliver(export.figures.read())
    assert [line["event"] for line in lines] == ["otel.not_delivered", "otel.delivered"]
    assert len([line for line in caplog.records if line.name.startswith("opentelemetry")]) == 1
    collector.status = 503  # the exporter waits and tries again
    with structlog.testing.capture_logs() as lines:
        otel.close()
    assert [line["event"] for line in lines] == ["otel.not_flushed"]
    await predict(client, TEXT)
    collector.status = 200


async def test_a_collector_that_never_answers_does_not_keep_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process ends though an export is in progress; there is one at a time."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = OtelSettings(exporter_otlp_endpoint=url, traces_exporter="none", metric_export_interval=1)
        otel = Otel(settings, stop_seconds=0.1)
        export = otel.export_metrics(CollectorRegistry())
        assert export is not None
        running = asyncio.create_task(export.run())
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.wait([running])
        sending = [thread for thread in threading.enumerate() if thread.name.startswith("otel")]
        otel.close()
    assert [thread.daemon for thread in sending] == [True]


async def test_metrics_are_sent_at_an_interval(metrics: Metrics, collector: Collector) -> None:
    """As long as the service runs."""
    settings = OtelSettings(
        exporter_otlp_endpoint=collector.url, traces_exporter="none", metric_export_interval=10
    )
    otel = Otel(settings)
    assert otel.tracing is None
    export = otel.export_metrics(metrics.registry)
    assert export is not None
    running = asyncio.create_task(export.run())
    await asyncio.to_thread(collector.wait_for_requests, 2)
    running.cancel()
    await asyncio.wait([running])
    otel.close()
    assert "toxic_inference_queue_rows" in collector.metrics


@pytest.mark.parametrize(
    ("variables", "traces", "metrics"),
    [
        ({}, None, None),
        ({"endpoint": ""}, None, None),
        ({"endpoint": "http://c:4318/"}, "http://c:4318/v1/traces", "http://c:4318/v1/metrics"),
        (
            {"endpoint": "https://c/otlp", "traces_endpoint": "http://t/x"},
            "http://t/x",
            "https://c/otlp/v1/metrics",
        ),
    ],
)
def test_an_endpoint_turns_it_on(
    variables: dict[str, str], traces: str | None, metrics: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one, it is off; an empty variable is none."""
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name.upper()}", value)
    settings = OtelSettings()
    assert (settings.endpoint("traces"), settings.endpoint("metrics")) == (traces, metrics)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert OtelSettings().endpoint("traces") is None
    assert OtelSettings().endpoint("metrics") == metrics
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert OtelSettings().endpoint("metrics") is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("EXPORTER_OTLP_TRACES_ENDPOINT", "http://"),
        ("EXPORTER_OTLP_METRICS_ENDPOINT", "http://name:secret@collector:4318"),
        ("EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("TRACES_SAMPLER", "sometimes"),
        ("TRACES_SAMPLER_ARG", "1.5"),
        ("TRACES_EXPORTER", "console"),
    ],
)
def test_a_value_that_cannot_be_used_is_an_error(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by its variable at the start."""
    monkeypatch.setenv(f"OTEL_{variable}", value)
    with pytest.raises(ValidationError) as raised:
        OtelSettings()
    assert name_faults(raised.value, prefix="OTEL_").startswith(f"OTEL_{variable}: ")


@pytest.mark.parametrize("variable", ["ATTRIBUTE_COUNT_LIMIT", "BSP_MAX_EXPORT_BATCH_SIZE"])
def test_a_value_that_the_sdk_cannot_use_is_an_error(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those that the service reads."""
    monkeypatch.setenv(f"OTEL_{variable}", "-1")
    with pytest.raises(ConfigurationError, match="OTEL_"):
        open_otel(OtelSettings(exporter_otlp_endpoint="http://127.0.0.1:4318"))


def test_without_the_packages_an_endpoint_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the extra; without an endpoint they aren't imported."""
    monkeypatch.delitem(sys.modules, "toxic_inference.otel.exporting")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert open_otel(OtelSettings()) is None
    with pytest.raises(ConfigurationError, match=r"toxic-inference\[otel\]"):
        open_otel(OtelSettings(exporter_otlp_endpoint="http://127.0.0.1:4318"))


@pytest.mark.parametrize("variable", ["service_name", "resource_attributes"])
async def test_the_service_has_a_name_and_a_version(
    variable: str, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard variables change the name, and add attributes."""
    value = {"service_name": "other", "resource_attributes": "service.name=other,deployment=test"}[variable]
    monkeypatch.setenv(f"OTEL_{variable.upper()}", value)
    otel = Otel(OtelSettings(exporter_otlp_endpoint=collector.url))
    otel.export_metrics(CollectorRegistry())
    otel.close()
    (resource,) = collector.resources
    assert (resource["service.name"], resource["service.version"]) == ("other", __version__)


def test_a_download_on_other_threads_has_its_context(otel: Otel) -> None:
    """MLflow fetches files on threads of its own, also while the registry is polled."""
    assert otel.tracing is not None
    with ThreadPoolExecutor(1) as other, otel.tracing.calling("registry.download"):
        download = dict(otel.tracing.headers())
        with otel.tracing.calling("registry.poll"):
            assert otel.tracing.headers() != download
            assert other.submit(otel.tracing.headers).result() == download
    assert download.keys() == {"traceparent"}
    assert otel.tracing.headers() == {}
