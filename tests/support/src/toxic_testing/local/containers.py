"""The container stack as a test sees it: `make`, `docker` and HTTP, as an operator has them.

It uses only what a person can use, never the inside of the services.
"""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

MODEL = "toxic-comments"
HEAL_SECONDS = 180
_TEXT = "Thank you, that was kind of you."
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ContainerStack:
    """A running stack.

    Attributes:
        root: the repository's folder.
        environment: of every command about it.
        inference: the service's address on this machine.
        registry: address of the registry.
        prometheus: address of Prometheus.
        services: that run; empty for all.
    """

    root: Path
    environment: dict[str, str]
    inference: str
    registry: str
    prometheus: str
    services: str

    @property
    def project(self) -> str:
        """What Compose calls it."""
        return self.environment["COMPOSE_PROJECT_NAME"]

    def make(self, *words: str, check: bool = True, stdin: str = "") -> str:
        """Run `make` and return what it printed."""
        done = subprocess.run(
            ["make", *words],
            cwd=self.root,
            env=self.environment,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"make {' '.join(words)} ended with {done.returncode}:\n{done.stdout[-6000:]}"
            )
        return done.stdout

    def up(self) -> str:
        """Start it, and return what was printed.

        Raises:
            AssertionError: it didn't start; the message has the end of the containers' logs.
        """
        try:
            return self.make("up", f"SERVICES={self.services}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.last_words()}") from None

    def last_words(self) -> str:
        """Return the end of what each container printed: why one died or fell ill."""
        label = f"label=com.docker.compose.project={self.project}"
        names = docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()
        return "\n".join(f"--- {name}\n{_tail(name)}" for name in sorted(names))

    def remove(self) -> None:
        """Stop it and remove its data, as `make clean` does if asked to."""
        subprocess.run(
            ["infra/containers/stack", "clean"],
            cwd=self.root,
            env=self.environment,
            input=b"y\n",
            check=True,
            capture_output=True,
        )

    def container(self, service: str) -> str:
        """Return the container's id; empty if it doesn't run."""
        labels = (f"project={self.project}", f"service={service}", "oneoff=False")
        filters = [word for label in labels for word in ("--filter", f"label=com.docker.compose.{label}")]
        return docker("ps", "--all", "--quiet", *filters).strip()

    def running(self) -> set[str]:
        """Return the services that run."""
        told = docker(
            *("ps", "--filter", f"label=com.docker.compose.project={self.project}"),
            *("--format", '{{.Label "com.docker.compose.service"}}'),
        )
        return set(told.split())

    def is_healthy(self, service: str) -> bool:
        """Whether its health check passes; without a check, whether it runs."""
        state = json.loads(docker("inspect", "--format", "{{json .State}}", self.container(service)))
        return bool(state["Running"] and state.get("Health", {}).get("Status", "healthy") == "healthy")

    def predict(self) -> httpx.Response:
        """Score a text."""
        return httpx.post(
            f"{self.inference}/predict", json={"texts": [_TEXT]}, timeout=30, trust_env=False
        ).raise_for_status()

    def version(self) -> str:
        """Return the version that answers."""
        return str(self.predict().json()["model_version"])

    def sign_in(self) -> tuple[str, str]:
        """Return the operator's name and password at the registry."""
        lines = Path(self.environment["TOXIC_ENV_FILE"]).read_text(encoding="utf-8").splitlines()
        settings = dict(line.partition("=")[::2] for line in lines)
        return settings["REGISTRY_USER"], settings["REGISTRY_PASSWORD"]

    def champion(self) -> str:
        """Return the champion from the registry's API."""
        answer = httpx.get(
            f"{self.registry}/api/2.0/mlflow/registered-models/alias",
            params={"name": MODEL, "alias": "champion"},
            auth=self.sign_in(),
            trust_env=False,
        )
        return str(answer.raise_for_status().json()["model_version"]["version"])

    def ask(self, expression: str) -> list[object]:
        """Return what Prometheus answers to an expression: its series, or none."""
        answer = httpx.get(
            f"{self.prometheus}/api/v1/query", params={"query": expression}, timeout=30, trust_env=False
        )
        found: list[object] = answer.raise_for_status().json()["data"]["result"]
        return found

    def wait_until(self, holds: Callable[[], bool], what: str, *, seconds: int = HEAL_SECONDS) -> float:
        """Wait until something holds, errors of the network counting as no; return how long it took."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            try:
                if holds():
                    return time.monotonic() - began
            except httpx.HTTPError:
                pass
            threading.Event().wait(_POLL_SECONDS)
        raise AssertionError(f"not within {seconds} s: {what}")

    @contextmanager
    def load(self) -> Iterator[Counter[str]]:
        """Send predictions one after another until the block ends; count them by their outcome."""
        outcomes: Counter[str] = Counter()
        over = threading.Event()

        def send() -> None:
            while not over.is_set():
                try:
                    outcomes[f"version {self.version()}"] += 1
                except httpx.HTTPStatusError as error:
                    outcomes[str(error.response.status_code)] += 1
                except httpx.HTTPError:
                    outcomes["no answer"] += 1

        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield outcomes
        finally:
            over.set()
            sender.join()


def _tail(container: str) -> str:
    """Return a container's last lines, of both its streams in their order."""
    return subprocess.run(
        ["docker", "logs", "--tail", "40", container],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout


def docker(*words: str) -> str:
    """Run `docker` and return its output.

    Raises:
        AssertionError: it failed.
    """
    done = subprocess.run(
        ["docker", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"docker {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout
