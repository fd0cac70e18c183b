from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from toxic_inference.http.backend import Backend
from toxic_inference.otel.exporting import Otel
from toxic_inference.otel.settings import OtelSettings
from toxic_testing.inference.collector import Collector, attributes, running_collector

pytestmark = pytest.mark.anyio

METHOD = "inference.GRPCInferenceService/ServerMetadata"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector."""
    with running_collector() as collector:
        yield collector


@pytest.fixture
def otel(collector: Collector) -> Iterator[Otel]:
    """Traces to the collector; `close` sends them."""
    otel = Otel(OtelSettings(exporter_otlp_endpoint=collector.url))
    yield otel
    otel.close()


@pytest.fixture
def backend(backend: Backend, otel: Otel) -> Backend:
    """A backend whose requests are traced."""
    assert otel.tracing is not None
    return replace(backend, emit=otel.tracing.emit, trace=otel.tracing.layer)


async def test_a_call_continues_the_trace_of_its_metadata(
    caller: Any, otel: Otel, collector: Collector
) -> None:
    """The context is in the metadata of the call and in those of the answer; probes have no span."""
    call = caller.call(METHOD, traceparent=f"00-{TRACE_ID}-b7ad6b7169203331-01")
    await call
    await caller.call("inference.GRPCInferenceService/ServerLive")
    answered = dict(await call.trailing_metadata())
    otel.close()
    (span,) = collector.spans
    assert (span.name, span.trace_id.hex()) == (f"POST /{METHOD}", TRACE_ID)
    assert answered["traceparent"].split("-")[1:3] == [TRACE_ID, span.span_id.hex()]
    assert attributes(span.attributes)["http.response.status_code"] == 200
