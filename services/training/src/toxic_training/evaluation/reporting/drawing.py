"""Draws plots: with Plotly for Kedro-Viz, with Matplotlib as images and as the SVG elements of the report.

Two libraries, because Plotly's own images need a browser on the machine that trains, and its script makes a
report of 5 MB. Both draw the same series in the same colours, legible on light and dark backgrounds.
"""

import io
from itertools import cycle

import pandas as pd
import plotly.graph_objects as go
from matplotlib import rc_context
from matplotlib.figure import Figure as Image

from toxic_training.data.comments import SOURCE
from toxic_training.evaluation.measuring import TEST
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reporting import plots

COLOURS = ("#2f7ed8", "#d9822b", "#2e9e6b", "#c2528b", "#8a6fd1", "#a68a2c", "#4aa3a3", "#b5534a")
_GREY = "#8a8f98"
_GRID = "rgba(138,143,152,0.25)"
_INCHES_PER_BAR = 0.3
_LETTERS_PER_INCH = 9
_SVG_INCHES = 6.0
_INK = "#123457"
"""Stands for the page's text colour, which an SVG element takes from the page."""
_SVG_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 14,
    "axes.titlesize": "medium",
    "axes.facecolor": "none",
    "legend.framealpha": 0,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor", "xtick.color", "ytick.color"),
        _INK,
    ),
}


def draw_plots(
    figures: dict[str, float], test: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> list[object]:
    """Return every plot of `PLOTS` for Plotly, then all as images by file name, then all with data as SVG."""
    curves = plots.curve_plots(point.calibrated(test[test[SOURCE] == TEST]), parameters)
    drawn = [*curves, plots.language_plot(figures), plots.functionality_plot(figures)]
    images = {f"{name}.png": image(plot) for name, plot in zip(plots.PLOTS, drawn, strict=True)}
    drawings = {name: svg(plot) for name, plot in zip(plots.PLOTS, drawn, strict=True) if plot.series}
    return [*map(plotly_figure, drawn), images, drawings]


def plotly_figure(plot: plots.Plot) -> go.Figure:
    """Return `plot` for Plotly."""
    figure = go.Figure()
    for series, colour in zip(plot.series, cycle(COLOURS), strict=False):
        data = {"x": list(series.x), "y": list(series.y), "name": series.name}
        if plot.kind == "lines":
            figure.add_trace(go.Scatter(**data, mode="lines", line={"color": colour}))
            continue
        ends = {"array": list(series.above), "arrayminus": list(series.below)}
        spread = {"type": "data", "symmetric": False, "color": _GREY, **ends} if series.below else None
        figure.add_trace(go.Bar(**data, marker={"color": colour}, error_y=spread))
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


def image(plot: plots.Plot, width: float = 8.0) -> Image:
    """Return `plot` as a Matplotlib figure, `width` inches wide, which can be saved as PNG."""
    names = list(dict.fromkeys(name for series in plot.series for name in series.x))
    bars = 0 if plot.kind == "lines" else len(names)
    drawn = Image(figsize=(width, max(0.7 * width, 2 + _INCHES_PER_BAR * bars)), layout="constrained")
    axes = drawn.add_subplot()
    # Bars are side by side only if the series have names in common.
    together = max((sum(name in series.x for series in plot.series) for name in names), default=1)
    height = 0.8 / together
    for index, (series, colour) in enumerate(zip(plot.series, cycle(COLOURS), strict=False)):
        if plot.kind == "lines":
            axes.plot(series.x, series.y, label=series.name, color=colour)
            continue
        offset = (index if together > 1 else 0) * height
        positions = [names.index(name) + offset for name in series.x]
        spread = [list(series.below), list(series.above)] if series.below else None
        axes.barh(
            positions, series.y, height=height, label=series.name, color=colour, xerr=spread, ecolor=_GREY
        )
    if plot.kind == "lines":
        axes.set(xlabel=plot.x_title, ylabel=plot.y_title, xlim=(0, 1))
    else:
        axes.set_yticks(range(len(names)), [str(name) for name in names], fontsize="small")
        axes.invert_yaxis()
        axes.set(xlabel=plot.y_title, xlim=(0, 1.02))
    if plot.diagonal:
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle=":")
    axes.set_title(plot.title)
    if plot.series:
        longest = max(len(series.name) for series in plot.series) + 8  # the line before a name, and the gap
        drawn.legend(loc="outside lower center", ncols=max(1, int(_LETTERS_PER_INCH * width) // longest))
    return drawn


def svg(plot: plots.Plot) -> str:
    """Return `plot` as an SVG element that scales to its place and takes the page's text colour."""
    buffer = io.StringIO()
    with rc_context(_SVG_STYLE):  # type: ignore[arg-type]  # wants literals for keys
        drawn = image(plot, _SVG_INCHES)
        drawn.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")
