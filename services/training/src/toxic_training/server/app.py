"""Kedro's HTTP server, with its `/run` replaced and runs that are started, watched and stopped.

Invariant: `/health`, `/snapshot` and the form of a request are Kedro's own; `/docs` shows what is added.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from kedro.server import create_http_server
from kedro.server.models import RunRequest

from toxic_training.__main__ import PROJECT
from toxic_training.retraining.desk import RetrainingDesk
from toxic_training.retraining.history import History
from toxic_training.server.alerts import AlertsDisabledError, WrongTokenError, watching_routes
from toxic_training.server.answers import Problem, ProblemAnswer, RunAnswer
from toxic_training.server.desk import RunDesk, RunInProgressError, UnknownRunError
from toxic_training.server.metrics import Metrics
from toxic_training.server.settings import Settings

DEFAULT_PIPELINE = "__default__"


def create_app(settings: Settings, desk: RunDesk) -> FastAPI:
    """Return Kedro's server with our runs; closing it stops the run under way.

    Raises:
        ConfigurationError: what is remembered of earlier retrainings can't be read.
    """
    app: FastAPI = create_http_server(project_path=PROJECT, env=settings.env)
    app.title = "Training"
    app.router.routes = [route for route in app.router.routes if getattr(route, "path", "") != "/run"]
    app.include_router(_routes(desk, mlflow_page=settings.mlflow_page))
    app.include_router(_watching(settings, desk))
    answer_errors(app, mlflow_page=settings.mlflow_page)
    kedro_lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(inner: FastAPI) -> AsyncIterator[None]:
        async with kedro_lifespan(inner):
            yield
            await desk.close()

    app.router.lifespan_context = lifespan
    return app


def _watching(settings: Settings, desk: RunDesk) -> APIRouter:
    metrics = Metrics()
    desk.observe(metrics)
    retraining = RetrainingDesk(
        desk,
        history=History(settings.state_dir / "retrainings.json"),
        limits=settings.limits,
        request=settings.retrain_request,
        observer=metrics,
    )
    return watching_routes(settings, desk=retraining, metrics=metrics)


def _routes(desk: RunDesk, *, mlflow_page: str) -> APIRouter:
    router = APIRouter(tags=["runs"], responses={HTTPStatus.CONFLICT: {"model": ProblemAnswer}})

    @router.post("/run")
    async def run(request: RunRequest) -> RunAnswer:
        """Run pipelines and answer when they have ended. The run goes on where the client goes away."""
        record = await desk.start(request.model_dump_json(), pipelines=_pipelines(request))
        return RunAnswer.of(await desk.wait(record.run_id), mlflow_page=mlflow_page)

    @router.post("/runs", status_code=HTTPStatus.ACCEPTED)
    async def start(request: RunRequest, response: Response) -> RunAnswer:
        """Start a run and answer at once; `Location` says where to look at it."""
        record = await desk.start(request.model_dump_json(), pipelines=_pipelines(request))
        response.headers["location"] = f"/runs/{record.run_id}"
        return RunAnswer.of(record, mlflow_page=mlflow_page)

    @router.get("/runs")
    async def list_runs() -> list[RunAnswer]:
        """List the runs since the server started, the newest first; MLflow has those before."""
        return [RunAnswer.of(record, mlflow_page=mlflow_page) for record in desk.all()]

    @router.get("/runs/{run_id}")
    async def show(run_id: str) -> RunAnswer:
        """Show where a run stands."""
        return RunAnswer.of(desk.get(run_id), mlflow_page=mlflow_page)

    @router.delete("/runs/{run_id}", status_code=HTTPStatus.ACCEPTED)
    async def stop(run_id: str) -> RunAnswer:
        """Ask a run to end; it is marked KILLED in MLflow. One that has ended stays as it is."""
        return RunAnswer.of(desk.stop(run_id), mlflow_page=mlflow_page)

    return router


def answer_errors(app: FastAPI, *, mlflow_page: str) -> None:
    """Turn what goes wrong on purpose into statuses and one shape of answer."""

    @app.exception_handler(RunInProgressError)
    async def in_progress(_: Request, error: RunInProgressError) -> JSONResponse:
        running = RunAnswer.of(error.run, mlflow_page=mlflow_page)
        problem = Problem(code="run_in_progress", message=str(error))
        return _problem(HTTPStatus.CONFLICT, ProblemAnswer(error=problem, run=running))

    @app.exception_handler(UnknownRunError)
    async def unknown(_: Request, error: UnknownRunError) -> JSONResponse:
        return _problem(
            HTTPStatus.NOT_FOUND, ProblemAnswer(error=Problem(code="unknown_run", message=str(error)))
        )

    @app.exception_handler(AlertsDisabledError)
    async def disabled(_: Request, error: AlertsDisabledError) -> JSONResponse:
        problem = Problem(code="alerts_disabled", message=str(error))
        return _problem(HTTPStatus.NOT_FOUND, ProblemAnswer(error=problem))

    @app.exception_handler(WrongTokenError)
    async def unauthorized(_: Request, error: WrongTokenError) -> JSONResponse:
        problem = Problem(code="wrong_token", message=str(error))
        return _problem(HTTPStatus.UNAUTHORIZED, ProblemAnswer(error=problem))


def _problem(status: HTTPStatus, answer: ProblemAnswer) -> JSONResponse:
    return JSONResponse(answer.model_dump(mode="json"), status_code=status)


def _pipelines(request: RunRequest) -> tuple[str, ...]:
    return tuple(request.pipeline_names or [DEFAULT_PIPELINE])
