"""The pipelines by name; `__default__` runs from raw data to a registered version.

Each of its five parts is also a namespace: a box in Kedro-Viz, and a task of a scheduler.
"""

from kedro.pipeline import Pipeline

from toxic_training.kedro_project.pipelines.baseline import pipeline as baseline
from toxic_training.kedro_project.pipelines.batch_scoring import pipeline as batch_scoring
from toxic_training.kedro_project.pipelines.data_processing import pipeline as data_processing
from toxic_training.kedro_project.pipelines.evaluation import pipeline as evaluation
from toxic_training.kedro_project.pipelines.modelling import pipeline as modelling
from toxic_training.kedro_project.pipelines.registration import pipeline as registration
from toxic_training.kedro_project.pipelines.reporting import pipeline as reporting


def register_pipelines() -> dict[str, Pipeline]:
    """Return every pipeline by name."""
    parts = {
        "data_processing": data_processing,
        "modelling": modelling,
        "evaluation": evaluation,
        "reporting": reporting,
        "registration": registration,
    }
    pipelines = {
        name: Pipeline([part.create_pipeline()], namespace=name, prefix_datasets_with_namespace=False)
        for name, part in parts.items()
    }
    shipped = baseline.create_pipeline()
    unpacking = shipped.to_outputs("baseline_bundle")
    return {
        **pipelines,
        "fine_tuned_encoder": baseline.create_encoder_pipeline(),
        "pack_baseline": baseline.create_packing_pipeline(),
        "baseline": shipped,
        "unpack_baseline": unpacking,
        "evaluate": pipelines["data_processing"] + evaluation.create_bundle_pipeline("evaluated_bundle"),
        "evaluate_baseline": pipelines["data_processing"]
        + unpacking
        + evaluation.create_bundle_pipeline("baseline_bundle"),
        "batch_scoring": batch_scoring.create_pipeline(),
        "__default__": sum(pipelines.values(), start=Pipeline([])),
    }
