"""The plan of a stack: its programs, ports, folders and addresses.

Only this module reads these environment variables:

    TOXIC_STATE_DIR      folder for everything the stack keeps; `var/` in the repository
    REGISTRY_PORT        the registry's port; 5000
    INFERENCE_PORT       the inference service's port; 8001
    MLFLOW_TRACKING_URI  address of a registry that runs already; http://127.0.0.1:REGISTRY_PORT

Invariant: a plan is only read once it is made; paths in it are absolute.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toxic_local.checks import LOOPBACK
from toxic_local.errors import CheckFailedError

REGISTRY_PORT = 5000
INFERENCE_PORT = 8001
_LAST_PORT = 65535
_MODULE = (sys.executable, "-m")


@dataclass(frozen=True, slots=True)
class Commands:
    """The stack's programs, each to be followed by its arguments."""

    registry: tuple[str, ...] = (*_MODULE, "toxic_registry", "serve")
    promote: tuple[str, ...] = (*_MODULE, "toxic_registry", "promote")
    train: tuple[str, ...] = (*_MODULE, "toxic_training", "run")
    inference: tuple[str, ...] = (*_MODULE, "toxic_inference")


@dataclass(frozen=True, slots=True)
class StackPlan:
    """One stack on this machine.

    Attributes:
        state_dir: for all files; stacks with different folders are independent.
        registry_port: on the loopback address.
        inference_port: for inference.
        commands: the programs.
    """

    state_dir: Path
    registry_port: int = REGISTRY_PORT
    inference_port: int = INFERENCE_PORT
    commands: Commands = Commands()

    @property
    def registry_uri(self) -> str:
        """The registry's address."""
        return f"http://{LOOPBACK}:{self.registry_port}"

    @property
    def inference_uri(self) -> str:
        """The inference service's address."""
        return f"http://{LOOPBACK}:{self.inference_port}"

    def log(self, name: str) -> Path:
        """Return where the output of `name` goes."""
        return self.state_dir / "log" / f"{name}.log"


def plan_from(environment: Mapping[str, str], *, name: str, commands: Commands | None = None) -> StackPlan:
    """Make the plan of the stack called `name`, with its state in the folder of that name.

    Raises:
        CheckFailedError: a variable can't be used.
    """
    plan = StackPlan(
        state_dir=state_root(environment) / name,
        registry_port=_port(environment, "REGISTRY_PORT", REGISTRY_PORT),
        inference_port=_port(environment, "INFERENCE_PORT", INFERENCE_PORT),
        commands=commands or Commands(),
    )
    if plan.registry_port == plan.inference_port:
        raise CheckFailedError(
            f"REGISTRY_PORT and INFERENCE_PORT are both {plan.registry_port}; choose two different ports."
        )
    return plan


def state_root(environment: Mapping[str, str]) -> Path:
    """Return the folder that holds every local stack's state."""
    chosen = environment.get("TOXIC_STATE_DIR")
    return Path(chosen).expanduser().absolute() if chosen else project_root() / "var"


def project_root() -> Path:
    """Return the repository that this is installed from; without one, the working directory."""
    root = Path(__file__).resolve().parents[4]
    return root if (root / "constraints.txt").is_file() else Path.cwd()


def _port(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable) or str(default)
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= _LAST_PORT:
        raise CheckFailedError(f"{variable} is {text!r}; a port is a number from 1 to {_LAST_PORT}.")
    return int(text)
