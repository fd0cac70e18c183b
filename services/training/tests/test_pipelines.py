import importlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader
from kedro.framework.project import configure_project, pipelines, settings
from kedro.framework.startup import bootstrap_project
from kedro.io import CatalogConfigResolver, DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from toxic_core.errors import ConfigurationError, MissingDataError
from toxic_training.data.corrections import (
    FEEDBACK,
    FEEDBACK_TEST,
    FEEDBACK_TRAFFIC,
    CorrectionParameters,
)
from toxic_training.data.parameters import DataParameters, SourceParameters
from toxic_training.kedro_project.datasets import BundleDataset, FileDigestDataset
from toxic_training.kedro_project.hooks import RawDataHook, SigningKeyHook
from toxic_training.kedro_project.pipelines.data_processing import pipeline as data_processing
from toxic_training.kedro_project.tidied_tables import TidiedDataset
from toxic_training.release.bundle import SIGNING_KEY_VARIABLE, UNKNOWN, code_revision

pytestmark = pytest.mark.slow

RawTable = Callable[[list[str], list[str]], pd.DataFrame]

PROJECT = Path(__file__).resolve().parents[1]
CORRECTED = (FEEDBACK, FEEDBACK_TEST, FEEDBACK_TRAFFIC)


@pytest.fixture(scope="module", autouse=True)
def project() -> None:
    """Configure Kedro for this project."""
    bootstrap_project(PROJECT)
    configure_project("toxic_training")


def test_the_default_pipeline_is_complete() -> None:
    """Without a name, Kedro runs from raw tables to a registered version."""
    whole = pipelines["__default__"]
    assert {"raw_train", "raw_validation", "raw_test", "raw_test_labels"} <= whole.inputs()
    assert "model_version" in whole.outputs()


def test_layers_are_ordered_in_every_pipeline() -> None:
    """Kedro-Viz shows layers only if their order has no cycle."""
    loader = OmegaConfigLoader(conf_source=str(PROJECT / "conf"), env="demo", **settings.CONFIG_LOADER_ARGS)
    resolver = CatalogConfigResolver(loader["catalog"])
    for name, pipeline in pipelines.items():
        layers = {dataset: _layer(resolver, dataset) for dataset in pipeline.datasets()}
        for node in pipeline.nodes:
            after = pipeline.from_nodes(node.name).all_outputs()
            latest_read = max((layers[each] for each in node.inputs if layers.get(each)), default="")
            early = {each for each in after if layers[each] and layers[each] < latest_read}
            assert not early, (
                f"{name}: {node.name} reads {latest_read}, but what follows has an earlier layer"
            )


def test_every_dataset_has_a_layer() -> None:
    """Every file and every MLflow dataset has a layer."""
    loader = OmegaConfigLoader(conf_source=str(PROJECT / "conf"), env="demo", **settings.CONFIG_LOADER_ARGS)
    resolver = CatalogConfigResolver(loader["catalog"])
    for dataset in pipelines["__default__"].datasets():
        in_memory = resolver.resolve_pattern(dataset)["type"] == "kedro.io.MemoryDataset"
        assert in_memory or _layer(resolver, dataset), dataset


def test_parts_of_the_pipeline_meet_on_disk_only() -> None:
    """A scheduler may run each on another machine, or repeat one."""
    loader = OmegaConfigLoader(conf_source=str(PROJECT / "conf"), env="demo", **settings.CONFIG_LOADER_ARGS)
    resolver = CatalogConfigResolver(loader["catalog"])
    groups = pipelines["__default__"].group_nodes_by("namespace")
    parts = {group.name: pipelines["__default__"].only_nodes(*group.nodes) for group in groups}
    assert parts.keys() == {"data_processing", "modelling", "evaluation", "reporting", "registration"}
    for reader, reading in parts.items():
        for writer, writing in parts.items():
            for dataset in reading.inputs() & writing.all_outputs():
                kind = resolver.resolve_pattern(dataset)["type"]
                assert kind != "kedro.io.MemoryDataset", f"{reader} reads {dataset} of {writer}"


def _layer(resolver: CatalogConfigResolver, dataset: str) -> str:
    metadata = resolver.resolve_pattern(dataset).get("metadata") or {}
    return str(metadata.get("kedro-viz", {}).get("layer", ""))


def test_every_module_of_nodes_is_free_of_kedro() -> None:
    """Nodes are plain functions: their modules import nothing of Kedro."""
    for name in ("data_processing", "modelling", "evaluation", "batch_scoring"):
        module = importlib.import_module(f"toxic_training.kedro_project.pipelines.{name}.nodes")
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        assert "kedro" not in source.lower()


def test_data_processing_runs_on_tables_in_memory(
    raw_train: RawTable, data_parameters: DataParameters, tmp_path: Path
) -> None:
    """The pipeline's wiring fits its nodes; only tidied tables and the split's own files are on disk."""
    tidied = (f"tidied_{table}" for table in ("train", "validation", "test", "additional"))
    ids = [str(index) for index in range(30)]
    texts = [f"comment {index}" for index in ids]
    catalog = DataCatalog(
        {
            "raw_train": MemoryDataset(raw_train([f"own {text}" for text in texts], ["0", "1"] * 15)),
            "raw_validation": MemoryDataset(
                pd.DataFrame(
                    {"id": ids, "comment_text": [f"v {t}" for t in texts], "lang": "es", "toxic": "1"}
                )
            ),
            "raw_test": MemoryDataset(pd.DataFrame({"id": ids, "content": texts, "lang": "tr"})),
            "raw_test_labels": MemoryDataset(pd.DataFrame({"id": ids, "toxic": ["0", "1"] * 15})),
            "raw_additional": MemoryDataset({}),
            "raw_corrections": MemoryDataset([]),
            "raw_champion": MemoryDataset(lambda: None),
            "params:corrections": MemoryDataset(CorrectionParameters()),
            "raw_train_digest": MemoryDataset("0" * 64),
            "raw_validation_digest": MemoryDataset("1" * 64),
            "split_scratch": MemoryDataset(tmp_path / "split"),
            **{name: TidiedDataset(str(tmp_path / name)) for name in tidied},
            "params:data": MemoryDataset(
                data_parameters.model_copy(
                    update={"additional": {name: SourceParameters() for name in CORRECTED}}
                )
            ),
        }
    )
    outputs = SequentialRunner().run(data_processing.create_pipeline(), catalog)
    metrics = outputs["data_metrics"].load()
    assert metrics["rows.test"]["value"] == 30
    assert metrics["rows.training"]["value"] + metrics["rows.validation"]["value"] == 60


def test_missing_files_are_named_before_anything_runs(tmp_path: Path) -> None:
    """The error names each missing file, the folder it was looked for in, and where to get it."""
    (tmp_path / "test.csv").write_text("id,content,lang\n")
    files = {
        "raw_train": "jigsaw-toxic-comment-train.csv",
        "raw_validation": "validation.csv",
        "raw_test": "test.csv",
        "raw_test_labels": "test_labels.csv",
    }
    catalog = DataCatalog({name: FileDigestDataset(str(tmp_path / file)) for name, file in files.items()})
    with pytest.raises(MissingDataError) as caught:
        RawDataHook().before_pipeline_run(pipeline=data_processing.create_pipeline(), catalog=catalog)
    message = str(caught.value)
    assert "jigsaw-toxic-comment-train.csv, test_labels.csv, validation.csv not found" in message
    assert str(tmp_path) in message
    assert "Kaggle" in message
    assert "TOXIC_DATA_DIR" in message


def test_a_signing_key_is_read_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong path mustn't fail a run after its training; a run without a bundle needs no key."""
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, str(tmp_path / "no-key"))
    catalog = DataCatalog({"bundle": BundleDataset(str(tmp_path / "bundle"))})
    hook = SigningKeyHook()
    hook.before_pipeline_run(pipeline=pipelines["data_processing"], catalog=catalog)
    with pytest.raises(ConfigurationError, match="no-key"):
        hook.before_pipeline_run(pipeline=pipelines["registration"], catalog=catalog)


def test_code_revision_outside_git_is_unknown(tmp_path: Path) -> None:
    """An installed package has an unknown revision."""
    assert code_revision(tmp_path) == UNKNOWN


def test_the_demo_environment_contains_only_differences() -> None:
    """Configuration is merged key by key, so that a user's file contains only the user's changes."""
    loader = OmegaConfigLoader(conf_source=str(PROJECT / "conf"), env="demo", **settings.CONFIG_LOADER_ARGS)
    data = DataParameters.model_validate(loader["parameters"]["data"])
    assert data.train == SourceParameters(language="und", train_fraction=0.9, licence="Apache-2.0")
    assert data.additional.keys() == {*loader["catalog"]["raw_additional"]["tables"], *CORRECTED}
    assert CorrectionParameters.model_validate(loader["parameters"]["corrections"]) == CorrectionParameters()
