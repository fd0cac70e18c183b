"""The operators' routes: health and metrics.

Invariant: `/health/live` answers as long as the event loop turns; `/health/ready` only while a text would be
scored.
"""

from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response

from toxic_inference.http.backend import Doors
from toxic_inference.http.body import JSON_TYPE
from toxic_inference.http.schemas import Health


def operations_router(doors: Doors, *, render_metrics: Callable[[], bytes]) -> APIRouter:
    """Return the health and metrics routes."""
    router = APIRouter(tags=["operations"])

    @router.get("/health/live", summary="Is the process alive?", response_model=Health)
    async def live() -> Response:
        """Always 200 while the process can answer at all."""
        return _health(Health(status="live"), HTTPStatus.OK)

    @router.get(
        "/health/ready",
        summary="Can texts be scored?",
        response_model=Health,
        responses={503: {"model": Health, "description": "No version is available yet."}},
    )
    async def ready() -> Response:
        """200 once a version answers; 503 before, with what is in the way."""
        if not doors.status.ready:
            return _health(_not_ready(doors), HTTPStatus.SERVICE_UNAVAILABLE)
        version = next((s.version for s in doors.status.statuses() if doors.default_alias in s.aliases), None)
        health = Health(status="ready", model_name=doors.model_name, model_version=version)
        return _health(health, HTTPStatus.OK)

    @router.get("/metrics", summary="Prometheus metrics")
    async def metrics() -> Response:
        """Every metric in Prometheus's text format."""
        return Response(render_metrics(), media_type=CONTENT_TYPE_LATEST)

    return router


def _not_ready(doors: Doors) -> Health:
    statuses = doors.status.statuses()
    failed = [f"version {s.version}: {s.error}" for s in statuses if s.error is not None]
    if failed:
        detail = "; ".join(failed)
    elif doors.status.source_error is not None:
        detail = str(doors.status.source_error)
    elif statuses:
        detail = ", ".join(f"version {s.version} is {s.state}" for s in statuses)
    else:
        detail = f"Nothing to serve yet: no version of {doors.model_name!r} is {doors.default_alias!r}."
    return Health(status="not_ready", model_name=doors.model_name, detail=detail)


def _health(health: Health, status: HTTPStatus) -> Response:
    return Response(health.model_dump_json(exclude_none=True), status_code=status, media_type=JSON_TYPE)
