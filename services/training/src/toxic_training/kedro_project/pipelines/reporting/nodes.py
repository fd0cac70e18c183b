"""From figures and scores to plots, a table and the report: plain functions."""

import logging

import pandas as pd
import plotly.graph_objects as go
from matplotlib.figure import Figure as Image

from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reporting import plots
from toxic_training.evaluation.reporting.drawing import image, plotly_figure
from toxic_training.evaluation.reporting.figures import headline_table
from toxic_training.evaluation.reporting.plots import Plot
from toxic_training.evaluation.reporting.report import render_report
from toxic_training.scoring.exported import ExportedModel

logger = logging.getLogger(__name__)

PLOTS = ("roc", "precision_recall", "reliability", "thresholds", "languages", "functionalities")
"""The report's plots, in order."""


def draw_plots(
    figures: dict[str, float], test: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> list[object]:
    """Return every plot of `PLOTS` for Plotly, and then all of them as images by file name."""
    drawn = _plots(figures, point.calibrated(test), parameters)
    return [*(plotly_figure(plot) for plot in drawn), _images(drawn)]


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


def tell_headlines(figures: dict[str, float]) -> str:
    """Return the headline figures as a table, which is logged too."""
    table = headline_table(figures)
    logger.info("Evaluation\n\n%s", table)
    return table


def _plots(
    figures: dict[str, float], calibrated: pd.DataFrame, parameters: EvaluationParameters
) -> list[Plot]:
    return [
        plots.roc_plot(calibrated, parameters),
        plots.precision_recall_plot(calibrated, parameters),
        plots.reliability_plot(calibrated, parameters),
        plots.threshold_plot(calibrated, parameters),
        plots.language_plot(figures),
        plots.functionality_plot(figures),
    ]


def _images(drawn: list[Plot]) -> dict[str, Image]:
    return {f"{name}.png": image(plot) for name, plot in zip(PLOTS, drawn, strict=True)}
