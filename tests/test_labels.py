"""A model with a seventh label: trained, sealed, and served through every door beside one with six labels."""

import csv
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest

from toxic_core.contract import read_contract
from toxic_core.labels import LABELS
from toxic_testing.forking import quick_python
from toxic_testing.inference.bundles import BundleFactory
from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port
from toxic_testing.registry import copy_tables
from toxic_testing.training import SMALLEST

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[1]
SEVENTH = "sexual_explicit"
SEVEN = (*LABELS, SEVENTH)
TEXT = "Only an idiot would write this."

_TRAIN = f"""
import toxic_core.labels

toxic_core.labels.LABELS = (*toxic_core.labels.LABELS, {SEVENTH!r})

from toxic_training.__main__ import main

main()
"""
"""Training as if the label's name had been appended to `LABELS`."""


def _write_raw(folder: Path) -> None:
    """Write a share of the generated sample, with a column of the seventh label in the train file alone."""
    folder.mkdir()
    for file in (ROOT / "data" / "sample").glob("*.csv"):
        table = pd.read_csv(file)
        rows = table if "id" in table and len(table) < 1_000 else table.iloc[::8]
        if SEVENTH not in table and "obscene" in table:
            rows = rows.assign(**{SEVENTH: rows["obscene"]})
        rows.to_csv(folder / file.name, index=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train `tiny` with seven labels for one pass, and return its bundle."""
    folder = tmp_path_factory.mktemp("seven")
    _write_raw(folder / "raw")
    shutil.copytree(ROOT / "services" / "training" / "conf", folder / "conf")
    settings = folder / "conf" / "demo" / "globals.yml"
    settings.write_text(settings.read_text().replace("../../data/sample", str(folder / "raw")))
    command = ("run", "--env", "demo", "--conf-source", str(folder / "conf"), "--params", SMALLEST)
    subprocess.run(
        (sys.executable, "-c", _TRAIN, *command, "--to-outputs", "bundle"),
        env={
            **os.environ,
            "TOXIC_DEMO_DIR": str(folder),
            "MLFLOW_TRACKING_URI": copy_tables(folder / "mlflow.db"),
        },
        cwd=folder,
        check=True,
        timeout=600,
    )
    return folder / "06_models" / "bundle"


@pytest.fixture(scope="module")
def service(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Serve the trained version as 2 under the alias, and one with the six labels as 1."""
    folder = tmp_path_factory.mktemp("served")
    models = folder / "models"
    models.mkdir()
    BundleFactory(folder)(models / "1")
    shutil.copytree(trained, models / "2")
    port = free_port()
    server = Server(
        ("-m", "toxic_inference"),
        environment={
            "INFERENCE_PORT": str(port),
            "INFERENCE_MODEL_DIRECTORY": str(models),
            "INFERENCE_PINNED_VERSIONS": "1",
            "INFERENCE_STATE_DIR": str(folder / "state"),
            "INFERENCE_PRECISION": "float32",
        },
        folder=folder,
        python=quick_python("inference"),
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            server.logs.wait_for("route.moved")
            while client.get("/v2/models/toxic-comments/versions/1/ready").status_code != 200:
                time.sleep(0.1)
            yield client
    finally:
        server.kill()


@pytest.fixture(scope="module")
def scores(service: httpx.Client) -> dict[str, float]:
    """Return the native scores of the text, which version 2 gives."""
    answer = service.post("/predict", json={"text": TEXT}).raise_for_status().json()
    assert answer["model_version"] == "2"
    found: dict[str, float] = answer["results"][0]["scores"]
    return found


def test_training_seals_seven_labels(trained: Path) -> None:
    """The contract has the seventh label, fitted and measured like the others."""
    contract = read_contract(trained)
    assert contract.labels == SEVEN
    assert contract.calibration.keys() == contract.thresholds.keys() == set(SEVEN)
    assert contract.reference_scores.keys() == set(SEVEN)
    evaluation = (trained / "evaluation.json").read_text()
    assert f'"heldout.{SEVENTH}.all.auc"' in evaluation


def test_native_answers_have_the_version_s_labels(service: httpx.Client) -> None:
    """JSON with spans, CSV and NDJSON show seven labels of version 2, in the contract's order."""
    answer = service.post("/predict", json={"text": TEXT, "spans": True}).raise_for_status().json()
    (result,) = answer["results"]
    assert list(result["scores"]) == list(result["decisions"]) == list(SEVEN)
    assert all(list(span["influence"]) == list(SEVEN) for span in result["spans"])
    upload = {"file": ("c.csv", f"content\n{TEXT}\n".encode())}
    table = service.post("/predict", files=upload, headers={"accept": "text/csv"}).raise_for_status().text
    (row,) = csv.DictReader(io.StringIO(table))
    assert [name.removeprefix("score_") for name in row if name.startswith("score_")] == list(SEVEN)
    assert row[f"decision_{SEVENTH}"] in {"true", "false"}
    lines = service.post(
        "/predict", content=f'{{"text": "{TEXT}"}}\n', headers={"content-type": "application/x-ndjson"}
    )
    assert list(httpx.Response(200, text=lines.raise_for_status().text).json()["scores"]) == list(SEVEN)


def test_a_job_s_table_has_the_version_s_labels(service: httpx.Client, scores: dict[str, float]) -> None:
    """A background job writes the columns of the version that scores it."""
    job = service.post("/jobs", files={"file": ("c.csv", f"content\n{TEXT}\n".encode())}).raise_for_status()
    address = f"/jobs/{job.json()['id']}"
    while (state := service.get(address).raise_for_status().json()["state"]) in {"queued", "running"}:
        time.sleep(0.05)
    assert state == "done"
    (row,) = csv.DictReader(io.StringIO(service.get(f"{address}/result").text))
    assert {label: float(row[f"score_{label}"]) for label in SEVEN} == pytest.approx(scores, abs=1e-5)


def test_perspective_answers_the_attributes_of_the_version_s_labels(service: httpx.Client) -> None:
    """The seventh label has its attribute; an attribute that only other models have is refused by name."""
    names = ("TOXICITY", "SEXUALLY_EXPLICIT", "SEXUALLY_EXPLICIT_EXPERIMENTAL")
    attributes: dict[str, dict[str, object]] = {name: {} for name in names}
    asked = {"comment": {"text": TEXT}, "languages": ["en"], "requestedAttributes": attributes}
    answer = service.post("/v1alpha1/comments:analyze", json=asked).raise_for_status().json()
    found = {name: score["summaryScore"]["value"] for name, score in answer["attributeScores"].items()}
    english = service.post("/predict", json={"text": TEXT, "lang": "en"}).json()["results"][0]["scores"]
    assert found.keys() == attributes.keys()
    assert found["SEXUALLY_EXPLICIT"] == pytest.approx(english[SEVENTH], abs=1e-5)
    refused = service.post("/v1alpha1/comments:analyze", json=asked | {"requestedAttributes": {"SPAM": {}}})
    assert refused.status_code == 400
    assert "SPAM" in refused.json()["error"]["message"]


@pytest.mark.parametrize(("version", "labels"), [("1", 6), ("2", 7)])
def test_raw_scores_have_as_many_columns_as_the_version_has_labels(
    service: httpx.Client, version: str, labels: int
) -> None:
    """TensorFlow Serving's and the Open Inference routes serve both versions side by side."""
    raw = service.post(f"/v1/models/toxic-comments/versions/{version}:predict", json={"instances": [TEXT]})
    assert [len(row) for row in raw.raise_for_status().json()["predictions"]] == [labels]
    metadata = service.get(f"/v1/models/toxic-comments/versions/{version}/metadata").raise_for_status().json()
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["outputs"]["scores"]["tensor_shape"]["dim"][-1]["size"] == str(labels)
    model = f"/v2/models/toxic-comments/versions/{version}"
    outputs = service.get(model).raise_for_status().json()["outputs"]
    assert {output["name"]: output["shape"][-1] for output in outputs} == {
        "probabilities": labels, "decisions": labels,
    }  # fmt: skip
    body = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [TEXT]}]}
    answer = service.post(f"{model}/infer", json=body).raise_for_status().json()
    assert [output["shape"] for output in answer["outputs"]] == [[1, labels]] * 2


def test_corrections_judge_the_labels_of_the_served_versions(service: httpx.Client) -> None:
    """The seventh label is stored and exported; an unknown one is refused with those that are valid."""
    correction = {"id": "1", "labels": {"toxic": True, SEVENTH: True}, "scores": {SEVENTH: 0.5}}
    assert service.post("/feedback", json=correction).status_code == 201
    suggestion = {
        "comment": {"text": TEXT},
        "attributeScores": {"SEXUALLY_EXPLICIT": {"summaryScore": {"value": 0}}},
        "languages": ["en"],
    }
    service.post("/v1alpha1/comments:suggestscore", json=suggestion).raise_for_status()
    refused = service.post("/feedback", json={"labels": {"spam": True}})
    assert refused.status_code == 422
    assert ", ".join(SEVEN) in refused.json()["error"]["message"]
    rows = list(csv.DictReader(io.StringIO(service.get("/feedback").raise_for_status().text)))
    assert [column for column in rows[0] if column in SEVEN] == list(SEVEN)
    assert [row[SEVENTH] for row in rows] == ["1", "0"]


def test_metrics_have_the_labels_of_each_version(service: httpx.Client, scores: dict[str, float]) -> None:
    """A version's series are those of its own contract."""
    assert scores.keys() == set(SEVEN)
    service.post(
        "/v1/models/toxic-comments/versions/1:predict", json={"instances": [TEXT]}
    ).raise_for_status()
    text = service.get("/metrics").raise_for_status().text
    found = {
        version: {
            label
            for label in (*SEVEN, "other")
            if f'toxic_inference_score_ratio_count{{label="{label}",version="{version}"}}' in text
        }
        for version in ("1", "2")
    }
    assert found == {"1": set(LABELS), "2": set(SEVEN)}


def test_the_page_names_no_label(service: httpx.Client) -> None:
    """It shows the labels that an answer contains."""
    assert service.get("/").status_code == 200
    for asset in (ROOT / "services" / "inference" / "src" / "toxic_inference" / "web").glob("*.*"):
        if asset.suffix in {".js", ".html"}:
            assert "identity_hate" not in asset.read_text(), asset.name
