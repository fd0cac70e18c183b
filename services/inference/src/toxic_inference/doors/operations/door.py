"""The operators' routes: health, metrics, and the traffic as counts.

Invariant: `/health/live` answers while the event loop runs; `/health/ready` succeeds only while a text would
be scored. No answer has a text.
"""

from http import HTTPStatus

from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.contract.reference import RecentTraffic
from toxic_inference.http.backend import Backend
from toxic_inference.http.door import Access, Door, Operation, json_response
from toxic_inference.http.error_shapes import NATIVE


class Health(BaseModel):
    """Whether the service can answer."""

    status: str
    model_name: str | None = None
    model_version: str | None = None
    detail: str | None = None


class Traffic(RecentTraffic):
    """The champion's texts of the last 24 hours, as counts."""


async def live(_: Request, __: Backend) -> Response:
    """Is the process alive? Always 200 while it can answer."""
    return json_response(Health(status="live"))


async def ready(_: Request, backend: Backend) -> Response:
    """Can texts be scored? 200 once a version answers; 503 before, with the reason."""
    statuses = backend.statuses()
    if backend.ready():
        health = Health(
            status="ready", model_name=backend.model_name, model_version=_answering_version(backend)
        )
        return json_response(health)
    failed = [f"version {s.version}: {s.error}" for s in statuses if s.error is not None]
    if failed:
        detail = "; ".join(failed)
    elif (error := backend.source_error()) is not None:
        detail = str(error)
    elif statuses:
        detail = ", ".join(f"version {s.version} is {s.state}" for s in statuses)
    else:
        detail = f"Nothing to serve yet: no version of {backend.model_name!r} is {backend.default_alias!r}."
    health = Health(status="not_ready", model_name=backend.model_name, detail=detail)
    return json_response(health, HTTPStatus.SERVICE_UNAVAILABLE)


async def metrics(_: Request, backend: Backend) -> Response:
    """Every metric in Prometheus's text format."""
    return Response(backend.render_metrics(), media_type=CONTENT_TYPE_LATEST)


async def traffic(_: Request, backend: Backend) -> Response:
    """Describe the texts that the champion scored in the last 24 hours, as counts.

    Training weights the reference of the next version to them. 204 if they are fewer than
    `INFERENCE_MONITOR_MIN_TEXTS`, or if metrics are off. Each replica counts its own share.
    """
    version = _answering_version(backend)
    found = backend.traffic(version) if version else None
    if found is None:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return json_response(Traffic(**dict(found)))


def _answering_version(backend: Backend) -> str | None:
    return next((s.version for s in backend.statuses() if backend.default_alias in s.aliases), None)


_METRICS = 'toxic_inference_requests_total{door="native",route="/predict",method="POST",status="200"} 12.0\n'

OPERATIONS = Door(
    name="operations",
    title="operations",
    clients="load balancers, Kubernetes, Prometheus, training",
    prefixes=("/health/", "/metrics", "/traffic"),
    errors=NATIVE,
    operations=(
        *(
            Operation("GET", path, handler, access=Access.OPEN, probe=True, answers=answers)
            for path, handler, answers in (
                ("/health/live", live, {200: Health}),
                ("/health/ready", ready, {200: Health, 503: Health}),
                ("/metrics", metrics, {200: {"text/plain": _METRICS}}),
            )
        ),
        Operation("GET", "/traffic", traffic, access=Access.OPERATOR, answers={200: Traffic, 204: None}),
    ),
)
