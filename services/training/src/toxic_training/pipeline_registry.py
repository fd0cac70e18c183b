"""The pipelines that `kedro run --pipeline NAME` knows; the default one is the whole path."""

from kedro.pipeline import Pipeline

from toxic_training.pipelines import baseline, data_processing, evaluation, modelling, registration


def register_pipelines() -> dict[str, Pipeline]:
    """Return every pipeline by name."""
    pipelines = {
        "data_processing": data_processing.create_pipeline(),
        "modelling": modelling.create_pipeline(),
        "evaluation": evaluation.create_pipeline(),
        "registration": registration.create_pipeline(),
    }
    return {
        **pipelines,
        "pack_baseline": baseline.create_packing_pipeline(),
        "baseline": baseline.create_pipeline(),
        "__default__": sum(pipelines.values(), start=Pipeline([])),
    }
