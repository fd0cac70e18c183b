"""A collector in the test's process: an HTTP server that decodes OTLP's protobuf."""

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_WAIT_SECONDS = 20.0


class Collector:
    """What was received.

    Attributes:
        url: the address, as OTEL_EXPORTER_OTLP_ENDPOINT.
        status: what requests are answered with.
        requests: how many came.
        spans: in the order of their arrival.
        metrics: the latest of each name.
        resources: attributes of each message's source.
        bodies: as they came, decompressed.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.status = 200
        self.requests = 0
        self.spans: list[Span] = []
        self.metrics: dict[str, Metric] = {}
        self.resources: list[dict[str, str | int | bool | float]] = []
        self.bodies: list[bytes] = []
        self._changed = Condition()

    def take(self, path: str, body: bytes) -> None:
        """Decode a message."""
        with self._changed:
            self.requests += 1
            if self.status == 200:
                self.bodies.append(body)
                if path == "/v1/traces":
                    for traced in ExportTraceServiceRequest.FromString(body).resource_spans:
                        self.resources.append(attributes(traced.resource.attributes))
                        self.spans += [span for scope in traced.scope_spans for span in scope.spans]
                elif path == "/v1/metrics":
                    for measured in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                        self.resources.append(attributes(measured.resource.attributes))
                        scopes = measured.scope_metrics
                        self.metrics |= {metric.name: metric for scope in scopes for metric in scope.metrics}
            self._changed.notify_all()

    def wait_for_requests(self, number: int) -> None:
        """Return once so many messages came."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.requests >= number, _WAIT_SECONDS)

    def named(self, name: str) -> list[Span]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]


def attributes(found: Iterable[KeyValue]) -> dict[str, str | int | bool | float]:
    """Return attributes by name."""
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in found}


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Run a collector on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(self.path, body)
            self.send_response(collector.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(server.server_address[1])
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
