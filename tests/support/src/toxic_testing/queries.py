"""What dashboards and rules ask Prometheus, and whether it has had answers."""

import time
from collections.abc import Iterable

from toxic_dashboards.boards import VARIABLES, Board
from toxic_testing.watching import Loop


class Answers:
    """Which of many expressions have ever had data, since some have it for moments.

    Args:
        loop: the running services.
        expressions: PromQL.
    """

    def __init__(self, loop: Loop, expressions: Iterable[str]) -> None:
        self._missing = set(expressions)
        self._loop = loop
        self._since = time.monotonic()

    def missing(self) -> set[str]:
        """Return the expressions that had no data at any second until now.

        Raises:
            AssertionError: Prometheus can't read one.
        """
        seconds = int(time.monotonic() - self._since) + 1
        for expression in sorted(self._missing):
            past = f"present_over_time(count({expression}\n)[{seconds}s:1s])"
            if self._loop.ask(expression) or self._loop.ask(past):
                self._missing.remove(expression)
        return self._missing


def panel_queries(*boards: Board, needing: bool, rate_interval: str) -> set[str]:
    """Return what Grafana asks for panels that need an event first, or for those that don't.

    It asks for all instances and versions.
    """
    panels = [panel for board in boards for panel in board.panels() if bool(panel.needs) is needing]
    queries = {expr for panel in panels for expr in panel.queries.values()}
    values = {"$__rate_interval": rate_interval, **{f"${variable}": ".*" for variable in VARIABLES}}
    for variable, value in values.items():
        queries = {expr.replace(variable, value) for expr in queries}
    return queries
