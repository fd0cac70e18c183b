"""One stack for all end-to-end tests: a real registry, a really trained model, the real service."""

import os
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from toxic_local.plan import Commands, StackPlan
from toxic_local.stack import LocalStack
from toxic_testing.forking import quick_python
from toxic_testing.ports import free_port

TRAINING = ("--env", "demo", "--params", "modelling.epochs=1,evaluation.bootstrap_samples=0")
"""The demo's training, cut to one pass: what is tested here is the path, not the model."""


@pytest.fixture(scope="session")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Train version 1 on the sample, promote it, serve it."""
    state = tmp_path_factory.mktemp("stack")
    commands = Commands(
        promote=(quick_python("registry"), "-m", "toxic_registry", "promote"),
        train=(quick_python("training"), "-m", "toxic_training", "run"),
    )
    plan = StackPlan(
        state_dir=state, registry_port=free_port(), inference_port=free_port(), commands=commands
    )
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


@pytest.fixture(scope="module")
def stack(running_stack: LocalStack) -> LocalStack:
    """Give the stack, with its registry as the one that MLflow speaks to in these tests' own process."""
    mlflow.set_tracking_uri(running_stack.plan.registry_uri)
    mlflow.set_registry_uri(running_stack.plan.registry_uri)
    return running_stack


@pytest.fixture(scope="module")
def bundle(stack: LocalStack) -> Path:
    """Return the bundle that training left on disk."""
    return stack.plan.state_dir / "data" / "06_models" / "bundle"
