"""Draws plots: by Plotly for the browser and Kedro-Viz, by Matplotlib as images.

Two libraries, because Plotly's own images need a browser on the machine that trains.

Invariant: both draw the same series in the same colours, which can be read on a light and a dark ground.
"""

from itertools import cycle

import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Image

from toxic_training.evaluation.reporting.plots import Plot, Series

COLOURS = ("#2f7ed8", "#d9822b", "#2e9e6b", "#c2528b", "#8a6fd1", "#a68a2c", "#4aa3a3", "#b5534a")
_GREY = "#8a8f98"
_GRID = "rgba(138,143,152,0.25)"
_INCHES = (8.0, 5.0)
_LEGEND_COLUMNS = 4


def plotly_figure(plot: Plot) -> go.Figure:
    """Return `plot` for Plotly."""
    figure = go.Figure()
    for series, colour in zip(plot.series, cycle(COLOURS), strict=False):
        figure.add_trace(_bars(series, colour) if plot.kind == "bars" else _line(series, colour))
    if plot.diagonal:
        figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": _GREY, "dash": "dot"})
    figure.update_layout(
        title=plot.title,
        xaxis={"title": {"text": plot.x_title}, "gridcolor": _GRID},
        yaxis={"title": {"text": plot.y_title}, "range": [0, 1.02], "gridcolor": _GRID},
        legend={"orientation": "h", "y": -0.25},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": _GREY},
        template="none",
    )
    if plot.kind == "lines":
        figure.update_xaxes(range=[0, 1])
    return figure


def image(plot: Plot) -> Image:
    """Return `plot` for Matplotlib, ready to be written as PNG."""
    drawn = Image(figsize=_INCHES, layout="constrained")
    axes = drawn.add_subplot()
    if plot.kind == "bars":
        _draw_bars(axes, plot)
    else:
        for series, colour in zip(plot.series, cycle(COLOURS), strict=False):
            axes.plot(series.x, series.y, label=series.name, color=colour)
        axes.set(xlabel=plot.x_title, ylabel=plot.y_title, xlim=(0, 1))
    if plot.diagonal:
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle=":")
    axes.set_title(plot.title)
    if plot.series:
        drawn.legend(loc="outside lower center", ncols=_LEGEND_COLUMNS)
    return drawn


def _draw_bars(axes: Axes, plot: Plot) -> None:
    names = list(dict.fromkeys(name for series in plot.series for name in series.x))
    # Bars side by side only where the series have names in common.
    together = max((sum(name in series.x for series in plot.series) for name in names), default=1)
    height = 0.8 / together
    for index, (series, colour) in enumerate(zip(plot.series, cycle(COLOURS), strict=False)):
        offset = (index if together > 1 else 0) * height
        places = [names.index(name) + offset for name in series.x]
        spread = [list(series.below), list(series.above)] if series.below else None
        axes.barh(places, series.y, height=height, label=series.name, color=colour, xerr=spread)
    axes.set_yticks(range(len(names)), [str(name) for name in names], fontsize="small")
    axes.invert_yaxis()
    axes.set(xlabel=plot.y_title, xlim=(0, 1.02))


def _line(series: Series, colour: str) -> go.Scatter:
    return go.Scatter(
        x=list(series.x), y=list(series.y), name=series.name, mode="lines", line={"color": colour}
    )


def _bars(series: Series, colour: str) -> go.Bar:
    spread = {
        "type": "data",
        "symmetric": False,
        "array": list(series.above),
        "arrayminus": list(series.below),
        "color": _GREY,
    }
    return go.Bar(
        x=list(series.x),
        y=list(series.y),
        name=series.name,
        marker={"color": colour},
        error_y=spread if series.below else None,
    )
