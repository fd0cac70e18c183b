"""Kedro's HTTP server, with `/run` replaced and with routes that start, show and stop runs.

Invariant: `/health`, `/snapshot` and the request's fields are Kedro's own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from kedro.server import create_http_server
from kedro.server.models import RunRequest

from toxic_core.errors import RunInProgressError
from toxic_training.kedro_project.process import PROJECT
from toxic_training.server.alerts import AlertsDisabledError, WrongTokenError, watching_routes
from toxic_training.server.answers import Problem, ProblemAnswer, RunAnswer
from toxic_training.server.composition import Parts, pipelines_of
from toxic_training.server.runs import RunManager, UnknownRunError
from toxic_training.server.settings import Settings

_PROBLEMS: dict[type[Exception], tuple[HTTPStatus, str]] = {
    RunInProgressError: (HTTPStatus.CONFLICT, "run_in_progress"),
    UnknownRunError: (HTTPStatus.NOT_FOUND, "unknown_run"),
    AlertsDisabledError: (HTTPStatus.NOT_FOUND, "alerts_disabled"),
    WrongTokenError: (HTTPStatus.UNAUTHORIZED, "wrong_token"),
}
"""Each error's status and code."""


def create_app(settings: Settings, parts: Parts) -> FastAPI:
    """Return Kedro's server with our routes; its shutdown stops the run under way."""
    app: FastAPI = create_http_server(project_path=PROJECT, env=settings.env)
    app.title = "Training"
    app.router.routes = [route for route in app.router.routes if getattr(route, "path", "") != "/run"]
    add_routes(app, settings, parts)
    kedro_lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(inner: FastAPI) -> AsyncIterator[None]:
        async with kedro_lifespan(inner):
            yield
            await parts.runs.close()

    app.router.lifespan_context = lifespan
    return app


def add_routes(app: FastAPI, settings: Settings, parts: Parts) -> None:
    """Add the routes about runs and alerts, and answer their errors in one shape."""
    app.include_router(_run_routes(parts.runs, mlflow_page=settings.mlflow_page))
    app.include_router(watching_routes(settings, parts))

    async def answer(_: Request, error: Exception) -> JSONResponse:
        status, code = _PROBLEMS[type(error)]
        run = None
        if isinstance(error, RunInProgressError) and error.run_id is not None:
            run = RunAnswer.of(parts.runs.get(error.run_id), mlflow_page=settings.mlflow_page)
        problem = ProblemAnswer(error=Problem(code=code, message=str(error)), run=run)
        return JSONResponse(problem.model_dump(mode="json"), status_code=status)

    for kind in _PROBLEMS:
        app.add_exception_handler(kind, answer)


def _run_routes(runs: RunManager, *, mlflow_page: str) -> APIRouter:
    router = APIRouter(tags=["runs"], responses={HTTPStatus.CONFLICT: {"model": ProblemAnswer}})

    @router.post("/run")
    async def run(request: RunRequest) -> RunAnswer:
        """Run pipelines and answer when they have ended. The run continues if the client disconnects."""
        record = await runs.start(request.model_dump_json(), pipelines=pipelines_of(request))
        return RunAnswer.of(await runs.wait(record.run_id), mlflow_page=mlflow_page)

    @router.post("/runs", status_code=HTTPStatus.ACCEPTED)
    async def start(request: RunRequest, response: Response) -> RunAnswer:
        """Start a run and answer at once; `Location` is the run's address."""
        record = await runs.start(request.model_dump_json(), pipelines=pipelines_of(request))
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
