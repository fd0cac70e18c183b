"""`python -m toxic_training …` runs `kedro …` inside this project, from any folder.

If a run fails for a known reason, the user sees one line and exit status 1 instead of a traceback.
"""

import sys

from toxic_training.kedro_project.process import prepare
from toxic_training.kedro_project.stopping import stopped_by_signals


def main() -> None:
    """Run Kedro's command line in the project's folder."""
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
