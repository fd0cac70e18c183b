"""`python -m toxic_training.server.child`: one run in a process of its own, executed by Kedro's server code.

Reads one line on standard input, the request as JSON, and keeps reading: the end of the input means that the
server has ended, and ends the run.

Invariant: exit status 0 means that the pipelines ran to their end; otherwise the report contains the reason.
"""

import os
import signal
import sys
import threading

from toxic_training.kedro_project.process import PROJECT, prepare
from toxic_training.kedro_project.run_report import read_report, report_path, write_report
from toxic_training.kedro_project.stopping import stopped_by_signals


def main() -> None:
    """Run the request on standard input; the only argument is Kedro's environment, empty for the default."""
    prepare()
    request = sys.stdin.readline()

    def end_with_server() -> None:
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_server, name="server-watch", daemon=True).start()
    with stopped_by_signals():
        sys.exit(_run(request, env=sys.argv[1] or None))


def _run(text: str, *, env: str | None) -> int:
    """Execute a request; return the exit status."""
    # Imported late: Kedro's plugins read the environment when they are imported.
    from kedro.framework.session.service_session import KedroServiceSession  # noqa: PLC0415
    from kedro.framework.startup import bootstrap_project  # noqa: PLC0415
    from kedro.server.http_server import _execute_pipeline  # noqa: PLC0415 - Kedro's own /run calls it
    from kedro.server.models import RunFailure, RunRequest  # noqa: PLC0415

    bootstrap_project(PROJECT)
    session = KedroServiceSession.create(project_path=PROJECT, env=env, serving_mode=True)
    outcome = _execute_pipeline(session, request=RunRequest.model_validate_json(text))
    if not isinstance(outcome, RunFailure):
        return 0
    # A run that failed before its first node has no report from the hooks.
    path = report_path()
    if path is not None and (report := read_report(path)).error is None:
        failure = {"error_type": outcome.error.type, "error": outcome.error.message}
        write_report(path, report.model_copy(update=failure))
    return 1


if __name__ == "__main__":
    main()
