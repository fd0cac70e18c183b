"""`python -m toxic_training …` runs `kedro …` inside this project, from any folder.

If a run fails for a known reason, the user sees one line and exit status 1 instead of a traceback.
"""

import sys

from toxic_core.errors import ConfigurationError
from toxic_core.settings import load_secrets
from toxic_training import __version__
from toxic_training.kedro_project.process import prepare
from toxic_training.kedro_project.stopping import stopped_by_signals
from toxic_training.paths import forget_start

_HELP = """\
toxic-training runs Kedro's commands in this project, from any folder. `toxic-training run` trains on the
files in 01_raw/ of TOXIC_DATA_DIR (default: data) and registers the version at MLFLOW_TRACKING_URI; with
`--env demo` it takes the generated sample. Without arguments it prints this help.

"""


def main() -> None:
    """Run Kedro's command line in the project's folder."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"toxic-training {__version__}\n")
        return
    if sys.argv[1:] in ([], ["--help"], ["-h"]):
        sys.stdout.write(_HELP)
        sys.stdout.flush()
    try:
        load_secrets()
    except ConfigurationError as error:
        sys.exit(f"error: {error}")
    forget_start()
    prepare()
    # Imported late: Kedro's plugins read the environment when they are imported.
    from kedro.framework.cli.cli import main as kedro  # noqa: PLC0415

    from toxic_training.kedro_project.failures import explain  # noqa: PLC0415

    try:
        with stopped_by_signals():
            kedro()
    except Exception as error:
        explanation = explain(error)
        if explanation is None:
            raise
        sys.exit(f"error: {explanation}")


if __name__ == "__main__":
    main()
