"""Spans of requests, batches and calls of the registry, from events and the trace context of callers.

    POST /predict          the request; its parent is the caller's span
    ├─ tokenise
    └─ queue               until a batch begins; linked to that batch
    batch                  a trace of its own, linked to the requests whose rows it computes
    └─ compute

Invariants: a span has facts and counts, never a text, a header, an address or an error's message. A request
that isn't sampled makes no span object beyond its own. Used from the event loop's thread, except `calling`.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toxic_inference.events import BatchRan, Event, RequestEnded, TextsTokenised
from toxic_inference.http.door import Doors
from toxic_inference.http.terms import BULK
from toxic_inference.serving.tracing import TRACE

DOWNLOAD = "registry.download"
"""Name of the span of a version's download; there is one at a time."""
TRACEPARENT = "traceparent"
_TRACESTATE = "tracestate"
_MOST_SPANS = 64
"""Most spans below one request: an upload of a million rows is computed in thousands of batches."""
_ERRORS = 500
_ROOT = Context()
_PROPAGATOR = TraceContextTextMapPropagator()
_PARSERS = ("opentelemetry.trace.propagation.tracecontext", "opentelemetry.trace.span")
"""Loggers of what reads callers' headers."""


class FollowingSampler(Sampler):
    """Samples what belongs to a sampled request, and asks another sampler about requests.

    A batch has links, and no parent; a sampler by ratio would leave out most batches of sampled requests.
    """

    def __init__(self, requests: Sampler) -> None:
        self._requests = requests

    def should_sample(  # noqa: PLR0917  the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,  # noqa: ARG002  as above
    ) -> SamplingResult:
        """Return the decision about a span."""
        parent = get_current_span(parent_context).get_span_context()
        if links or (parent.is_valid and not parent.is_remote):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, parent.trace_state)
        return self._requests.should_sample(parent_context, trace_id, name, kind, attributes, links)

    def get_description(self) -> str:
        """Return a description for the SDK's log."""
        return f"Following{{{self._requests.get_description()}}}"


@dataclass(eq=False, slots=True)
class _Request:
    """A sampled request; the value of `TRACE`."""

    span: Span
    context: Context
    spans_left: int = _MOST_SPANS


class Tracing:
    """Makes the spans of a tracer.

    Args:
        tracer: samples by a `FollowingSampler`.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._calls: dict[str, Context] = {}
        for name in _PARSERS:
            # They would quote a header that can't be used, which is a caller's, at each request.
            logging.getLogger(name).setLevel(logging.ERROR)

    def layer(self, app: ASGIApp, *, doors: Doors) -> ASGIApp:
        """Return the application with a span around each request, except for health and metrics.

        The answer's header `traceparent` and the log's `trace_id` and `span_id` name the span.
        """
        tracer, probes = self._tracer, doors.probes

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            # A part of a larger request belongs to that request's span.
            if scope["type"] != "http" or scope["path"] in probes or BULK in scope:
                await app(scope, receive, send)
                return
            span = tracer.start_span("request", context=_parent_of(scope), kind=SpanKind.SERVER)
            context = span.get_span_context()
            trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
            header = TRACEPARENT.encode(), f"00-{trace_id}-{span_id}-{context.trace_flags:02x}".encode()

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message.get("headers", ()), header]
                await send(message)

            recorded = span.is_recording()
            token = TRACE.set(_Request(span, set_span_in_context(span, _ROOT)) if recorded else None)
            try:
                with structlog.contextvars.bound_contextvars(trace_id=trace_id, span_id=span_id):
                    await app(scope, receive, sending)
            except BaseException as error:
                _failed(span, type(error).__name__)
                raise
            finally:
                TRACE.reset(token)
                span.end()

        return traced

    def emit(self, event: Event) -> None:
        """Take an event in; implements `Emit`."""
        if isinstance(event, BatchRan):
            if event.traced:
                self._ran(event)
        elif isinstance(event, TextsTokenised | RequestEnded) and isinstance(
            request := TRACE.get(), _Request
        ):
            if isinstance(event, RequestEnded):
                _describe(request.span, event)
            else:
                self._tokenised(request, event)

    @contextmanager
    def calling(self, name: str) -> Iterator[None]:
        """Trace a call of the registry on the calling thread; a failed one has the error's type."""
        span = self._tracer.start_span(name, context=_ROOT, kind=SpanKind.CLIENT)
        context = set_span_in_context(span, _ROOT)
        token = attach(context)
        self._calls[name] = context
        try:
            yield
        except Exception as error:
            _failed(span, type(error).__name__)
            raise
        finally:
            del self._calls[name]
            detach(token)
            span.end()

    def headers(self) -> Mapping[str, str]:
        """Return the headers of a request to the registry."""
        carrier: dict[str, str] = {}
        # MLflow downloads files on threads of its own, which have no context.
        own = get_current_span().get_span_context().is_valid
        _PROPAGATOR.inject(carrier, get_current() if own else self._calls.get(DOWNLOAD, _ROOT))
        return carrier

    def _tokenised(self, request: _Request, event: TextsTokenised) -> None:
        now = time.time_ns()
        request.span.set_attribute("toxic.model.version", event.version)
        self._below(
            request,
            "tokenise",
            began=now - _nanoseconds(event.seconds),
            ended=now,
            attributes={
                "toxic.model.version": event.version,
                "toxic.texts": event.texts,
                "toxic.windows": event.windows,
                "toxic.tokens": event.tokens,
            },
        )

    def _ran(self, event: BatchRan) -> None:
        now, version = time.time_ns(), {"toxic.model.version": event.version}
        found = [(rows, rows.trace) for rows in event.traced if isinstance(rows.trace, _Request)]
        for _, request in found:
            if request.span.is_recording():  # it has ended if the caller has left
                request.span.set_attributes(version)
        waits = [(rows, request) for rows, request in found if request.spans_left > 0]
        if not waits:
            return
        took = event.traced[0].seconds - event.traced[0].waited_seconds
        requests = dict.fromkeys(request for _, request in waits)
        counts = {"rows": event.rows, "tokens": event.tokens, "padding_tokens": event.padding_tokens}
        batch = self._tracer.start_span(
            "batch",
            context=_ROOT,
            links=[Link(request.span.get_span_context()) for request in requests],
            # A prefetched batch may begin before its turn.
            start_time=now - _nanoseconds(max(took, event.compute_seconds)),
            attributes=version | {f"toxic.{name}": count for name, count in counts.items()},
        )
        self._tracer.start_span(
            "compute",
            context=set_span_in_context(batch, _ROOT),
            start_time=now - _nanoseconds(event.compute_seconds),
            attributes=version,
        ).end(now)
        batch.end(now)
        for rows, request in waits:
            self._below(
                request,
                "queue",
                began=now - _nanoseconds(rows.seconds),
                ended=now - _nanoseconds(rows.seconds - rows.waited_seconds),
                attributes={**version, "toxic.rows": rows.rows},
                links=[Link(batch.get_span_context())],
            )

    def _below(
        self,
        request: _Request,
        name: str,
        *,
        began: int,
        ended: int,
        attributes: Mapping[str, str | int],
        links: Sequence[Link] = (),
    ) -> None:
        """Make a span of a request that ended, unless the request has too many already."""
        request.spans_left -= 1
        if request.spans_left >= 0:
            self._tracer.start_span(
                name, context=request.context, start_time=began, attributes=attributes, links=links
            ).end(ended)


def _parent_of(scope: Scope) -> Context:
    """Return the caller's trace context, without its baggage; empty if it sends none or several."""
    found = [value for name, value in scope["headers"] if name == b"traceparent"]
    if len(found) != 1:
        return _ROOT
    states = [value.decode("latin-1") for name, value in scope["headers"] if name == b"tracestate"]
    carrier = {TRACEPARENT: found[0].decode("latin-1"), _TRACESTATE: ",".join(states)}
    return _PROPAGATOR.extract(carrier, _ROOT)


def _describe(span: Span, ended: RequestEnded) -> None:
    span.update_name(f"{ended.method} {ended.route}")
    span.set_attributes(
        {
            "http.request.method": ended.method,
            "http.route": ended.route,
            "http.response.status_code": ended.status,
            "toxic.door": ended.door,
        }
    )
    if ended.status >= _ERRORS:
        _failed(span, str(ended.status))


def _failed(span: Span, error_type: str) -> None:
    # Without a description: a message may quote what the caller sent.
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", error_type)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
