"""Wires raw tables to clean, split comments."""

from kedro.pipeline import Node, Pipeline

from toxic_training.data.parameters import Use
from toxic_training.kedro_project.pipelines.data_processing import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline `data_processing`."""
    return Pipeline(
        [
            Node(nodes.tidy_train, ["raw_train", "params:data"], "tidied_train"),
            Node(nodes.tidy_validation, ["raw_validation", "params:data"], "tidied_validation"),
            Node(nodes.tidy_test, ["raw_test", "raw_test_labels", "params:data"], "tidied_test"),
            Node(
                nodes.add_corrections,
                {
                    "tables": "raw_additional",
                    "corrections": "raw_corrections",
                    "champion": "raw_champion",
                    "train": "tidied_train",
                    "parameters": "params:corrections",
                },
                ["additional_tables", "corrections_report", "correction_ids"],
            ),
            Node(nodes.tidy_additional, ["additional_tables", "params:data"], "tidied_additional"),
            Node(
                nodes.collect_rejected,
                ["tidied_train", "tidied_validation", "tidied_test", "tidied_additional"],
                "rejected_comments",
            ),
            Node(
                nodes.collect_digests,
                ["raw_train_digest", "raw_validation_digest", "additional_tables"],
                "training_data_digests",
            ),
            Node(
                nodes.split_comments,
                {
                    "train": "tidied_train",
                    "validation": "tidied_validation",
                    "test": "tidied_test",
                    "additional": "tidied_additional",
                    "parameters": "params:data",
                    "scratch": "split_scratch",
                },
                [*(f"{use}_comments" for use in Use), "data_counts"],
            ),
            Node(nodes.count_licences, "data_counts", "training_licences"),
            Node(
                nodes.report_counts,
                "data_counts",
                ["data_counts_report", "data_metrics"],
                name="log_data_counts",
            ),
        ]
    )
