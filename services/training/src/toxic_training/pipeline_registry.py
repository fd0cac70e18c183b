"""The pipelines by name; `__default__` runs from raw data to a registered version.

Each of its five parts is also a namespace: a box in Kedro-Viz, and a task of a scheduler.
"""

from kedro.pipeline import Pipeline

from toxic_training.kedro_project.pipelines import (
    baseline,
    batch_scoring,
    data_processing,
    evaluation,
    modelling,
    registration,
    reporting,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Return every pipeline by name."""
    pipelines = {
        "data_processing": data_processing.create_pipeline(),
        "modelling": modelling.create_pipeline(),
        "evaluation": evaluation.create_pipeline(),
        "reporting": reporting.create_pipeline(),
        "registration": registration.create_pipeline(),
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
