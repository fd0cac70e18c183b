"""The training server's process.

Invariant: SIGTERM and SIGINT stop the run under way first, so that a client who waits for it gets its answer.
"""

from types import FrameType

import uvicorn

from toxic_core.logging import configure_logging
from toxic_training.server.app import create_app
from toxic_training.server.desk import RunDesk
from toxic_training.server.launcher import ChildLauncher
from toxic_training.server.settings import Settings

_ANSWER_SECONDS = 1.0
"""For the last answers, once the run has ended."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, desk: RunDesk) -> None:
        super().__init__(config)
        self._desk = desk

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop the run, then the server."""
        self._desk.stop_current()
        super().handle_exit(sig, frame)


def serve(settings: Settings) -> None:
    """Serve until a signal."""
    configure_logging(level=settings.log_level)
    launcher = ChildLauncher(env=settings.env, grace_seconds=settings.stop_grace_seconds)
    desk = RunDesk(launcher, keep_runs=settings.keep_runs)
    config = uvicorn.Config(
        create_app(settings, desk),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,  # what matters is that a run starts and ends, and clients poll
        timeout_graceful_shutdown=int(settings.stop_grace_seconds + _ANSWER_SECONDS),
    )
    _Server(config, desk).run()
