"""The registry's own evaluation, on a table that no trainer has."""

from pathlib import Path
from uuid import uuid4

import pytest
from mlflow.tracking import MlflowClient

from toxic_registry.cli import main
from toxic_testing.inference.bundles import WORDS, BundleFactory
from toxic_testing.registry import GOOD_FIGURES, RegistryProcess, Versions

pytestmark = [pytest.mark.server, pytest.mark.hostile(10)]

GATE = """
checks:
  - {figure: test.toxic.en.auc, at_least: 0.95, required: true}
  - {figure: sealed.toxic.all.auc, at_least: 0.0, required: true}
"""


def test_invented_figures_do_not_pass_the_registry_s_own(
    tmp_path: Path,
    build_bundle: BundleFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The gate waits for the measurement where the registry runs, and believes no bundle."""
    table = tmp_path / "sealed.csv"
    rows = [f"{word},{'en' if index % 3 else 'es'},{index % 2}" for index, word in enumerate(WORDS)]
    table.write_text("\n".join(["content,language,toxic", *rows, "broken"]))
    (tmp_path / "gate.yml").write_text(GATE)
    environment = {
        "REGISTRY_STATE_DIR": str(tmp_path / "state"),
        "REGISTRY_TEST_TABLE": str(table),
        "REGISTRY_GATE_FILE": str(tmp_path / "gate.yml"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    process = RegistryProcess(environment)
    try:
        process.wait_until_ready()
        client = MlflowClient(process.uri, process.uri)
        versions = Versions(client, f"toxic-{uuid4().hex[:12]}", tmp_path / "bundles")
        bundle = build_bundle(tmp_path / "real", figures={**GOOD_FIGURES, "sealed.toxic.all.auc": 0.999})
        logged = client.create_run("0")
        client.log_artifacts(logged.info.run_id, str(bundle), "model/artifacts/bundle")
        number = str(versions.register(f"{logged.info.artifact_uri}/model", logged.info.run_id))

        def run(*words: str) -> tuple[object, str]:
            with pytest.raises(SystemExit) as ended:
                main([*words, "--model", versions.model, "--registry-uri", process.uri])
            shown = capsys.readouterr()
            return ended.value.code, shown.out + shown.err

        status, told = run("promote", number)
        assert (status, "sealed.toxic.all.auc is missing" in told) == (1, True)
        status, told = run("evaluate", number)
        assert status == 0, told
        figures = dict(line.split() for line in told.splitlines() if line.startswith("sealed."))
        assert figures["sealed.toxic.all.rows"] == f"{len(WORDS):.4f}"
        assert {"sealed.toxic.en.auc", "sealed.toxic.es.rows"} <= figures.keys()
        assert float(figures["sealed.toxic.all.auc"]) != 0.999
        assert run("promote", number)[0] == 0
    finally:
        process.kill()
