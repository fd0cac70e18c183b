"""From comments to a served champion, with real servers and a really trained model."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import mlflow
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from toxic_core.contract import WARMUP_FILE, Bundle, WarmupExample, open_bundle, seal, write_warmup
from toxic_core.contract.calibration import calibrate
from toxic_core.labels import LABELS
from toxic_local.stack import LocalStack
from toxic_testing.forking import quick_python

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

TEXT = "Thank you, that was kind of you."
MODEL = "toxic-comments"
SWITCH_SECONDS = 60
POLL_SECONDS = 0.1


def _predict(stack: LocalStack, **body: object) -> httpx.Response:
    return httpx.post(f"{stack.plan.inference_uri}/predict", json=body, timeout=30, trust_env=False)


def _version(stack: LocalStack) -> str:
    return str(_predict(stack, texts=[TEXT]).raise_for_status().json()["model_version"])


def _registry(stack: LocalStack, *arguments: str) -> None:
    assert stack.run((quick_python("registry"), "-m", "toxic_registry", *arguments)) == 0


def _wait_for_version(stack: LocalStack, version: str) -> None:
    for _ in range(SWITCH_SECONDS * 10):
        if _version(stack) == version:
            return
        threading.Event().wait(POLL_SECONDS)
    pytest.fail(f"version {version} didn't answer within {SWITCH_SECONDS} s; {_version(stack)} does")


@contextmanager
def _steady_requests(stack: LocalStack) -> Iterator[Counter[str]]:
    """Send requests one after another until the block ends; count the answers by version or status."""
    answers: Counter[str] = Counter()
    over = threading.Event()

    def send() -> None:
        with httpx.Client(base_url=stack.plan.inference_uri, timeout=30, trust_env=False) as client:
            while not over.is_set():
                answer = client.post("/predict", json={"texts": [TEXT]})
                ok = answer.status_code == httpx.codes.OK
                answers[f"version {answer.json()['model_version']}" if ok else str(answer.status_code)] += 1

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield answers
    finally:
        over.set()
        sender.join()


def test_the_champion_answers_with_six_scores_and_its_version(stack: LocalStack) -> None:
    """A comment gets six scores between 0 and 1, by label, from the promoted version."""
    answer = _predict(stack, texts=[TEXT]).raise_for_status().json()
    scores = answer["results"][0]["scores"]
    assert list(scores) == list(LABELS)
    assert all(0 <= score <= 1 for score in scores.values())
    assert answer["model_version"] == "1"


def _calibrated_warmup(bundle: Bundle) -> NDArray[np.float32]:
    raw = np.array([example.scores for example in bundle.warmup()], dtype=np.float32)
    return calibrate(raw, languages=[None] * len(raw), contract=bundle.contract)


def test_serving_gives_the_scores_that_training_exported(stack: LocalStack, bundle: Path) -> None:
    """Every warm-up text scores over HTTP as it did when the bundle was made, calibrated by the contract.

    But the one that is longer than the model reads: the warm-up cuts it, serving reads it in windows.
    """
    sealed = open_bundle(bundle)
    texts = [example.text for example in sealed.warmup()]
    results = _predict(stack, texts=texts, identify_language=False).raise_for_status().json()["results"]
    whole = [index for index, result in enumerate(results) if result["windows"] == 1]
    assert len(whole) == len(texts) - 1
    served = [[results[index]["scores"][label] for label in LABELS] for index in whole]
    np.testing.assert_allclose(served, _calibrated_warmup(sealed)[whole], atol=1e-4)


@pytest.mark.usefixtures("stack")
def test_a_registered_version_loads_as_a_pyfunc(bundle: Path) -> None:
    """`mlflow.pyfunc.load_model` gives the same scores as the bundle, without pickle."""
    model = mlflow.pyfunc.load_model(f"models:/{MODEL}/1")
    sealed = open_bundle(bundle)
    scores = model.predict(pd.DataFrame({"text": [example.text for example in sealed.warmup()]}))
    assert list(scores.columns) == list(LABELS)
    np.testing.assert_allclose(scores.to_numpy(), _calibrated_warmup(sealed), atol=1e-4)


def test_a_version_carries_its_lineage_and_figures(stack: LocalStack) -> None:
    """The version's tags have its training data, its base model and its figures."""
    client = mlflow.MlflowClient(stack.plan.registry_uri)
    version = client.get_model_version(MODEL, "1")
    assert {"encoder", "code_revision", "data.train.sha256", "test.toxic.all.auc"} <= version.tags.keys()
    assert float(version.tags["test.toxic.all.auc"]) > 0.5
    assert client.get_run(str(version.run_id)).data.metrics["training.steps"] > 0


def test_promotion_under_load_loses_no_request_and_rollback_returns(stack: LocalStack) -> None:
    """While a second version is trained, promoted and rolled back, every request is answered."""
    with _steady_requests(stack) as answers:
        stack.train("--pipelines", "registration", "--env", "demo")
        assert _version(stack) == "1", "a version isn't served before it is promoted"
        stack.promote("challenger", reason="the second version")
        _wait_for_version(stack, "2")
        _registry(stack, "rollback")
        _wait_for_version(stack, "1")
    assert answers.keys() == {"version 1", "version 2"}


def test_a_broken_version_is_never_served(stack: LocalStack, bundle: Path) -> None:
    """The gate refuses damaged files, the loader other scores than recorded; the one before serves on."""
    damaged = _register_broken(stack, bundle, _damage)
    promote = (quick_python("registry"), "-m", "toxic_registry", "promote", damaged)
    override = ("--override", "to see it refused", "--actor", "a test")
    for options in ((), override):
        assert stack.run((*promote, *options)) == 1
    broken = _register_broken(stack, bundle, _record_other_scores)
    _registry(stack, "promote", broken, *override)
    state = _wait_for_state(stack, broken, lambda entry: entry["status"]["error_code"] != "OK")
    assert "recorded" in state["status"]["error_message"]
    assert _version(stack) == "1"
    _registry(stack, "rollback")


def _damage(folder: Path) -> None:
    (folder / WARMUP_FILE).write_text("{}\n", encoding="utf-8")


def _record_other_scores(folder: Path) -> None:
    bundle = open_bundle(folder)
    others = [
        WarmupExample(text=example.text, scores=tuple(1.0 - score for score in example.scores))
        for example in bundle.warmup()
    ]
    write_warmup(folder, others)
    seal(folder, bundle.contract)


def _register_broken(stack: LocalStack, bundle: Path, change: Callable[[Path], None]) -> str:
    client = mlflow.MlflowClient(stack.plan.registry_uri)
    damaged = stack.plan.state_dir / change.__name__
    target = damaged / "artifacts" / "bundle"
    for file in sorted(bundle.rglob("*")):
        if file.is_file():
            copy = target / file.relative_to(bundle)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    change(target)
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, str(damaged), "model")
    source = f"{run.info.artifact_uri}/model"
    return str(client.create_model_version(MODEL, source, run_id=run.info.run_id).version)


def _wait_for_state(
    stack: LocalStack, version: str, reached: Callable[[dict[str, dict[str, str]]], bool]
) -> dict[str, dict[str, str]]:
    for _ in range(SWITCH_SECONDS * 10):
        status = httpx.get(f"{stack.plan.inference_uri}/v1/models/{MODEL}", trust_env=False).json()
        for entry in status["model_version_status"]:
            if entry["version"] == version and reached(entry):
                return dict(entry)
        threading.Event().wait(POLL_SECONDS)
    pytest.fail(f"version {version} didn't reach the state: {status}")
