"""Wires figures and scores to plots, table and report."""

from kedro.pipeline import Node, Pipeline

from toxic_training.evaluation.reporting.drawing import draw_plots
from toxic_training.evaluation.reporting.figures import log_headlines
from toxic_training.evaluation.reporting.plots import PLOTS
from toxic_training.evaluation.reporting.report import write_report

_PARAMETERS = "params:evaluation"
_PLOTS = [f"{name}_plot" for name in PLOTS]


def create_pipeline() -> Pipeline:
    """Return the pipeline `reporting`."""
    return Pipeline(reporting_nodes())


def reporting_nodes() -> list[Node]:
    """Return the nodes from `evaluation_report` to the report."""
    return [
        Node(
            draw_plots,
            ["evaluation_report", "test_scores", "operating_point", _PARAMETERS],
            [*_PLOTS, "plot_images", "plot_drawings"],
        ),
        Node(
            write_report,
            {
                "figures": "evaluation_report",
                "point": "operating_point",
                "model": "exported_model",
                "parameters": _PARAMETERS,
                "drawings": "plot_drawings",
            },
            "evaluation_html",
        ),
        Node(log_headlines, "evaluation_report", "evaluation_table"),
    ]
