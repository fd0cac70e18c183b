"""`python -m toxic_dashboards FOLDER` writes the JSON of every dashboard."""

import sys
from pathlib import Path

from toxic_core.files import replacing
from toxic_dashboards.boards import BOARDS, export


def main() -> None:
    """Write a file per dashboard."""
    if len(sys.argv) != 2:  # noqa: PLR2004  the program and one argument
        sys.exit("Usage: python -m toxic_dashboards infra/grafana/dashboards")
    folder = Path(sys.argv[1])
    for board in BOARDS:
        with replacing(folder / f"{board.uid}.json") as partial:
            partial.write_text(export(board), encoding="utf-8")


if __name__ == "__main__":
    main()
