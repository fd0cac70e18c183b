"""The stack itself: registry, training, promotion and inference as this process's children.

Invariant: `LocalStack` owns every process it starts, and leaving its context ends them all, the last started
first. It has no output of its own.
"""

import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx

from toxic_core.files import replacing
from toxic_core.registered import CHAMPION, MODEL_NAME
from toxic_core.signatures import SigningKey
from toxic_core.telemetry import TELEMETRY_OFF
from toxic_local.checks import LOOPBACK, check_port
from toxic_local.errors import ProcessFailedError
from toxic_local.plan import StackPlan
from toxic_local.process import ManagedProcess, ProcessSpec
from toxic_local.stop import StopSignal

REGISTRY_START_SECONDS = 180
INFERENCE_START_SECONDS = 300
_POLL_SECONDS = 0.1
_PROBE_SECONDS = 5.0


class LocalStack(ExitStack):
    """The processes of one plan, which end with its context. Belongs to one thread."""

    def __init__(
        self,
        plan: StackPlan,
        *,
        stop: StopSignal | None = None,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.plan = plan
        self._stop = stop or StopSignal()
        self._clock = clock
        secret = secrets.token_urlsafe(32)
        # The default folder of the demo's tables and checkpoints.
        self._environment = {
            "TOXIC_DEMO_DIR": str(plan.state_dir / "data"),
            # The registry notifies inference of a new champion at once, with a secret of this run.
            "REGISTRY_EVENT_URLS": f"{plan.inference_uri}/events",
            "REGISTRY_EVENT_SECRET": secret,
            "INFERENCE_EVENT_SECRET": secret,
            **signing_environment(plan.state_dir.parent),
            **child_environment(os.environ if environment is None else environment),
        }
        self._servers: list[ManagedProcess] = []

    def start_registry(self) -> None:
        """Start the registry and return once it answers.

        Raises:
            CheckFailedError: its port is taken.
            ProcessFailedError: it didn't come up.
            StopRequestedError: a signal came.
        """
        self._start_server(
            "registry",
            self.plan.commands.registry,
            port=self.plan.registry_port,
            needed_by="the registry",
            settings={"REGISTRY_STATE_DIR": self.plan.state_dir / "registry"},
        )
        self._wait_until(
            lambda _: True,
            name="registry",
            uri=f"{self.plan.registry_uri}/health",
            seconds=REGISTRY_START_SECONDS,
        )

    def start_inference(self) -> None:
        """Start the inference service and return once it serves; see the two methods it calls."""
        self.launch_inference()
        self.wait_for_inference()

    def launch_inference(self) -> None:
        """Start the inference service without waiting: it comes up while there is no champion yet.

        Raises:
            CheckFailedError: its port is taken.
        """
        self._start_server(
            "inference",
            self.plan.commands.inference,
            port=self.plan.inference_port,
            needed_by="the inference service",
            settings={
                "INFERENCE_REGISTRY_URI": self.plan.registry_uri,
                "INFERENCE_CACHE_DIR": self.plan.state_dir / "inference-cache",
                "INFERENCE_STATE_DIR": self.plan.state_dir / "inference",
                "INFERENCE_SHUTDOWN_GRACE_SECONDS": 5,
            },
        )

    def wait_for_inference(self) -> None:
        """Return once the launched inference service serves the registry's champion.

        Raises:
            ProcessFailedError: it ended, or didn't get there in time.
            StopRequestedError: a signal came.
        """
        champion = self.champion()
        self._wait_until(
            # Ready isn't enough: until the new champion is loaded, the old one from its cache answers.
            lambda answer: champion is None or answer.json().get("model_version") == champion,
            name="inference",
            uri=f"{self.plan.inference_uri}/health/ready",
            seconds=INFERENCE_START_SECONDS,
        )

    def train(self, *arguments: str) -> None:
        """Run training to its end, its output on the terminal.

        Raises:
            ProcessFailedError: it ended with another status than 0.
            StopRequestedError: a signal came.
        """
        self._run_checked("training", (*self.plan.commands.train, *arguments))

    def promote(self, version_or_alias: str, *, reason: str) -> None:
        """Make a version champion; raises as `train` does."""
        self._run_checked("promotion", (*self.plan.commands.promote, version_or_alias, "--reason", reason))

    def run(self, command: Sequence[str], *, name: str = "the command") -> int:
        """Run a command against this stack's registry and return its exit status.

        Raises:
            CheckFailedError: there is no such program.
            ProcessFailedError: the registry ended meanwhile.
            StopRequestedError: a signal came; the command was ended.
        """
        uri = self.plan.registry_uri
        # Both: a registry that the caller's environment names isn't this stack's.
        environment = {**self._environment, "MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri}
        spec = ProcessSpec(name, command, environment)
        return run_to_end(spec, stop=self._stop, meanwhile=self._check_servers)

    def champion(self) -> str | None:
        """Return the version that is champion in the running registry."""
        answer = _get(
            f"{self.plan.registry_uri}/api/2.0/mlflow/registered-models/alias",
            name=MODEL_NAME,
            alias=CHAMPION,
        )
        if answer is None or answer.status_code != httpx.codes.OK:
            return None
        return str(answer.json()["model_version"]["version"])

    def wait(self) -> None:
        """Return when a signal asks to stop.

        Raises:
            ProcessFailedError: one of the servers ended first.
        """
        while not self._stop.wait(_POLL_SECONDS):
            self._check_servers()

    def _start_server(
        self,
        name: str,
        command: Sequence[str],
        *,
        port: int,
        needed_by: str,
        settings: Mapping[str, object],
    ) -> None:
        variable = f"{name.upper()}_PORT"
        check_port(port, needed_by=needed_by, variable=variable)
        own = {variable: port, f"{name.upper()}_HOST": LOOPBACK, **settings}
        environment = {**self._environment, **{key: str(value) for key, value in own.items()}}
        server = ManagedProcess(ProcessSpec(name, command, environment, self.plan.log(name)))
        self.callback(server.stop)
        self._servers.append(server)

    def _wait_until(
        self, satisfied: Callable[[httpx.Response], bool], *, name: str, uri: str, seconds: int
    ) -> None:
        deadline = self._clock() + seconds
        while self._clock() < deadline:
            self._stop.check()
            self._check_servers()
            answer = _get(uri)
            if answer is not None and answer.status_code == httpx.codes.OK and satisfied(answer):
                return
            self._stop.wait(_POLL_SECONDS)
        raise ProcessFailedError(
            f"The {name} didn't get ready within {seconds} s; see {self.plan.log(name)}.",
            log=self.plan.log(name),
        )

    def _run_checked(self, name: str, command: Sequence[str]) -> None:
        if status := self.run(command, name=name):
            raise ProcessFailedError(f"The {name} {ended(status)}; see its output above.", log=None)

    def _check_servers(self) -> None:
        for server in self._servers:
            if (status := server.status()) is not None:
                raise ProcessFailedError(
                    f"The {server.spec.name} {ended(status)}; the whole log is {server.spec.log}.",
                    log=server.spec.log,
                )


def run_to_end(spec: ProcessSpec, *, stop: StopSignal, meanwhile: Callable[[], None] = lambda: None) -> int:
    """Run a process in the foreground and return its exit status.

    Args:
        spec: what to run.
        stop: ends it.
        meanwhile: called again and again while it runs; ends it by raising.

    Raises:
        CheckFailedError: there is no such program.
        StopRequestedError: a signal came; the process was ended.
    """
    child = ManagedProcess(spec)
    try:
        while (status := child.status()) is None:
            stop.wait(_POLL_SECONDS)
            stop.check()
            meanwhile()
        return status
    finally:
        child.stop()


def ended(status: int) -> str:
    """Return how a process with an exit status ended, as a sentence without its subject."""
    if status >= 0:
        return f"ended with status {status}"
    cause = ", perhaps by the kernel because memory ran out" if -status == signal.SIGKILL else ""
    return f"was ended by signal {-status}{cause}"


def registry_answers(uri: str) -> bool:
    """Whether an MLflow server answers at `uri`."""
    answer = _get(f"{uri.rstrip('/')}/health")
    return answer is not None and answer.status_code == httpx.codes.OK and answer.text == "OK"


def signing_environment(folder: Path) -> dict[str, str]:
    """Return the variables by which training signs and the registry trusts, with a key in `folder`.

    The key is made at the first start. All stacks of the folder share it, so that one can promote what
    another one trained.
    """
    path = folder / "signing.key"
    public = path.with_suffix(".pub")
    own = SigningKey.read_or_create(path).public
    trusted = public.read_text(encoding="utf-8").splitlines() if public.exists() else []
    if not any(line.startswith(own) for line in trusted):
        with replacing(public) as partial:
            partial.write_text("\n".join([*trusted, f"{own} this machine", ""]), encoding="utf-8")
    return {"TOXIC_SIGNING_KEY_FILE": str(path), "REGISTRY_TRUSTED_KEYS_FILE": str(public)}


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with telemetry off, output unbuffered, and no proxy before this machine itself."""
    no_proxy = ",".join(filter(None, (environment.get("NO_PROXY", ""), LOOPBACK, "localhost")))
    return {
        **environment,
        **TELEMETRY_OFF,
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def _get(uri: str, **query: str) -> httpx.Response | None:
    try:
        # Without the environment, because processes of one machine must not use a proxy.
        with httpx.Client(trust_env=False, timeout=_PROBE_SECONDS) as client:
            return client.get(uri, params=query)
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
