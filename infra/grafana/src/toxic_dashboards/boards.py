"""The dashboards, which the YAML files beside this module describe, and their export as Grafana's JSON.

Invariant: the same files export the same bytes, so that a test finds a stale export.
"""

from collections.abc import Callable, Mapping
from importlib.resources import files
from string import ascii_uppercase
from typing import Literal

import yaml
from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphDrawStyle, GraphTresholdsStyleMode, StackingMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.dashboard import Panel as PanelModel
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from pydantic import Field

from toxic_core.contract.schema import FrozenModel
from toxic_core.registered import MODEL_NAME

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""The data source that a board's variable selects, so that a board imports into any Grafana."""

TAG = MODEL_NAME
"""Marks the boards, so that they link to each other."""

VARIABLES: Mapping[str, str] = {
    "instance": 'label_values(up{job="inference"}, instance)',
    "version": "label_values(toxic_inference_alias_info, version)",
}
"""The variables that every query of inference's metrics filters by, with their values; all at first."""

PROMOTIONS = (
    "max by (version) (toxic_inference_alias_info{alias='champion'}) "
    "unless on (version) max by (version) (toxic_inference_alias_info{alias='champion'} offset 1m)"
)
"""A series during the minute after a version became champion."""

Unit = Literal["percentunit", "s", "bytes", "short", "cps", "reqps", "none", "dateTimeFromNow"]
"""Grafana's names of the units used here."""

Color = Literal["green", "yellow", "red", "text"]
"""Grafana's names of the colors used here; `text` is neutral."""

Kind = Literal["lines", "stack", "number", "heatmap", "table"]
"""A panel's visualization."""

_BUILDERS: Mapping[Kind, Callable[[], timeseries.Panel | stat.Panel | heatmap.Panel | table.Panel]] = {
    "lines": lambda: timeseries.Panel().draw_style(GraphDrawStyle.LINE),
    "stack": lambda: (
        timeseries.Panel().fill_opacity(30).stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    ),
    "number": stat.Panel,
    "heatmap": heatmap.Panel,
    "table": table.Panel,
}

_FORMATS: Mapping[Kind, PromQueryFormat] = {
    "heatmap": PromQueryFormat.HEATMAP,
    "table": PromQueryFormat.TABLE,
}


class Panel(FrozenModel):
    """One panel.

    Attributes:
        title: unique in its board.
        description: what it shows, and which values are good or bad.
        unit: of every series.
        queries: PromQL by the template of its series' names.
        kind: its visualization.
        width: in columns, of 24.
        needs: the event before which its queries may be empty; empty if they always have data under traffic.
        thresholds: the color from a value on, ascending; values below the first have `below`.
        below: the color of the lowest values.
    """

    title: str
    description: str
    unit: Unit
    queries: dict[str, str]
    kind: Kind = "lines"
    width: int = 8
    needs: str = ""
    thresholds: dict[float, Color] = Field(default_factory=dict)
    below: Color = "green"

    def build(self) -> Builder[PanelModel]:
        """Return the SDK's panel."""
        builder = _BUILDERS[self.kind]()
        builder = builder.title(self.title).description(self.description).unit(self.unit)
        builder = builder.datasource(SOURCE).height(8).span(self.width)
        builder = builder.no_value(f"No data yet: needs {self.needs}" if self.needs else "No data yet")
        steps = [Threshold(color=self.below), *(Threshold(*step) for step in self.thresholds.items())]
        builder = builder.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        if self.thresholds and isinstance(builder, timeseries.Panel):
            style = common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED)
            builder = builder.thresholds_style(style)
        for name, (legend, expr) in zip(ascii_uppercase, self.queries.items(), strict=False):
            target = prometheus.Dataquery().datasource(SOURCE).expr(expr).ref_id(name).legend_format(legend)
            if self.kind in _FORMATS:
                target = target.format(_FORMATS[self.kind])
            instant = self.kind in {"number", "table"}
            builder = builder.with_target(target.instant() if instant else target.range())
        return builder


class Row(FrozenModel):
    """A heading and its panels."""

    title: str
    panels: tuple[Panel, ...]


class Board(FrozenModel):
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

    def export(self) -> str:
        """Return Grafana's JSON, with an annotation per promotion and links to the other boards."""
        board = dashboard.Dashboard(self.title).uid(self.uid).description(self.description)
        board = board.tags([TAG]).readonly().refresh("30s").time("now-6h", "now")
        board = board.with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
        for name, values in VARIABLES.items():
            board = board.with_variable(
                dashboard.QueryVariable(name)
                .label(name.capitalize())
                .datasource(SOURCE)
                .query(values)
                .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
                .multi(True)  # noqa: FBT003  the SDK's signature
                .include_all(True)  # noqa: FBT003  as above
                .all_value(".*")
                .current(VariableOption(text="All", value="$__all"))
            )
        board = board.link(
            dashboard.DashboardLink("Toxic comments")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(True)  # noqa: FBT003  the SDK's signature
            .include_vars(True)  # noqa: FBT003  as above
        )
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
        return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


SERVICE, MODEL, TRAINING = BOARDS = tuple(
    Board.model_validate(yaml.safe_load((files("toxic_dashboards") / f"{name}.yml").read_text("utf-8")))
    for name in ("service", "model", "training")
)
