"""Wires a model to its figures: one that was just trained, or one in a bundle."""

from kedro.pipeline import Node, Pipeline

from toxic_training.kedro_project.pipelines.evaluation import nodes
from toxic_training.kedro_project.pipelines.reporting import reporting_nodes

_PARAMETERS = "params:evaluation"


def create_pipeline() -> Pipeline:
    """Return the pipeline `evaluation`: export, fit the operating point, measure."""
    return Pipeline(
        [
            Node(nodes.prepare_export, ["classifier", "encoder", "params:modelling"], "exported_model"),
            Node(nodes.fit_operating_point, ["validation_scores", _PARAMETERS], "operating_point"),
            Node(
                nodes.describe_reference,
                ["validation_scores", "operating_point", _PARAMETERS],
                "reference_scores",
            ),
            Node(nodes.describe_traffic, ["validation_scores", _PARAMETERS], "reference_traffic"),
            *_scoring(),
            *_measuring(),
        ],
        namespace="evaluation",
        prefix_datasets_with_namespace=False,
    )


def create_bundle_pipeline(bundle: str) -> Pipeline:
    """Return the pipeline that measures a bundle with its own calibration and thresholds.

    Its datasets are in the namespace `evaluated`, separate from those of the model in training.
    """
    opening = [
        Node(nodes.open_model, bundle, "exported_model"),
        Node(nodes.open_operating_point, bundle, "operating_point"),
    ]
    return Pipeline(
        [*opening, *_scoring(), *_measuring(), *reporting_nodes()],
        namespace="evaluated",
        inputs={bundle, "validation_comments", "test_comments", "raw_suites", "champion"},
        parameters={_PARAMETERS},
    )


def _scoring() -> list[Node]:
    """Return the nodes from `exported_model` to its scores."""
    tables = {
        "validation": "validation_comments",
        "test": "test_comments",
        "template": "templates",
        "hatecheck": "hatecheck_cases",
    }
    return [
        Node(nodes.tidy_templates, "raw_suites", "templates"),
        Node(nodes.tidy_hatecheck, "raw_suites", "hatecheck_cases"),
        *(
            Node(
                nodes.score_with_export,
                ["exported_model", comments, _PARAMETERS],
                f"{name}_scores",
                name=f"score_{comments}",
            )
            for name, comments in tables.items()
        ),
        Node(nodes.score_with_champion, ["champion", "test_comments", _PARAMETERS], "champion_scores"),
    ]


def _measuring() -> list[Node]:
    """Return the nodes from scores and `operating_point` to `evaluation_report`."""
    return [
        Node(
            nodes.measure_comments,
            ["validation_scores", "test_scores", "operating_point", _PARAMETERS],
            "comment_figures",
        ),
        Node(
            nodes.measure_suites,
            ["template_scores", "hatecheck_scores", "operating_point", _PARAMETERS],
            "suite_figures",
        ),
        Node(
            nodes.compare_with_champion,
            ["test_scores", "champion_scores", "operating_point", _PARAMETERS],
            "champion_figures",
        ),
        Node(nodes.measure_cost, ["exported_model", "test_comments", _PARAMETERS], "cost_figures"),
        Node(
            nodes.measure_precision,
            ["exported_model", "validation_comments", "validation_scores", _PARAMETERS],
            "precision_figures",
        ),
        Node(
            nodes.collect_figures,
            ["comment_figures", "suite_figures", "champion_figures", "cost_figures", "precision_figures"],
            ["evaluation_report", "evaluation_metrics"],
        ),
    ]
