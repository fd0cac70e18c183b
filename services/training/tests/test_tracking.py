"""What a run leaves in MLflow, and what works without a registry."""

import os
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog
from kedro.pipeline.node import Node
from mlflow import MlflowClient

from toxic_core.errors import ConfigurationError, MissingDataError, RegistryUnavailableError
from toxic_testing.ports import free_port
from toxic_training.data.parameters import SourceParameters
from toxic_training.kedro_project.hooks import GROUPS, OPTIONS
from toxic_training.kedro_project.tracking import TrackingHook, answers
from toxic_training.kedro_project.viz import keep_requests_local

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Accessing the 'model_fields':DeprecationWarning"),  # by Kedro
]

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use the sample's configuration, with an empty folder of data, and MLflow's own address afterwards."""
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("TOXIC_DEMO_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TOXIC_SAMPLE_DIR", str(tmp_path / "nothing"))
    bootstrap_project(PROJECT)
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # unsets it, by its own code
    yield
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # unsets it, by its own code


def test_a_session_needs_no_registry_but_a_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog of a notebook opens at once; every run ends with one line that names the address."""
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    for _ in range(2):
        session = KedroSession.create(PROJECT, env="demo")
        with session:
            assert "training_comments" in session.load_context().catalog
            with pytest.raises(RegistryUnavailableError, match=f"{address}.*make ui"):
                session.run(pipeline_names=["data_processing"])
        assert os.environ["MLFLOW_TRACKING_URI"] == address


def test_a_registry_with_a_certificate_of_its_own_answers() -> None:
    """MLflow decides by its settings whether it trusts the certificate."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # which has no TLS
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert answers(f"https://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_parameters_with_any_words_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters that MLflow refuses in a name are replaced: a table's own words become part of names."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.set_experiment("words")
    source = SourceParameters(label_values={"pas toxique (ok)": 0, "/": 1})
    node = Node(len, "a", "b")
    with mlflow.start_run() as run:
        TrackingHook().before_node_run(node, DataCatalog(), {"params:data": source}, is_async=False)
    logged = mlflow.get_run(run.info.run_id).data.params
    assert logged["data.label_values.pas toxique _ok_"] == "0"
    assert logged["data.label_values._"] == "1"


def test_a_run_without_its_files_is_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a name with its environment and the command that repeats it."""
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    given = {"modelling": {"epochs": 1, "layers": None}}
    session = KedroSession.create(PROJECT, env="demo", runtime_params=given)
    with session, pytest.raises(MissingDataError):
        session.run(pipeline_names=["data_processing"])
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("toxic-comments")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert run.info.run_name.startswith("data_processing (demo) 20")
    assert run.data.tags["kedro_command"] == (
        "kedro run --env=demo --pipelines=data_processing --params=modelling.epochs=1,modelling.layers=null"
    )


def test_a_parameter_of_no_group_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kedro itself would ignore it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///:memory:")
    session = KedroSession.create(PROJECT, env="demo", runtime_params={"modeling": {"epochs": 1}})
    with session, pytest.raises(ConfigurationError, match=r"Unknown parameters: modeling.*modelling"):
        session.load_context()


def test_every_group_of_parameters_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names are those of `conf/`; none is also an option."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///:memory:")
    session = KedroSession.create(PROJECT, env="demo")
    with session:
        assert set(session.load_context().config_loader["parameters"]) == GROUPS
    assert not GROUPS & OPTIONS


def test_kedro_viz_s_page_needs_no_other_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its links to fonts are left out, and its own files are beside it."""
    original = Path(str(distribution("kedro-viz").locate_file("kedro_viz/html")))
    app = SimpleNamespace(_HTML_DIR=original)
    monkeypatch.setitem(sys.modules, "kedro_viz.api.apps", app)
    keep_requests_local()
    assert "https://" in (original / "index.html").read_text()
    page = (app._HTML_DIR / "index.html").read_text()
    assert "https://" not in page
    (script,) = re.findall(r'src="\./(assets/[^"]+)"', page)
    assert (app._HTML_DIR / script).is_file()


def test_the_project_refuses_telemetry_by_file() -> None:
    """Kedro's own command reads it before any module of this project."""
    assert (PROJECT / ".telemetry").read_text() == "consent: false\n"
