"""The list of dashboards and their export.

Invariant: the same code exports the same bytes, so that a test finds stale files.
"""

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from toxic_dashboards.model import MODEL
from toxic_dashboards.panels import Board
from toxic_dashboards.service import SERVICE
from toxic_dashboards.training import TRAINING

BOARDS = (SERVICE, MODEL, TRAINING)


def export(board: Board) -> str:
    """Return a dashboard as Grafana's JSON."""
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build().build()) + "\n"
