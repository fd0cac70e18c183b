"""`python -m toxic_dashboards FOLDER` writes the JSON of every dashboard."""

import argparse
from pathlib import Path

from toxic_core.files import replacing
from toxic_dashboards import __version__
from toxic_dashboards.boards import BOARDS

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="toxic-dashboards", description="Write the JSON of every dashboard of Grafana into a folder."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("folder", type=Path, help="such as infra/grafana/dashboards")
    folder: Path = parser.parse_args().folder
    for board in BOARDS:
        with replacing(folder / f"{board.uid}.json") as partial:
            partial.write_text(board.export(), encoding="utf-8")
