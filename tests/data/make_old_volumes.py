r"""Make the volumes of release 0.1's container stack for the test of the upgrade.

    git worktree add --detach /tmp/old 77fa5b7 && cd /tmp/old && uv venv
    uv pip install -c constraints.txt -e libs/toxic_core \
        -e services/training -e services/registry -e services/inference
    .venv/bin/python make_old_volumes.py postgresql://registry@127.0.0.1:5432/registry /tmp/volumes
    cd /tmp/volumes
    pg_dump --inserts --no-owner postgresql://registry@127.0.0.1:5432/registry > registry.sql
    tar -c --sort=name --owner=0 --group=0 registry.sql expected.json artifacts training inference \
        | xz -9e > volumes-0.1.tar.xz

77fa5b7 is the last commit of 2026-11-28, the day of release 0.1.0. The services get the settings that its
docker-compose.yml gives them, with a gate that a small model passes. The content:

- PostgreSQL: two versions, of which the first is champion after the second one was, and a refused promotion;
  the first one was trained on the sample, the second has its model;
- the registry's artifacts: both bundles, without the plots and the report of the run;
- inference: corrections of three doors, the cache, a finished job, and one that was interrupted;
- the training server's memory of one run that an alert started.

`expected.json` has what 0.1 answered: scores, corrections, the finished job's result. From the dump, psql's
own commands, which begin with a backslash, were removed; there and in MLmodel, the paths of the checkout and
of the folder were replaced by those of the images.

Runs in an environment of release 0.1, without this repository's packages.
"""

import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
from mlflow.tracking import MlflowClient

MODEL = "toxic-comments"
GATE = """version: 1
checks:
  - {figure: test.toxic.all.auc, at_least: 0.2, required: true}
not_worse_than_champion:
  same_test_set: [test.toxic.all.rows]
  on_another_test_set: allow
  figures:
    - {figure: test.toxic.all.auc, margin: 0.5}
"""
TEXTS = ("Have a lovely day.", "You are a complete idiot, shut up.", "Eres un idiota.", "Спасибо 😀")
LONG_ROWS = 20_000


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def request(address: str, body: object = None, kind: str = "application/json", **headers: str) -> str:
    """Send a body, if there is one, and return the response."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    asked = urllib.request.Request(address, data, {"content-type": kind, **headers})  # noqa: S310  the loopback
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=60) as answer:
        return str(answer.read().decode())


def until(address: str, wanted: str = "", seconds: float = 3600) -> str:
    """Ask until a response has a text."""
    end = time.monotonic() + seconds
    while True:
        try:
            if wanted in (answer := request(address)):
                return answer
        except OSError:
            answer = ""
        if time.monotonic() > end:
            raise RuntimeError(f"{address}: {answer}")
        time.sleep(0.5)


class Stack:
    """The services of release 0.1 on one folder, which is empty at first."""

    def __init__(self, database: str, folder: Path) -> None:
        ports = {name: free_port() for name in ("registry", "inference")}
        self.folder = folder
        self.registry, self.inference = (f"http://127.0.0.1:{port}" for port in ports.values())
        (folder / "gate.yml").write_text(GATE)
        os.environ |= {
            "OMP_NUM_THREADS": "1",
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
            "MLFLOW_TRACKING_URI": self.registry,
            "REGISTRY_PORT": str(ports["registry"]),
            "REGISTRY_BACKEND_STORE_URI": database.replace("postgresql:", "postgresql+psycopg:"),
            "REGISTRY_STATE_DIR": str(folder),
            "REGISTRY_GATE_FILE": str(folder / "gate.yml"),
            "INFERENCE_PORT": str(ports["inference"]),
            "INFERENCE_REGISTRY_URI": self.registry,
            "INFERENCE_CACHE_DIR": str(folder / "inference" / "cache"),
            "INFERENCE_STATE_DIR": str(folder / "inference" / "state"),
            "TOXIC_DEMO_DIR": str(folder / "data"),
        }

    def start(self, *module: str) -> subprocess.Popen[bytes]:
        """Start a program."""
        return subprocess.Popen([sys.executable, "-m", *module])

    def promote(self, version: str, *, refused: bool = False) -> None:
        """Ask for a version as champion."""
        reason = ("--reason", f"version {version} for the test", "--actor", "ann")
        address = ("--registry-uri", self.registry)
        run_main("toxic_registry.cli", "promote", version, *reason, *address, refused=refused)


def old(module: str) -> Any:
    """Import a module of release 0.1."""
    return importlib.import_module(module)


def run_main(module: str, *arguments: str, refused: bool = False) -> None:
    """Run a command of release 0.1 in this process, because its imports take long."""
    sys.argv = [module, *arguments]
    try:
        old(module).main()
    except SystemExit as ended:
        if bool(ended.code) != refused:
            raise


def make_encoder(folder: Path) -> None:
    """Write a random encoder of a few kilobytes."""
    random_init = old("toxic_training.encoders.random_init")
    sizes = {"_HIDDEN": 8, "_LAYERS": 1, "_HEADS": 2, "_FEED_FORWARD": 16, "_POSITIONS": 96}
    for name, value in sizes.items():
        setattr(random_init, name, value)
    encoder = random_init.random_encoder(TEXTS * 50, vocabulary_size=120, seed=1)
    old("toxic_training.encoders.files").write_encoder(encoder, folder)


def train(stack: Stack) -> None:
    """Train version 1 on the sample."""
    # Runs start in the project's folder, and their records have no path of this machine.
    encoder = os.path.relpath(stack.folder / "encoder", old("toxic_training.__main__").PROJECT)
    parameters = f"modelling.encoder={encoder},modelling.epochs=1,modelling.batch_size=128"
    parameters += ",evaluation.bootstrap_samples=0"
    run_main("toxic_training.__main__", "run", "--env", "demo", "--params", parameters)
    mlflow.end_run()


def register_again(stack: Stack) -> None:
    """Register version 2: the same model, sealed a second time."""
    contract, release = old("toxic_core.contract"), old("toxic_training.release")
    folder = stack.folder / "data" / "06_models" / "bundle"
    sealed = contract.open_bundle(folder).contract
    (folder / "contract.json").unlink()
    bundle = contract.seal(folder, sealed.model_copy(update={"created_at": datetime.now(UTC)}))
    mlflow.set_tracking_uri(stack.registry)
    mlflow.set_registry_uri(stack.registry)
    with mlflow.start_run(experiment_id="1"):
        mlflow.log_metrics({"test.toxic.all.auc": 0.5})
        release.register(release.Release(bundle, MODEL, "challenger", {"encoder": "tiny"}, "Version 2."))


def promote(stack: Stack) -> None:
    """Promote each version, return to the first one, and let the gate refuse one without files."""
    stack.promote("challenger")
    register_again(stack)
    client = MlflowClient(stack.registry, stack.registry)
    run = client.create_run("0")
    empty = client.create_model_version(MODEL, f"{run.info.artifact_uri}/model", run.info.run_id)
    stack.promote(str(empty.version), refused=True)
    client.delete_model_version(MODEL, str(empty.version))
    stack.promote("challenger")
    stack.promote("1")


def remember(stack: Stack) -> None:
    """Write what the training server remembers of a run that an alert started."""
    policy = old("toxic_training.retraining.policy")
    history = old("toxic_training.retraining.history").History(
        stack.folder / "training" / "state" / "retrainings.json"
    )
    episode = policy.Episode("0123456789abcdef", datetime(2026, 11, 28, 8, tzinfo=UTC))
    history.add(policy.Start("run", datetime.now(UTC), (episode,), policy.Outcome.UNDER_WAY))
    history.ended("run", outcome=policy.Outcome.SUCCEEDED)


def correct(stack: Stack) -> None:
    """File corrections through each door of 0.1, with and without consent."""
    corrections: list[dict[str, Any]] = [
        {
            "id": f"queue-{number}",
            "text": text,
            "consent": number != 1,
            "labels": {"toxic": number == 1, "insult": number == 1},
            "language": language,
            "model_version": "1",
            "scores": {"toxic": 0.25 + number / 8},
            "source": "page" if number == 2 else "native",
            "actor": f"moderator-{number}",
        }
        for number, (text, language) in enumerate(zip(TEXTS, ("en", "en", "es", "ru"), strict=True))
    ]
    for correction in [*corrections, {"labels": {"threat": True}}]:
        request(f"{stack.inference}/feedback", correction)
    suggestion = {
        "comment": {"text": 'So "kind",\nso clever.'},
        "languages": ["en"],
        "communityId": "forum",
        "attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}},
    }
    request(f"{stack.inference}/v1alpha1/comments:suggestscore", suggestion)


def serve(stack: Stack) -> dict[str, object]:
    """Score, correct and upload; leave one job finished and one interrupted; return what was answered."""
    server = stack.start("toxic_inference")
    until(f"{stack.inference}/health/ready")
    until(f"{stack.inference}/health/live")
    scores = json.loads(request(f"{stack.inference}/predict", {"texts": list(TEXTS)}))
    correct(stack)
    feedback = request(f"{stack.inference}/feedback?format=ndjson").splitlines()
    table = "comment_text,lang\n" + "".join(f'"{text}",en\n' for text in TEXTS)
    done = json.loads(request(f"{stack.inference}/jobs", table.encode(), "text/csv"))["id"]
    until(f"{stack.inference}/jobs/{done}", '"done"')
    result = request(f"{stack.inference}/jobs/{done}/result")
    rows = "".join(f'{number},"{TEXTS[number % len(TEXTS)]}"\n' for number in range(LONG_ROWS))
    table = f"id,comment_text\n{rows}"
    long = json.loads(request(f"{stack.inference}/jobs", table.encode(), "text/csv"))["id"]
    until(f"{stack.inference}/jobs/{long}", '"running"')
    server.send_signal(signal.SIGKILL)
    server.wait()
    return {
        "texts": TEXTS,
        "scores": scores,
        "feedback": [json.loads(line) for line in feedback],
        "jobs": {"done": done, "result": result, "interrupted": long, "rows": LONG_ROWS},
    }


def main(database: str, folder: Path) -> None:
    """Fill the database and the folder."""
    folder.mkdir(parents=True)
    stack = Stack(database, folder)
    registry = stack.start("toxic_registry", "serve")
    try:
        make_encoder(folder / "encoder")
        until(f"{stack.registry}/health")
        train(stack)
        promote(stack)
        remember(stack)
        expected = serve(stack)
        client = MlflowClient(stack.registry, stack.registry)
        expected["versions"] = {
            str(version.version): dict(client.get_run(str(version.run_id)).data.metrics)
            for version in client.search_model_versions(f"name = '{MODEL}'")
        }
        expected["aliases"] = dict(client.get_registered_model(MODEL).aliases)
        expected["ledger"] = json.loads(request(f"{stack.registry}/ledger"))["rows"]
        expected["registry"] = stack.registry
        (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1))
    finally:
        registry.terminate()
        registry.wait()
    for found in folder.glob("artifacts/*/*/artifacts/*"):
        if found.name not in {"model", "artifacts"}:
            shutil.rmtree(found) if found.is_dir() else found.unlink()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
