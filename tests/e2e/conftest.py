"""One stack for all end-to-end tests: a real registry, a really trained model, the real service."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from toxic_local.plan import StackPlan
from toxic_local.stack import LocalStack

TRAINING = ("--env", "demo", "--params", "modelling.epochs=1,evaluation.bootstrap_samples=0")
"""The demo's training, cut to one pass: what is tested here is the path, not the model."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Train version 1 on the sample, promote it, serve it."""
    state = tmp_path_factory.mktemp("stack")
    plan = StackPlan(state_dir=state, registry_port=_free_port(), inference_port=_free_port())
    # MLflow keeps both addresses for the whole process, and tests before these have set others.
    mlflow.set_tracking_uri(plan.registry_uri)
    mlflow.set_registry_uri(plan.registry_uri)
    environment = {
        **os.environ,
        "REGISTRY_GATE_FILE": str(Path(__file__).parent / "gate.yml"),
        "TOXIC_DEMO_DIR": str(state / "data"),
        "INFERENCE_POLL_INTERVAL_SECONDS": "0.5",
        # Scores are compared with those that training exported.
        "INFERENCE_PRECISION": "float32",
    }
    with LocalStack(plan, environment=environment) as running:
        running.start_registry()
        running.train(*TRAINING)
        running.promote("challenger", reason="the first version")
        running.start_inference()
        yield running


@pytest.fixture(scope="session")
def bundle(stack: LocalStack) -> Path:
    """Return the bundle that training left on disk."""
    return stack.plan.state_dir / "data" / "06_models" / "bundle"
