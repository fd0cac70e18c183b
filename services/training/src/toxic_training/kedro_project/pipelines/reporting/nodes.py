"""From figures and scores to plots, a table and the report: plain functions."""

import logging

import pandas as pd
import plotly.graph_objects as go

from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reporting.drawing import image, plotly_figure
from toxic_training.evaluation.reporting.figures import headline_table
from toxic_training.evaluation.reporting.plots import PLOTS, draw
from toxic_training.evaluation.reporting.report import render_report
from toxic_training.scoring.exported import ExportedModel

logger = logging.getLogger(__name__)


def draw_plots(
    figures: dict[str, float], test: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> list[object]:
    """Return every plot of `PLOTS` for Plotly, and then all of them as images by file name."""
    drawn = draw(figures, point.calibrated(test), parameters)
    images = {f"{name}.png": image(plot) for name, plot in zip(PLOTS, drawn, strict=True)}
    return [*map(plotly_figure, drawn), images]


def write_report(
    *,
    figures: dict[str, float],
    point: OperatingPoint,
    model: ExportedModel,
    parameters: EvaluationParameters,
    **drawn: go.Figure,
) -> str:
    """Return the report as one HTML file."""
    return render_report(figures, drawn, point=point, facts=model.facts, parameters=parameters)


def log_headlines(figures: dict[str, float]) -> str:
    """Log the headline figures as a table, and return it."""
    table = headline_table(figures)
    logger.info("Evaluation\n\n%s", table)
    return table
