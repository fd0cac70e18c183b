"""Boards, rows, panels and queries as data, and their translation to the Grafana Foundation SDK."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import GraphDrawStyle, StackingMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.dashboard import Panel as PanelModel
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
"""The provisioned data source; see `provisioning/datasources`."""

_HEIGHT = 8


class Unit(StrEnum):
    """Grafana's names of the units used here."""

    SHARE = "percentunit"
    SECONDS = "s"
    BYTES = "bytes"
    COUNT = "short"
    PER_SECOND = "cps"
    REQUESTS = "reqps"
    SCORE = "none"
    WHEN = "dateTimeFromNow"


class Kind(StrEnum):
    """A panel's visualization."""

    LINES = "lines"
    STACK = "stack"
    NUMBER = "number"
    HEATMAP = "heatmap"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel.

    Attributes:
        expr: PromQL.
        legend: template of the series' names.
        needs: the event before which it may be empty; empty if it always has data under traffic.
    """

    expr: str
    legend: str = ""
    needs: str = ""


def rate(metric: str, matchers: str = "", *, by: str = "") -> str:
    """Return the PromQL of a counter's increase per second, summed over all series or by label."""
    grouped = f" by ({by}) " if by else ""
    return f"sum{grouped}(rate({metric}{matchers}[$__rate_interval]))"


def ratio(numerator: str, denominator: str, *, by: str = "") -> str:
    """Return the PromQL of one counter's rate over another's."""
    return f"{rate(numerator, by=by)} / {rate(denominator, by=by)}"


def quantiles(
    histogram: str, matchers: str = "", *, of: Sequence[float] = (0.5, 0.95, 0.99)
) -> tuple[Query, ...]:
    """Return a query per quantile of a histogram."""
    buckets = rate(f"{histogram}_bucket", matchers, by="le")
    return tuple(Query(f"histogram_quantile({q}, {buckets})", f"p{q * 100:g}") for q in of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        title: unique in its board.
        description: what it shows, and which values are good or bad.
        unit: of every series.
        queries: its expressions.
        kind: its visualization.
        width: in columns, of 24.
    """

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    width: int = 8

    def build(self) -> Builder[PanelModel]:
        """Return the SDK's panel."""
        builder = _BUILDERS[self.kind]()
        builder = builder.title(self.title).description(self.description).unit(self.unit.value)
        builder = builder.datasource(SOURCE).height(_HEIGHT).span(self.width)
        for index, query in enumerate(self.queries):
            target = prometheus.Dataquery().datasource(SOURCE).expr(query.expr).ref_id(chr(ord("A") + index))
            target = target.legend_format(query.legend or "__auto")
            if self.kind is Kind.HEATMAP:
                target = target.format(PromQueryFormat.HEATMAP)
            builder = builder.with_target(target.instant() if self.kind is Kind.NUMBER else target.range())
        return builder


_STACKED = common.StackingConfig().mode(StackingMode.NORMAL)
_BUILDERS: dict[Kind, Callable[[], timeseries.Panel | stat.Panel | heatmap.Panel]] = {
    Kind.LINES: lambda: timeseries.Panel().draw_style(GraphDrawStyle.LINE),
    Kind.STACK: lambda: timeseries.Panel().fill_opacity(30).stacking(_STACKED),
    Kind.NUMBER: stat.Panel,
    Kind.HEATMAP: heatmap.Panel,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and its panels."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Attributes:
        uid: part of its URL, and its file's name.
        title: shown in Grafana.
        description: its purpose.
        rows: from top to bottom.
    """

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    def panels(self) -> tuple[Panel, ...]:
        """Return every panel, in order."""
        return tuple(panel for row in self.rows for panel in row.panels)

    def build(self) -> dashboard.Dashboard:
        """Return the SDK's dashboard, with an annotation per promotion."""
        board = dashboard.Dashboard(self.title).uid(self.uid).description(self.description)
        board = board.tags(["toxic-comments"]).readonly().refresh("30s").time("now-6h", "now")
        board = board.annotation(
            dashboard.AnnotationQuery()
            .name("Promotions")
            .datasource(SOURCE)
            .enable(True)  # noqa: FBT003  the SDK's signature
            .icon_color("purple")
            .expr(PROMOTIONS)
        )
        for row in self.rows:
            board = board.with_row(dashboard.Row(row.title))
            for panel in row.panels:
                board = board.with_panel(panel.build())
        return board


PROMOTIONS = (
    "max by (version) (toxic_inference_alias_info{alias='champion'}) "
    "unless on (version) max by (version) (toxic_inference_alias_info{alias='champion'} offset 1m)"
)
"""A series during the minute after a version became champion."""
