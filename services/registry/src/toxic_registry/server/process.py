"""The server process: from settings to MLflow answering over HTTP, and to a clean stop.

Invariant: whatever can be found wrong is found before MLflow is imported and raised as one
`ConfigurationError`; once the socket is bound it stays this process's. The server is this one process, so
that a signal to it ends everything: no worker processes, and none of MLflow's background job runners.
"""

import logging
import os
import signal
import socket
import sys
import tempfile
import warnings
from pathlib import Path
from types import FrameType
from typing import Never

import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from toxic_core.errors import ConfigurationError, ToxicError
from toxic_registry.server.app import build_app
from toxic_registry.server.database import check_database, first_line, upgrade_database
from toxic_registry.settings import Settings

_log = structlog.stdlib.get_logger(__name__)

_PROXIED_ARTIFACTS = "mlflow-artifacts:/"
_CHATTY = ("alembic", "numexpr")


class _AnnouncingServer(uvicorn.Server):
    """uvicorn, saying when the first request can come: it is silent about a socket it was given."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _log.info("registry.ready", address=self.servers[0].sockets[0].getsockname())


def serve(settings: Settings) -> None:
    """Run the registry until SIGTERM or SIGINT; returns after a clean stop.

    Raises:
        ConfigurationError: the port is taken, a folder can't be written, or the database can't be used.
    """
    # Until uvicorn takes the signals over, one ends the start at once; after it, it has nothing left to do.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _exit_cleanly)
    with bind(settings) as listener:
        prepare_folders(settings)
        check_database(settings.backend_store_uri)
        configure_mlflow(settings)
        _log.info("registry.starting", host=settings.host, port=settings.port)
        _run(settings, listener, _build(settings))
    _log.info("registry.stopped")


def bind(settings: Settings) -> socket.socket:
    """Take the settings' address, and listen on it only once the server is ready.

    Raises:
        ConfigurationError: it is taken, or isn't this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise _cannot_listen(settings, error) from error
    return listener


def _cannot_listen(settings: Settings, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"The registry can't listen on {settings.host}:{settings.port} ({error.strerror or error}); "
        "stop what uses it, or choose another with REGISTRY_PORT or REGISTRY_HOST."
    )


def prepare_folders(settings: Settings) -> None:
    """Make the state folder and, where artifacts lie on this machine, theirs.

    Raises:
        ConfigurationError: one of them can't be made or written.
    """
    folders = {"REGISTRY_STATE_DIR": settings.state_dir}
    if "://" not in settings.artifacts_destination:
        folders["REGISTRY_ARTIFACTS_DESTINATION"] = Path(settings.artifacts_destination)
    for variable, folder in folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"The registry can't write to {folder} ({error.strerror or error}); "
                f"choose another folder with {variable}."
            ) from error


def configure_mlflow(settings: Settings) -> None:
    """Set the environment variables that MLflow's server reads when it is imported.

    The underscored ones are what `mlflow server` itself passes to its workers.
    """
    os.environ.update(
        {
            "_MLFLOW_SERVER_FILE_STORE": settings.backend_store_uri,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": _PROXIED_ARTIFACTS,
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": settings.artifacts_destination,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SGI_NAME": "uvicorn",
            "_MLFLOW_IN_JOB_EXECUTOR": "false",
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(settings.host_headers),
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(settings.origins),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_ENABLE_WORKSPACES": "false",  # the gate doesn't know them
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_CONFIGURE_LOGGING": "false",  # its records go through ours, as JSON
        }
    )
    # A server must not be its own client, nor a client's workspace its own.
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_WORKSPACE"):
        os.environ.pop(variable, None)


def _build(settings: Settings) -> FastAPI:
    """Import MLflow, make or check its tables before the first request, and build the app."""
    _silence()
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  imported only once it is configured

    upgrade_database(settings.backend_store_uri)
    try:
        return build_app(settings)
    except (MlflowException, SQLAlchemyError) as error:
        raise ConfigurationError(f"MLflow can't use its database: {first_line(error)}") from error


def _run(settings: Settings, listener: socket.socket, app: FastAPI) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level=settings.log_level.lower(),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
    )
    try:
        _AnnouncingServer(config).run(sockets=[listener])
    except OSError as error:
        # Two registries started at the same moment both bind; the second to listen fails here.
        raise _cannot_listen(settings, error) from error
    except SystemExit as stop:
        # uvicorn hands the signal that stopped it on to `_exit_cleanly`; only its failures carry a status.
        if stop.code:
            raise ToxicError("The registry's server failed to start; its log says why.") from stop


def _silence() -> None:
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # MLflow mounts its Flask app through a module that Starlette is about to drop; MLflow's to change.
    warnings.filterwarnings("ignore", message="starlette.middleware.wsgi is deprecated")


def _exit_cleanly(_signum: int, _frame: FrameType | None) -> Never:
    sys.exit(0)
