"""Every dashboard, and its JSON.

Invariant: the same code gives the same bytes, so that a file that differs is stale.
"""

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from toxic_dashboards.model import MODEL
from toxic_dashboards.panels import Board
from toxic_dashboards.service import SERVICE
from toxic_dashboards.training import TRAINING

BOARDS = (SERVICE, MODEL, TRAINING)


def export(board: Board) -> str:
    """Return the JSON that Grafana reads."""
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build().build()) + "\n"
