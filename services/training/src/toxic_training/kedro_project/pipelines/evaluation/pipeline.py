"""Wires a model to its figures: one that was just trained, or one in a bundle."""

from collections.abc import Callable

from kedro.pipeline import Node, Pipeline

from toxic_training.evaluation.calibrating import fit_operating_point
from toxic_training.evaluation.comparison import compare_with_champion
from toxic_training.evaluation.cost import measure_cost
from toxic_training.evaluation.disguises import disguise_comments
from toxic_training.evaluation.measuring import measure_sets
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.precision import measure_precision
from toxic_training.evaluation.reference import describe_reference, describe_traffic
from toxic_training.evaluation.suites import measure_disguised, measure_suites
from toxic_training.kedro_project.pipelines.evaluation import nodes
from toxic_training.kedro_project.pipelines.reporting.pipeline import reporting_nodes
from toxic_training.scoring.exported import ExportedModel

_PARAMETERS = "params:evaluation"
_REFERENCE = ("validation", "test", "traffic")


def create_pipeline() -> Pipeline:
    """Return the pipeline `evaluation`: export, fit the operating point, measure."""
    return Pipeline(
        [
            Node(nodes.prepare_export, ["classifier", "encoder", "params:modelling"], "exported_model"),
            _score("thresholds"),
            Node(
                fit_operating_point,
                ["validation_scores", "thresholds_scores", _PARAMETERS],
                "operating_point",
            ),
            _score("traffic"),
            *(
                Node(
                    nodes.join_reference,
                    [f"{table}_{kind}" for table in _REFERENCE],
                    made,
                    name=f"join_{made}",
                )
                for kind, made in (("comments", "reference_texts"), ("scores", "reference_rows"))
            ),
            Node(
                nodes.weigh_reference,
                {
                    "rows": "reference_rows",
                    "texts": "reference_texts",
                    "champion": "champion",
                    "traffic": "recent_traffic",
                    "parameters": _PARAMETERS,
                },
                "weighted_reference",
            ),
            Node(
                describe_reference, ["weighted_reference", "operating_point", _PARAMETERS], "reference_scores"
            ),
            Node(describe_traffic, ["weighted_reference", _PARAMETERS], "reference_traffic"),
            Node(nodes.fit_reference_scales, ["suite_scores", "operating_point"], "reference_scales"),
            *_measuring(),
        ]
    )


def create_bundle_pipeline(bundle: str) -> Pipeline:
    """Return the pipeline that measures a bundle with its own calibration and thresholds.

    Its datasets are in the namespace `evaluated`, separate from those of the model in training.
    """
    opening = [
        Node(ExportedModel.of, bundle, "exported_model", name="open_model"),
        Node(OperatingPoint.of, bundle, "operating_point", name="open_operating_point"),
    ]
    return Pipeline(
        [*opening, *_measuring(), *reporting_nodes()],
        namespace="evaluated",
        inputs={
            *(bundle, "training_comments", "validation_comments", "test_comments"),
            *("raw_suites", "champion"),
        },
        parameters={_PARAMETERS},
    )


def _measuring() -> list[Node]:
    """Return the nodes from `exported_model` and `operating_point` to `evaluation_report`."""
    figures: dict[str, tuple[Callable[..., dict[str, float]], *tuple[str, ...]]] = {
        "comment": (measure_sets, "validation_scores", "test_scores", "operating_point"),
        "suite": (measure_suites, "suite_scores", "operating_point"),
        "disguised": (measure_disguised, "test_scores", "disguised_scores", "operating_point"),
        "champion": (compare_with_champion, "test_scores", "champion_scores", "operating_point"),
        "cost": (measure_cost, "exported_model", "test_comments"),
        "precision": (measure_precision, "exported_model", "validation_comments", "validation_scores"),
    }
    measuring = [
        Node(measure, [*inputs, _PARAMETERS], f"{name}_figures")
        for name, (measure, *inputs) in figures.items()
    ]
    return [
        Node(nodes.read_suites, ["raw_suites", "training_comments"], "suite_comments"),
        Node(disguise_comments, ["test_comments", _PARAMETERS], "disguised_comments"),
        *map(_score, ("validation", "test", "suite", "disguised")),
        Node(nodes.score_with_champion, ["champion", "test_comments", _PARAMETERS], "champion_scores"),
        *measuring,
        Node(
            nodes.collect_figures,
            [f"{name}_figures" for name in figures],
            ["evaluation_report", "evaluation_metrics"],
        ),
    ]


def _score(table: str) -> Node:
    return Node(
        nodes.score_comments,
        ["exported_model", f"{table}_comments", _PARAMETERS],
        f"{table}_scores",
        name=f"score_{table}_comments",
    )
