"""The services and the real Prometheus and Alertmanager that watch them, as processes."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml
from mlflow.tracking import MlflowClient

from toxic_core.registered import CANARY, CHAMPION
from toxic_registry.client.registry_client import RegistryClient
from toxic_testing.forking import quick_python
from toxic_testing.inference.bundles import BundleFactory, TinyModel
from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port
from toxic_testing.registry import RegistryProcess

MODEL = "toxic-comments"
TOKEN = "of this test alone"
FIRST_CHAMPION = "2"
"""Number of the version that the tests promote first, after the challenger that the registry has already."""

PINNED = "10"
"""Number of a version that the service serves once it exists, whatever the aliases name."""

PATIENCE_SECONDS = 900
"""A training takes a minute on an idle machine, and ten beside five other programs on one core."""

_CLOCKS = {
    "scrape_interval": "1s",
    "evaluation_interval": "1s",
    "interval": "1s",
    "for": "1s",
    "keep_firing_for": "1s",
    "group_wait": "1s",
    "group_interval": "2s",
    "repeat_interval": "4s",
}
_FIGURES = {"test.toxic.all.rows": 1000.0, "test.toxic.all.auc": 0.9}
_RETRAINING = {
    "params": {
        "data": {"train": {"rows_per_language": 1200}, "additional": {"feedback": {"repeat": 4}}},
        "corrections": {"rows_per_actor": 1000, "max_actor_share": 1.0},
        "modelling": {
            "epochs": 2,
            "max_tokens": 32,
            "max_train_minutes": 20,
            "selections": 1,
            "selection_comments": 100,
        },
        "evaluation": {
            "bootstrap_samples": 0,
            "reference_hours": 0,
            "threshold_recall": {"threat": 0.1, "identity_hate": 0.1},
        },
    }
}
"""The demo's training on a third of its rows: what is tested is that it learns from the corrections.

The moderators here have no API keys, so all of them count as one actor, which gets no limit. The sample has
few threats and slights: to find most of them, a model flags most texts, so that recall isn't asked for.
"""


class Loop:
    """The services and what watches them, each on a port of its own.

    Invariant: what is shortened are clocks; rules, routes and receivers are those that the stack runs with.

    Args:
        folder: for everything that they write.
        root: of the repository.
        programs: paths of `prometheus`, `promtool` and `alertmanager`.
        build_bundle: makes the versions.
    """

    def __init__(
        self, folder: Path, *, root: Path, programs: Mapping[str, str], build_bundle: BundleFactory
    ) -> None:
        self.folder = folder
        self._root = root
        self._programs = programs
        self._build_bundle = build_bundle
        self._ports = {
            name: free_port()
            for name in ("registry", "inference", "training", "prometheus", "alertmanager", "nobody")
        }
        self._ended: list[Callable[[], object]] = []
        self.http = httpx.Client(trust_env=False, timeout=120)

    def address(self, service: str) -> str:
        """Return a service's address; no server listens on `nobody`'s."""
        return f"http://127.0.0.1:{self._ports[service]}"

    def start(self) -> None:
        """Start everything.

        The registry has one version, the challenger, with other files than those that the ledger approves.
        """
        self.start_registry()
        self.client = MlflowClient(self.registry.uri, self.registry.uri)
        self.client.create_registered_model(MODEL)
        self._replace_files_of(self.add_version(model=TinyModel(bias=3.0)))
        self._start_inference()
        self._start_training()
        self._start_alertmanager()
        self._start_prometheus()

    def start_registry(self) -> None:
        """Start the registry, for the first time or again."""
        self.registry = RegistryProcess(
            {
                "REGISTRY_PORT": str(self._ports["registry"]),
                "REGISTRY_STATE_DIR": str(self.folder / "registry"),
                "REGISTRY_GATE_FILE": str(self._root / "tests" / "e2e" / "gate.yml"),
            }
        )
        self._ended.append(self.registry.kill)
        self.registry.wait_until_ready()

    def end(self) -> None:
        """End all of it."""
        self.http.close()
        for end in reversed(self._ended):
            end()

    def add_version(self, *, model: TinyModel, broken: bool = False) -> str:
        """Register a version, and return its number; a broken one can't be loaded."""
        folder = self.folder / f"bundle-{time.monotonic_ns()}"
        bundle = self._build_bundle(folder, model=model, figures=_FIGURES)
        if broken:
            (bundle / "warmup.jsonl").write_text("{}\n", encoding="utf-8")
        run = self.client.create_run("0")
        self.client.log_artifacts(run.info.run_id, str(bundle), "model/artifacts/bundle")
        made = self.client.create_model_version(MODEL, f"{run.info.artifact_uri}/model", run.info.run_id)
        return str(made.version)

    def _replace_files_of(self, version: str) -> None:
        """Make a version the challenger, and then change its contract in the store."""
        self.promote(version, "challenger")
        run_id = self.client.get_model_version(MODEL, version).run_id
        (contract,) = (self.folder / "registry").glob(f"**/{run_id}/**/contract.json")
        contract.write_bytes(contract.read_bytes() + b"\n")

    def promote(self, version: str, alias: str = "champion") -> None:
        """Set an alias."""
        self.client.set_registered_model_alias(MODEL, alias, version)

    def start_autopilot(self, **options: float) -> Server:
        """Start what promotes without a hand, with options of its command."""
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        addresses = {"REGISTRY_URI": self.registry.uri, "REGISTRY_PROMETHEUS_URL": self.address("prometheus")}
        command = ("-m", "toxic_registry", "autopilot", *arguments)
        return self._start(f"autopilot-{time.monotonic_ns()}", command, addresses, kind="registry")

    def steps(self) -> list[str]:
        """Return the aliases that the autopilot set, by the ledger: `canary 4: automatic canary`."""
        return [
            f"{entry.alias} {entry.after}: {entry.reason}"
            for entry in RegistryClient(self.registry.uri).ledger().entries
            if entry.reason.startswith("automatic") and entry.alias in {CANARY, CHAMPION} and entry.after
        ]

    def predict(self, texts: Sequence[str], **fields: Any) -> httpx.Response:
        """Request scores and ignore the response."""
        body = {"texts": list(texts), "timeout": 60, **fields}
        return self.http.post(f"{self.address('inference')}/predict", json=body)

    def predict_at_once(self, requests: Iterable[Sequence[str]]) -> list[int]:
        """Ask for the scores of several requests at the same time; return the statuses."""
        with ThreadPoolExecutor(16) as threads:
            return [answer.status_code for answer in threads.map(self.predict, requests)]

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that Prometheus finds.

        Raises:
            AssertionError: it can't read the expression.
        """
        query = f"{self.address('prometheus')}/api/v1/query"
        answer = self.http.get(query, params={"query": expression})
        if answer.is_client_error:
            raise AssertionError(f"{expression}: {answer.text}")
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """Return the alerts that fire."""
        return {series["metric"]["alertname"] for series in self.ask('ALERTS{alertstate="firing"}')}

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules that Prometheus runs here, their clocks shortened."""
        files = sorted((self.folder / "prometheus" / "rules").glob("*.yml"))
        groups = [group for file in files for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
        return [rule for group in groups for rule in group["rules"]]

    def runs(self) -> list[dict[str, Any]]:
        """Return the training server's runs, the newest first."""
        told: list[dict[str, Any]] = self.http.get(f"{self.address('training')}/runs").json()
        return told

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds; a service that doesn't answer yet is no answer.

        Raises:
            AssertionError: it doesn't, for too long.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                if holds():
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.4)
        raise AssertionError(f"not within {PATIENCE_SECONDS} s: {what}")

    def take_training_disk(self) -> None:
        """Let every later training fail: a file is in the place of its folder."""
        (self.folder / "demo").rename(self.folder / "demo-before")
        (self.folder / "demo").write_text("a file where the folder should be", encoding="utf-8")

    def lose_versions(self) -> None:
        """Start the inference service again, without its cache."""
        self._ended.remove(self._inference.kill)
        self._inference.kill()
        self._start_inference(cache="another-cache")

    def _start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], *, kind: str = ""
    ) -> Server:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        python = quick_python(kind or name)
        server = Server(arguments, environment=environment, folder=folder, python=python)
        self._ended.append(server.kill)
        return server

    def _start_inference(self, *, cache: str = "cache") -> None:
        settings = {
            "port": self._ports["inference"],
            "registry_uri": self.registry.uri,
            "cache_dir": self.folder / cache,
            "state_dir": self.folder / "inference-state",
            "poll_interval_seconds": 0.5,
            "pinned_versions": PINNED,
            "shadow_fraction": 1,
            "canary_fraction": 1,
            "review_texts": 100,
            "monitor_min_texts": 50,
            "monitor_min_feedback": 10,
            "monitor_feedback_interval_seconds": 0.5,
            "compute_threads": 1,
        }
        environment = {f"INFERENCE_{name.upper()}": str(value) for name, value in settings.items()}
        self._inference = self._start("inference", ("-m", "toxic_inference"), environment)
        self.wait_until(
            lambda: self.http.get(f"{self.address('inference')}/health/live").is_success, "inference"
        )

    def _start_training(self) -> None:
        environment = {
            "MLFLOW_TRACKING_URI": self.registry.uri,
            "MLFLOW_REGISTRY_URI": self.registry.uri,
            "TOXIC_DEMO_DIR": str(self.folder / "demo"),
            "TRAINING_PORT": str(self._ports["training"]),
            "TRAINING_STATE_DIR": str(self.folder / "training-state"),
            "TRAINING_ALERT_TOKEN": TOKEN,
            "TRAINING_RETRAIN_COOL_DOWN_HOURS": "0",
            "TRAINING_RETRAIN_DAILY_RUNS": "3",
            "TRAINING_FEEDBACK_URL": self.address("inference"),
            "TRAINING_RETRAIN_REQUEST": json.dumps(_RETRAINING),
        }
        self._start("training", ("-m", "toxic_training", "server", "start", "--env", "demo"), environment)
        self.wait_until(lambda: self.http.get(f"{self.address('training')}/health").is_success, "training")

    def _start_alertmanager(self) -> None:
        run = self.folder / "alertmanager"
        environment = {
            "ALERTMANAGER_RUN_DIR": str(run),
            "ALERTMANAGER_TRAINING_URL": f"{self.address('training')}/alerts",
            "ALERTMANAGER_WEBHOOK_URL": f"{self.address('nobody')}/people",
            "TRAINING_ALERT_TOKEN": TOKEN,
        }
        self._render("alertmanager", environment)
        shorten_clocks(run / "alertmanager.yml")
        self._run(
            "alertmanager",
            f"--config.file={run / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'alerts'}",
            f"--web.listen-address=127.0.0.1:{self._ports['alertmanager']}",
            "--cluster.listen-address=",
        )

    def _start_prometheus(self) -> None:
        run, data = self.folder / "prometheus", self.folder / "series"
        environment = {
            "PROMETHEUS_RUN_DIR": str(run),
            "PROMETHEUS_REMOTE_WRITE_URL": f"{self.address('nobody')}/api/v1/write",
            "PROMETHEUS_SCRAPE_SELF": f"127.0.0.1:{self._ports['prometheus']}",
            "PROMETHEUS_ALERTMANAGER": f"127.0.0.1:{self._ports['alertmanager']}",
            **{
                f"PROMETHEUS_SCRAPE_{service.upper()}": f"127.0.0.1:{self._ports[service]}"
                for service in ("inference", "registry", "training")
            },
        }
        self._render("prometheus", environment)
        for file in (run / "prometheus.yml", *(run / "rules").glob("*.yml")):
            shorten_clocks(file)
        self._write_past(data)
        self._run(
            "prometheus",
            f"--config.file={run / 'prometheus.yml'}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{self._ports['prometheus']}",
        )
        self.wait_until(lambda: bool(self.ask("up")), "prometheus")

    def _write_past(self, data: Path) -> None:
        """Write the samples of past days, in which `FIRST_CHAMPION` was expected to be always right."""
        name = "version_label_window:toxic_inference_estimated_f1_ratio:avg"
        labels = f'{{version="{FIRST_CHAMPION}",label="toxic",window="24h"}}'
        now = datetime.now(UTC)
        times = [now - timedelta(hours=hours) for hours in range(72, 20, -1)]
        lines = [
            f"# TYPE {name} gauge",
            *(f"{name}{labels} 1 {int(at.timestamp())}" for at in times),
            "# EOF",
        ]
        past = self.folder / "past.txt"
        past.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = (self._programs["promtool"], "tsdb", "create-blocks-from", "openmetrics", past, data)
        subprocess.run(command, check=True, capture_output=True)

    def _render(self, program: str, environment: Mapping[str, str]) -> None:
        entrypoint = self._root / "infra" / program / "entrypoint.sh"
        told = {**os.environ, **environment}
        subprocess.run([entrypoint, "render"], env=told, check=True, capture_output=True)

    def _run(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("wb") as log:
            process = subprocess.Popen([self._programs[program], *arguments], stdout=log, stderr=log)

        def end() -> None:
            process.kill()
            process.wait()

        self._ended.append(end)


def shorten_clocks(file: Path) -> None:
    """Replace how long things last in a configuration, in place."""
    text = file.read_text(encoding="utf-8")
    for clock, shorter in _CLOCKS.items():
        text = re.sub(rf"^(\s*(?:- )?{clock}): \w+$", rf"\1: {shorter}", text, flags=re.MULTILINE)
    text = re.sub(r"(window_seconds\{.*\}) >= \d+$", r"\1 >= 0", text, flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")
