"""`python -m toxic_dashboards FOLDER` writes every dashboard's JSON."""

import sys
from pathlib import Path

from toxic_dashboards.boards import BOARDS, export


def main() -> None:
    """Write the files, each under a temporary name first."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its one argument
        sys.exit("Say where to: python -m toxic_dashboards infra/grafana/dashboards")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        partial = folder / f".partial-{board.uid}.json"
        partial.write_text(export(board), encoding="utf-8")
        partial.replace(folder / f"{board.uid}.json")


if __name__ == "__main__":
    main()
