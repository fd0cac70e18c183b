"""`python -m toxic_dashboards FOLDER` writes the JSON of every dashboard."""

import sys
from pathlib import Path

from toxic_core.files import replacing
from toxic_dashboards.boards import BOARDS

if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004  the program and one argument
        sys.exit("Usage: python -m toxic_dashboards infra/grafana/dashboards")
    for board in BOARDS:
        with replacing(Path(sys.argv[1]) / f"{board.uid}.json") as partial:
            partial.write_text(board.export(), encoding="utf-8")
