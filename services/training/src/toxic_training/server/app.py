"""Kedro's HTTP server, with `/run` replaced and with routes that start, show and stop runs.

Invariant: `/health`, `/snapshot` and the request's fields are Kedro's own. SIGTERM and SIGINT stop the run
under way first, so that a waiting client gets its answer. Headers, bodies and silent connections have limits.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import Annotated

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kedro.framework.project import settings as project
from kedro.framework.startup import bootstrap_project
from kedro.server import create_http_server
from kedro.server.models import RunRequest
from pydantic_core import PydanticSerializationError

from toxic_core.errors import RunInProgressError, ToxicError
from toxic_core.http.body_limit import BodyLimitMiddleware
from toxic_core.http.limits import HttpLimits, most_connections
from toxic_core.http.protocol import limited
from toxic_core.logging import configure_logging
from toxic_training.kedro_project.process import PROJECT
from toxic_training.retraining.alerts import Notification
from toxic_training.server.answers import AlertAnswer, Problem, ProblemAnswer, RunAnswer
from toxic_training.server.composition import Parts, compose, pipelines_of
from toxic_training.server.guard import PROBES, Guard, is_bearer
from toxic_training.server.launcher import launch_child
from toxic_training.server.metrics import CONTENT_TYPE
from toxic_training.server.runs import RunManager, RunRecord, UnknownRunError
from toxic_training.server.settings import Settings

_ANSWER_SECONDS = 1.0
"""Time for the last answers after the run has ended."""
_MAX_BODY_BYTES = 1024 * 1024
_MOST_CONNECTIONS = 256
_MOST_ERRORS = 10
"""Errors of a body that are listed."""


class AlertsDisabledError(ToxicError):
    """No token is configured to check notifications with."""


class UnusableRequestError(ToxicError):
    """The request has text that can't be written, such as half of a surrogate pair."""


class WrongTokenError(ToxicError):
    """The notification doesn't carry the token."""


_PROBLEMS: dict[type[Exception], tuple[HTTPStatus, str]] = {
    RunInProgressError: (HTTPStatus.CONFLICT, "run_in_progress"),
    UnknownRunError: (HTTPStatus.NOT_FOUND, "unknown_run"),
    AlertsDisabledError: (HTTPStatus.NOT_FOUND, "alerts_disabled"),
    UnusableRequestError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request"),
    WrongTokenError: (HTTPStatus.UNAUTHORIZED, "wrong_token"),
}
"""Each error's status and code."""


def create_app(settings: Settings, parts: Parts) -> FastAPI:
    """Return Kedro's server with our routes; its shutdown stops the run under way."""
    app: FastAPI = create_http_server(project_path=PROJECT, env=settings.env)
    app.title = "Training"
    app.router.routes = [route for route in app.router.routes if getattr(route, "path", "") != "/run"]
    add_routes(app, settings, parts)
    add_limits(app, settings)
    kedro_lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(inner: FastAPI) -> AsyncIterator[None]:
        async with kedro_lifespan(inner):
            yield
            await parts.runs.close()

    app.router.lifespan_context = lifespan
    return app


def add_limits(app: FastAPI, settings: Settings) -> None:
    """Refuse foreign pages and hosts, requests without the token, and bodies that are too large."""
    app.add_middleware(BodyLimitMiddleware, limit=lambda _: _MAX_BODY_BYTES)
    app.add_middleware(Guard, settings=settings)  # the outermost


def add_routes(app: FastAPI, settings: Settings, parts: Parts) -> None:
    """Add the routes about runs and alerts, and answer their errors in one shape."""
    app.include_router(_run_routes(parts.runs, mlflow_page=settings.mlflow_page))
    app.include_router(_watching_routes(settings, parts))

    async def answer(_: Request, error: Exception) -> JSONResponse:
        status, code = _PROBLEMS[type(error)]
        run = None
        if isinstance(error, RunInProgressError) and error.run_id is not None:
            run = RunAnswer.of(parts.runs.get(error.run_id), mlflow_page=settings.mlflow_page)
        problem = ProblemAnswer(error=Problem(code=code, message=str(error)), run=run)
        return JSONResponse(problem.model_dump(mode="json"), status_code=status)

    for kind in _PROBLEMS:
        app.add_exception_handler(kind, answer)

    async def answer_invalid(_: Request, error: Exception) -> Response:
        # FastAPI's own answer has the input too, and fails if JSON or UTF-8 can't hold that.
        assert isinstance(error, RequestValidationError)  # noqa: S101  what it is registered for
        detail = [{name: each[name] for name in ("type", "loc", "msg")} for each in error.errors()]
        content = json.dumps({"detail": detail[:_MOST_ERRORS]})
        return Response(content, HTTPStatus.UNPROCESSABLE_ENTITY, media_type="application/json")

    app.add_exception_handler(RequestValidationError, answer_invalid)


def _run_routes(runs: RunManager, *, mlflow_page: str) -> APIRouter:
    router = APIRouter(tags=["runs"], responses={HTTPStatus.CONFLICT: {"model": ProblemAnswer}})

    async def started(request: RunRequest) -> RunRecord:
        try:
            text = request.model_dump_json()
        except PydanticSerializationError as error:
            raise UnusableRequestError("The request has text that isn't valid Unicode.") from error
        return await runs.start(text, pipelines=pipelines_of(request))

    @router.post("/run")
    async def run(request: RunRequest) -> RunAnswer:
        """Run pipelines and answer when they have ended. The run continues if the client disconnects."""
        record = await started(request)
        return RunAnswer.of(await runs.wait(record.run_id), mlflow_page=mlflow_page)

    @router.post("/runs", status_code=HTTPStatus.ACCEPTED)
    async def start(request: RunRequest, response: Response) -> RunAnswer:
        """Start a run and answer at once; `Location` is the run's address."""
        record = await started(request)
        response.headers["location"] = f"/runs/{record.run_id}"
        return RunAnswer.of(record, mlflow_page=mlflow_page)

    @router.get("/runs")
    async def list_runs() -> list[RunAnswer]:
        """List the runs since the server started, the newest first; MLflow has the earlier ones."""
        return [RunAnswer.of(record, mlflow_page=mlflow_page) for record in runs.all()]

    @router.get("/runs/{run_id}")
    async def show(run_id: str) -> RunAnswer:
        """Show the current state of a run."""
        return RunAnswer.of(runs.get(run_id), mlflow_page=mlflow_page)

    @router.delete("/runs/{run_id}", status_code=HTTPStatus.ACCEPTED)
    async def stop(run_id: str) -> RunAnswer:
        """Ask a run to end; MLflow marks it KILLED. A run that has ended doesn't change."""
        return RunAnswer.of(runs.stop(run_id), mlflow_page=mlflow_page)

    return router


def _watching_routes(settings: Settings, parts: Parts) -> APIRouter:
    """Return `POST /alerts`, which refuses a notification without the token, and `GET /metrics`."""
    router = APIRouter(tags=["watching"])
    token = settings.alert_token.get_secret_value()

    def check_token(authorization: Annotated[str, Header()] = "") -> None:
        if not token:
            raise AlertsDisabledError("Alerts are disabled; set TRAINING_ALERT_TOKEN to enable them.")
        if not is_bearer(authorization, token):
            raise WrongTokenError(
                "The header Authorization must be Bearer with the token of TRAINING_ALERT_TOKEN; configure "
                "the same token in Alertmanager."
            )

    @router.post(
        "/alerts",
        dependencies=[Depends(check_token)],
        responses={code: {"model": ProblemAnswer} for code in (401, 404)},
    )
    async def alerts(notification: Notification) -> AlertAnswer:
        """Decide about one notification of Alertmanager's webhook, and start a run or answer why not.

        A refusal has status 200, so that Alertmanager doesn't resend the notification at once.
        """
        retraining = await parts.retraining.take(notification.alerts)
        run = parts.runs.get(retraining.run_id) if retraining.run_id else None
        return AlertAnswer(
            started=run is not None,
            refusal=retraining.decision.refusal,
            message=retraining.decision.message,
            run=run and RunAnswer.of(run, mlflow_page=settings.mlflow_page),
        )

    @router.get("/metrics", include_in_schema=False)
    async def show_metrics() -> Response:
        return Response(parts.metrics.render(), headers={"content-type": CONTENT_TYPE})

    return router


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, runs: RunManager) -> None:
        super().__init__(config)
        self._runs = runs

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop the run, then the server."""
        self._runs.stop_current()
        super().handle_exit(sig, frame)


def serve(settings: Settings) -> None:
    """Serve until a signal."""
    configure_logging(level=settings.log_level)
    launch = partial(launch_child, env=settings.env, grace_seconds=settings.stop_grace_seconds)
    bootstrap_project(PROJECT)
    loader = project.CONFIG_LOADER_CLASS(
        str(PROJECT / project.CONF_SOURCE), env=settings.env, **project.CONFIG_LOADER_ARGS
    )
    raw = PROJECT / loader["globals"]["raw"]
    parts = compose(settings, launch, has_data=lambda: any(raw.glob("[!.]*")))
    probes = tuple(path.encode() for path in PROBES)
    config = uvicorn.Config(
        create_app(settings, parts),
        http=limited(HttpLimits(connections=most_connections(_MOST_CONNECTIONS), probes=probes)),
        ws="none",
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,  # clients poll; the log has every run's start and end instead
        timeout_graceful_shutdown=int(settings.stop_grace_seconds + _ANSWER_SECONDS),
    )
    _Server(config, parts.runs).run()
