"""`python -m toxic_training.server.child`: one run, in a process of its own, as Kedro's server would do it.

Reads one line on standard input, the request as JSON, and keeps reading: the end of the input means that the
server is gone, and ends the run.

Invariant: exit status 0 means that the pipelines ran to their end; why they didn't stands in the report.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from toxic_training.__main__ import PROJECT, prepare
from toxic_training.kedro_project.stopping import stopped_by_signals
from toxic_training.server.report import read_report, report_path, write_report


def main() -> None:
    """Run what standard input asks for; the only argument is Kedro's environment, empty for the default."""
    prepare()
    request = sys.stdin.readline()
    threading.Thread(target=_end_with_server, name="server-watch", daemon=True).start()
    with stopped_by_signals():
        sys.exit(_run(request, env=sys.argv[1] or None))


def _run(text: str, *, env: str | None) -> int:
    # Imported late: Kedro's plugins read the environment when they are imported.
    from kedro.framework.session.service_session import KedroServiceSession  # noqa: PLC0415
    from kedro.framework.startup import bootstrap_project  # noqa: PLC0415
    from kedro.server.http_server import _execute_pipeline  # noqa: PLC0415 - what its /run does
    from kedro.server.models import RunFailure, RunRequest  # noqa: PLC0415

    bootstrap_project(PROJECT)
    session = KedroServiceSession.create(project_path=PROJECT, env=env, serving_mode=True)
    outcome = _execute_pipeline(session, request=RunRequest.model_validate_json(text))
    if not isinstance(outcome, RunFailure):
        return 0
    _report_failure(report_path(), error_type=outcome.error.type, error=outcome.error.message)
    return 1


def _report_failure(path: Path | None, *, error_type: str, error: str) -> None:
    """Report what no hook has explained: a run that failed before its first node."""
    if path is None or (report := read_report(path)).error is not None:
        return
    write_report(path, report.model_copy(update={"error_type": error_type, "error": error}))


def _end_with_server() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
