"""Runs the training server's process.

Invariant: SIGTERM and SIGINT stop the run under way first, so that a waiting client gets its answer.
"""

from functools import partial
from types import FrameType

import uvicorn

from toxic_core.logging import configure_logging
from toxic_training.server.app import create_app
from toxic_training.server.composition import compose
from toxic_training.server.launcher import launch_child
from toxic_training.server.runs import RunManager
from toxic_training.server.settings import Settings

_ANSWER_SECONDS = 1.0
"""Time for the last answers after the run has ended."""


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
    parts = compose(settings, launch)
    config = uvicorn.Config(
        create_app(settings, parts),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,  # clients poll; the log has every run's start and end instead
        timeout_graceful_shutdown=int(settings.stop_grace_seconds + _ANSWER_SECONDS),
    )
    _Server(config, parts.runs).run()
