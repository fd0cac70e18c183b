"""Runs the server: from settings to MLflow answering over HTTP, and to a clean stop.

The server is one process, without worker processes and without MLflow's background jobs, so that a signal to
it ends everything.

Invariant: everything that can be checked is checked before MLflow is imported, and a failure is one
`ConfigurationError`.
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
from sqlalchemy.exc import SQLAlchemyError

from toxic_core.errors import ConfigurationError, ToxicError
from toxic_core.http.limits import HttpLimits, most_connections
from toxic_core.http.protocol import limited
from toxic_registry.server.app import build_app
from toxic_registry.server.database import check_database, first_line, upgrade_database
from toxic_registry.settings import Settings

_log = structlog.stdlib.get_logger(__name__)

_MOST_CONNECTIONS = 1_024
_PROBES = (b"/health", b"/metrics")
"""What answers even if every connection is in use."""


class _AnnouncingServer(uvicorn.Server):
    """uvicorn with a log event for readiness, which it doesn't log for a socket that it was given."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _log.info("registry.ready", address=self.servers[0].sockets[0].getsockname())


def serve(settings: Settings) -> None:
    """Run the registry until SIGTERM or SIGINT; return after a clean stop.

    Raises:
        ConfigurationError: the port is taken, a folder isn't writable, or the database isn't usable.
    """
    # Until uvicorn installs its own handlers, a signal ends the start at once.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _exit_cleanly)
    with bind(settings) as listener:
        prepare_folders(settings)
        check_database(settings.backend_store_uri)
        configure_mlflow(settings)
        _log.info("registry.starting", host=settings.host, port=settings.port)
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  imported only once it is configured

        upgrade_database(settings.backend_store_uri)
        try:
            app = build_app(settings)
        except (MlflowException, SQLAlchemyError) as error:
            raise ConfigurationError(f"MLflow can't use its database: {first_line(error)}") from error
        config = uvicorn.Config(
            app,
            http=limited(HttpLimits(connections=most_connections(_MOST_CONNECTIONS), probes=_PROBES)),
            log_config=None,
            log_level=settings.log_level.lower(),
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        )
        try:
            _AnnouncingServer(config).run(sockets=[listener])
        except OSError as error:
            # Two registries that start at the same moment both bind; the second one fails to listen.
            raise _cannot_listen(settings, error) from error
        except SystemExit as stop:
            # uvicorn raises its signal again, for `_exit_cleanly`; only failures have a status.
            if stop.code:
                raise ToxicError(
                    "The registry's server failed to start; see its log for the reason."
                ) from stop
    _log.info("registry.stopped")


def bind(settings: Settings) -> socket.socket:
    """Bind a socket to the settings' address; uvicorn listens on it once the server is ready.

    Raises:
        ConfigurationError: the address is taken or isn't this machine's.
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
        f"The registry can't listen on {settings.host}:{settings.port} ({error.strerror or error}). "
        "Stop the process that uses it, or choose another with REGISTRY_PORT or REGISTRY_HOST."
    )


def prepare_folders(settings: Settings) -> None:
    """Create the state folder and, if artifacts are stored on this machine, their folder.

    Raises:
        ConfigurationError: one of them can't be created or written.
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
                f"The registry can't write to {folder} ({error.strerror or error}). "
                f"Choose another folder with {variable}."
            ) from error


def configure_mlflow(settings: Settings) -> None:
    """Set the environment variables and log levels that MLflow's server needs before it is imported.

    `mlflow server` passes the variables with an underscore to its own workers.
    """
    os.environ.update(
        {
            "_MLFLOW_SERVER_FILE_STORE": settings.backend_store_uri,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": settings.artifacts_destination,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SGI_NAME": "uvicorn",
            "_MLFLOW_IN_JOB_EXECUTOR": "false",
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(settings.host_headers),
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(settings.origins),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_ENABLE_WORKSPACES": "false",  # the gate doesn't support them
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_CONFIGURE_LOGGING": "false",  # MLflow's records go through our logging, as JSON
        }
    )
    # Variables of a client, which would point the server at itself.
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_WORKSPACE"):
        os.environ.pop(variable, None)
    for name in ("alembic", "numexpr"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # MLflow mounts its Flask app through a module that Starlette deprecates.
    warnings.filterwarnings("ignore", message="starlette.middleware.wsgi is deprecated")


def _exit_cleanly(_signum: int, _frame: FrameType | None) -> Never:
    sys.exit(0)
