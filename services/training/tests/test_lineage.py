"""What a version's lineage lists of the corrections that it was trained with."""

from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from toxic_core.contract import open_bundle
from toxic_training.data.corrections import CorrectionParameters, curate
from toxic_training.data.feedback_source import Correction
from toxic_training.release.model_version import (
    CORRECTIONS_ARTIFACT,
    RegistrationParameters,
    prepare_release,
    register,
    versions_trained_with,
)

pytestmark = pytest.mark.slow


def _use_database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow store runs and versions in a folder."""
    monkeypatch.chdir(folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)


def test_a_version_s_tags_have_the_cursor_the_digest_and_the_count_by_door(sealed: Path) -> None:
    """And its release the ids, which become an artifact of its run."""
    corrections = [
        Correction(place, f"id-{place}", text, "en", {"toxic": False}, source, "one")
        for place, text, source in ((3, "you are kind", "native"), (9, "never mind", "page"))
    ]
    curated = curate(corrections, CorrectionParameters(), training_rows=1_000)
    parameters = RegistrationParameters(model_name="m", alias="challenger")
    release = prepare_release(open_bundle(sealed), parameters, curated.report, curated.ids)
    listed = {name: value for name, value in release.tags.items() if name.startswith("corrections.")}
    assert listed == {
        "corrections.cursor": "9",
        "corrections.digest": curated.table.digest,
        "corrections.rows": "2",
        "corrections.source.native": "1",
        "corrections.source.page": "1",
    }
    assert release.corrections == ("id-3", "id-9")
    assert release.report == "evaluation.html"


def test_a_version_exists_only_with_its_corrections(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are logged before the version is registered, during which the process may be killed."""
    _use_database(tmp_path, monkeypatch)

    def killed(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.pyfunc.log_model", killed)
    bundle = open_bundle(sealed.rename(tmp_path / "bundle"))
    parameters = RegistrationParameters(model_name="m", alias="challenger")
    with pytest.raises(KeyboardInterrupt), mlflow.start_run() as run:
        register(prepare_release(bundle, parameters, correction_ids=["a", "b"]))
    artifacts = MlflowClient().list_artifacts(run.info.run_id)
    assert [artifact.path for artifact in artifacts] == [CORRECTIONS_ARTIFACT]


def test_the_versions_of_a_correction_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its whole id, also of versions that were trained before it was deleted."""
    _use_database(tmp_path, monkeypatch)
    client = MlflowClient()
    client.create_registered_model("m")
    for ids in (["a", "b"], None, ["ab"], ["b"]):
        run = client.create_run("0")
        if ids is not None:
            client.log_text(run.info.run_id, "".join(f"{each}\n" for each in ids), CORRECTIONS_ARTIFACT)
        client.create_model_version("m", f"{run.info.artifact_uri}/model", run.info.run_id)
    assert versions_trained_with("b", "m") == ["1", "4"]
    assert versions_trained_with("ab", "m") == ["3"]
    assert versions_trained_with("c", "m") == []
