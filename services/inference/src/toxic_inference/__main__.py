"""`python -m toxic_inference`: reads settings, configures logging and runs the server, or the command `keys`.

Invariant: an error that keeps the service from starting is one line on standard error and exit status 1.
SIGTERM and SIGINT let every accepted request be answered, and exit with 0.
"""

import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import TypeVar

import structlog
import uvicorn
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from toxic_core.errors import ConfigurationError, ToxicError
from toxic_core.http.limits import HttpLimits, most_connections
from toxic_core.http.protocol import limited
from toxic_core.logging import configure_logging
from toxic_core.settings import load_secrets, name_faults
from toxic_core.telemetry import disable_telemetry
from toxic_inference.adapters.memory import bound_arenas
from toxic_inference.app import create_app
from toxic_inference.key_commands import run_key_command
from toxic_inference.otel.settings import OtelSettings
from toxic_inference.settings import Settings

AnySettings = TypeVar("AnySettings", bound=BaseSettings)

_log = structlog.get_logger(__name__)

_BACKLOG = 2048
_PROBES = (b"/health/", b"/metrics", b"/v2/health/")
"""What answers even if every connection is in use."""


def main() -> None:
    """Run the service until a signal stops it; with arguments, run a command."""
    disable_telemetry()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_cleanly)
    try:
        load_secrets()
        settings, otel = _read(Settings), _read(OtelSettings)
        if arguments := sys.argv[1:]:
            run_key_command(arguments, default_file=settings.api_keys_file or settings.state_dir / "keys.txt")
            return
        bound_arenas()
        _configure_libraries(settings)
        configure_logging(level=settings.log_level)
        _serve(settings, otel)
    except ToxicError as error:
        sys.stderr.write(f"toxic-inference: {error}\n")
        sys.exit(1)
    # Not sys.exit: Python would wait for a running load, which may wait for a slow registry.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def _configure_libraries(settings: Settings) -> None:
    """Set the environment variables that TensorFlow and tokenizers read when they are imported."""
    threads = str(settings.threads)
    # Serving a SavedModel needs no Keras, and its import is half of the time to the first answer (7.6 of 15
    # CPU seconds, with scikit-learn and pandas). With this setting TensorFlow looks for the older tf_keras
    # instead, and continues without it.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", threads)
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", threads)
    os.environ.setdefault("RAYON_NUM_THREADS", str(settings.tokenise_threads))


def _read(settings: type[AnySettings]) -> AnySettings:
    """Return settings from the environment."""
    try:
        return settings()
    except ValidationError as error:
        faults = name_faults(error, prefix=settings.model_config.get("env_prefix", ""))
        raise ConfigurationError(f"Settings can't be used: {faults}.") from error


def _listen(host: str, port: int, *, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"Can't listen on {host}:{port}: {error.strerror}. Stop what uses the port, or set {setting}."
        ) from error


def _serve(settings: Settings, otel: OtelSettings) -> None:
    listening = _listen(settings.host, settings.port, setting="INFERENCE_PORT")
    if settings.grpc_port is not None:
        # gRPC can't take a socket; found here, a port in use is an error before anything is loaded.
        _listen(settings.host, settings.grpc_port, setting="INFERENCE_GRPC_PORT").close()
    with listening:
        config = uvicorn.Config(
            create_app(settings, otel),
            loop="uvloop",
            http=limited(HttpLimits(connections=most_connections(settings.max_connections), probes=_PROBES)),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the application reads them, from the proxies of its settings
            timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        )
        _log.info("service.starting", host=settings.host, port=settings.port, grpc_port=settings.grpc_port)
        with suppress(_StoppedError):  # uvicorn raises a signal again after it has stopped
            uvicorn.Server(config).run(sockets=[listening])
        _log.info("service.stopped")


class _StoppedError(SystemExit):
    """A signal to stop, outside of uvicorn's own handling."""


def _exit_cleanly(_number: int, _frame: FrameType | None) -> None:
    raise _StoppedError(0)


if __name__ == "__main__":
    main()
