"""What every panel has: a title, a description, a unit, queries; and how the SDK is told so.

Invariant: a panel can't be made without a title, a description and a unit.
"""

from dataclasses import dataclass
from enum import StrEnum

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import GraphDrawStyle, StackingMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.dashboard import Panel as PanelModel
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
"""The data source that `provisioning/datasources` provisions."""

_HEIGHT = 8


class Unit(StrEnum):
    """Grafana's names of units, as far as they are used here."""

    SHARE = "percentunit"
    SECONDS = "s"
    BYTES = "bytes"
    COUNT = "short"
    PER_SECOND = "cps"
    REQUESTS = "reqps"
    SCORE = "none"
    WHEN = "dateTimeFromNow"


class Kind(StrEnum):
    """How a panel draws."""

    LINES = "lines"
    STACK = "stack"
    NUMBER = "number"
    HEATMAP = "heatmap"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel.

    Attributes:
        expr: PromQL.
        legend: what its series are called.
        needs: the event before which it may be empty; nothing where it always has data under traffic.
    """

    expr: str
    legend: str = ""
    needs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        title: in a few words.
        description: what it shows, and what of it is good or bad.
        unit: of every series.
        queries: what is drawn.
        kind: how.
        width: of 24.
    """

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    width: int = 8

    def build(self) -> Builder[PanelModel]:
        """Return what the SDK makes of it."""
        builder = _BUILDERS[self.kind](self)
        builder = builder.title(self.title).description(self.description).unit(self.unit.value)
        builder = builder.datasource(SOURCE).height(_HEIGHT).span(self.width)
        for index, query in enumerate(self.queries):
            builder = builder.with_target(self._target(query, index=index))
        return builder

    def _target(self, query: Query, *, index: int) -> prometheus.Dataquery:
        target = prometheus.Dataquery().datasource(SOURCE).expr(query.expr).ref_id(chr(ord("A") + index))
        target = target.legend_format(query.legend or "__auto")
        if self.kind is Kind.HEATMAP:
            target = target.format(PromQueryFormat.HEATMAP)
        return target.instant() if self.kind is Kind.NUMBER else target.range()


_Drawn = timeseries.Panel | stat.Panel | heatmap.Panel


def _lines(_: Panel) -> _Drawn:
    return timeseries.Panel().draw_style(GraphDrawStyle.LINE)


def _stack(_: Panel) -> _Drawn:
    return timeseries.Panel().fill_opacity(30).stacking(common.StackingConfig().mode(StackingMode.NORMAL))


def _number(_: Panel) -> _Drawn:
    return stat.Panel()


def _heatmap(_: Panel) -> _Drawn:
    return heatmap.Panel()


_BUILDERS = {Kind.LINES: _lines, Kind.STACK: _stack, Kind.NUMBER: _number, Kind.HEATMAP: _heatmap}


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Attributes:
        uid: part of its address, and its file's name.
        title: for people.
        description: whom it is for.
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
        """Return what the SDK makes of it, with a mark at every promotion."""
        board = dashboard.Dashboard(self.title).uid(self.uid).description(self.description)
        board = board.tags(["toxic-comments"]).readonly().refresh("30s").time("now-6h", "now")
        board = board.annotation(
            dashboard.AnnotationQuery()
            .name("Promotions")
            .datasource(SOURCE)
            .enable(True)  # noqa: FBT003 - the SDK's
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
"""A series for the minute after a version became champion."""
