"""Bundles and clocks that the tests share."""

import asyncio
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import structlog
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from toxic_core.contract import (
    SAVED_MODEL_DIR,
    SIGNATURE,
    TOKENIZER_FILE,
    Calibration,
    Contract,
    WarmupExample,
    seal,
    write_warmup,
)
from toxic_core.labels import LABELS
from toxic_core.languages import ANY_LANGUAGE
from toxic_core.telemetry import disable_telemetry
from toxic_core.tokens import EncodedBatch, Tokeniser
from toxic_inference.serving.batching import BatchLimits, BatchScheduler, SchedulerParts
from toxic_inference.serving.harness import ActiveServable
from toxic_inference.serving.interfaces import ServableId
from toxic_inference.serving.observers import BatchReport
from toxic_inference.serving.states import State

disable_telemetry()
# structlog's own default renders every local variable of a traceback: slow, and not what the service logs.
structlog.configure(
    processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
)
os.environ.update({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"})
os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"})

WORDS = ("you", "are", "a", "kind", "idiot", "have", "lovely", "day", "stupid", "fool")
WARMUP_TEXTS = ("you are kind", "you are a stupid idiot fool", "day")
MAX_TOKENS = 16


class BundleBuilder(Protocol):
    """Makes a sealed bundle with a real SavedModel."""

    def __call__(self, path: Path, *, bias: float = 0.0, warmup_shift: float = 0.0) -> Path:
        """Make it at `path`; a bias tells models apart, a shift makes the warm-up wrong."""
        ...


def make_tokenizer() -> Tokenizer:
    """Return a word tokenizer of a dozen words with opening and closing tokens."""
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS)
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def make_contract(**changes: object) -> Contract:
    """Return a contract without calibration and with every threshold at one half."""
    contract = Contract(
        max_tokens=MAX_TOKENS,
        pad_id=0,
        languages=("en",),
        calibration={label: {ANY_LANGUAGE: Calibration()} for label in LABELS},
        thresholds={label: {ANY_LANGUAGE: 0.5} for label in LABELS},
        encoder="tiny",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return contract.model_copy(update=changes)


def _save_model(path: Path, bias: float) -> None:
    import tensorflow as tf  # noqa: PLC0415  most tests need no TensorFlow, and it takes seconds

    rng = np.random.default_rng(7)
    vocabulary = len(WORDS) + 4

    class MeanOfEmbeddings(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        """Sigmoid of the masked mean of one vector a token."""

        def __init__(self) -> None:
            super().__init__()
            self.table = tf.Variable(rng.normal(0, 2, (vocabulary, len(LABELS))).astype(np.float32))

        @tf.function(  # type: ignore[untyped-decorator]  # TensorFlow has no types
            input_signature=[
                tf.TensorSpec([None, None], tf.int32, name="input_ids"),
                tf.TensorSpec([None, None], tf.int32, name="attention_mask"),
            ]
        )
        def score(self, input_ids: Any, attention_mask: Any) -> dict[str, Any]:
            mask = tf.cast(attention_mask, tf.float32)[:, :, tf.newaxis]
            summed = tf.reduce_sum(tf.gather(self.table, input_ids) * mask, axis=1)
            return {"scores": tf.sigmoid(summed / tf.reduce_sum(mask, axis=1) + bias)}

    model = MeanOfEmbeddings()
    tf.saved_model.save(model, str(path), signatures={SIGNATURE: model.score})


def _replay(path: Path) -> tuple[WarmupExample, ...]:
    import tensorflow as tf  # noqa: PLC0415  see above

    function = tf.saved_model.load(str(path)).signatures[SIGNATURE]
    tokeniser = Tokeniser(make_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0)
    examples = []
    for text in WARMUP_TEXTS:
        batch = tokeniser.encode([text])
        scores = function(
            input_ids=tf.constant(batch.input_ids), attention_mask=tf.constant(batch.attention_mask)
        )["scores"].numpy()
        examples.append(WarmupExample(text=text, scores=tuple(scores[0].tolist())))
    return tuple(examples)


@pytest.fixture(scope="session")
def build_bundle(tmp_path_factory: pytest.TempPathFactory) -> BundleBuilder:
    """Return a function that makes a sealed bundle with a real SavedModel; a bias tells models apart."""
    templates: dict[float, Path] = {}

    def build(path: Path, *, bias: float = 0.0, warmup_shift: float = 0.0) -> Path:
        if bias not in templates:
            templates[bias] = tmp_path_factory.mktemp("model") / SAVED_MODEL_DIR
            _save_model(templates[bias], bias)
        shutil.copytree(templates[bias], path / SAVED_MODEL_DIR)
        (path / TOKENIZER_FILE).parent.mkdir()
        make_tokenizer().save(str(path / TOKENIZER_FILE))
        examples = [
            WarmupExample(text=e.text, scores=tuple(min(s + warmup_shift, 1.0) for s in e.scores))
            for e in _replay(templates[bias])
        ]
        write_warmup(path, examples)
        seal(path, make_contract())
        return path

    return build


class ManualClock:
    """A clock that moves when a test says so; implements `Clock`."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Return the test's time, in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._now += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait(self, event: asyncio.Event, *, at_most_seconds: float | None) -> None:
        """Return once `event` is set, or when the test let that much time pass."""
        until = None if at_most_seconds is None else self._now + at_most_seconds
        while not event.is_set() and (until is None or self._now < until):
            waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._moved.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


class InlineExecutor(Executor):
    """Runs what it is given at once, on the caller's thread, so that a test knows when it ran."""

    def submit(self, fn: Callable[..., object], /, *args: object, **kwargs: object) -> "Future[object]":  # type: ignore[override]
        """Call `fn` and return a future that is done."""
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  as an executor does
            future.set_exception(error)
        return future


@pytest.fixture
def inline() -> InlineExecutor:
    """An executor without threads."""
    return InlineExecutor()


async def spin(until: Callable[[], bool]) -> None:
    """Let the event loop turn until `until` holds."""
    for _ in range(10_000):
        if until():
            return
        await asyncio.sleep(0)
    raise AssertionError("what the test waits for didn't happen")


@pytest.fixture
def turn() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Return the function that lets the event loop turn until a condition holds."""
    return spin


class FakeServable:
    """A model whose score for a row is the sum of its unmasked ids over a thousand; implements `Servable`."""

    def __init__(self) -> None:
        self.contract = make_contract()
        self.encoder = Tokeniser(make_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0)
        self.batches: list[EncodedBatch] = []
        self.closed = False

    def infer(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return the same score for every label."""
        self.batches.append(batch)
        sums = (batch.input_ids * batch.attention_mask).sum(axis=1) / 1000
        return np.repeat(sums[:, np.newaxis], len(LABELS), axis=1).astype(np.float32)

    def close(self) -> None:
        """Remember that it was freed."""
        self.closed = True


class Recorder:
    """Counts what the core reports; implements every observer protocol of the core."""

    def __init__(self) -> None:
        self.queue_rows = 0
        self.batches: list[BatchReport] = []
        self.refused_rows = 0
        self.departed_rows = 0
        self.states: dict[str, State | None] = {}
        self.loads = 0
        self.load_errors: list[Exception] = []
        self.routes: dict[str, str | None] = {}
        self.polls: list[bool] = []
        self.truncated = 0

    def queue_changed(self, *, rows: int) -> None:
        """Follow the queue's depth."""
        self.queue_rows += rows

    def batch_ran(self, report: BatchReport) -> None:
        """Keep the report."""
        self.batches.append(report)

    def refused(self, *, rows: int) -> None:
        """Count refused rows."""
        self.refused_rows += rows

    def departed(self, *, rows: int) -> None:
        """Count departed rows."""
        self.departed_rows += rows

    def state_changed(self, *, version: str, state: State | None) -> None:
        """Keep each version's last state."""
        self.states[version] = state

    def load_succeeded(self, *, seconds: float) -> None:  # noqa: ARG002  the protocol's
        """Count loads."""
        self.loads += 1

    def load_failed(self, error: Exception) -> None:
        """Keep the errors."""
        self.load_errors.append(error)

    def routed(self, *, alias: str, version: str | None) -> None:
        """Keep each alias's route."""
        self.routes[alias] = version

    def polled(self, *, answered: bool) -> None:
        """Keep the polls' outcomes."""
        self.polls.append(answered)

    def tokenised(self, *, texts: int, truncated: int, seconds: float) -> None:  # noqa: ARG002  the protocol's
        """Count texts that were cut."""
        self.truncated += truncated


@pytest.fixture
def observer() -> Recorder:
    """What the core reported."""
    return Recorder()


@pytest.fixture
def servable() -> FakeServable:
    """A model that needs no TensorFlow."""
    return FakeServable()


@pytest.fixture
def scheduling(inline: InlineExecutor, clock: ManualClock, observer: Recorder) -> SchedulerParts:
    """What a scheduler needs, on a clock that stands still and without threads."""
    return SchedulerParts(
        limits=BatchLimits(token_budget=64, queue_rows=16), executor=inline, clock=clock, observer=observer
    )


@pytest.fixture
def active_servable(servable: FakeServable, scheduling: SchedulerParts) -> ActiveServable:
    """A servable with a scheduler that hasn't started."""
    scheduler = BatchScheduler(servable.infer, pad_id=0, parts=scheduling)
    return ActiveServable(ServableId("1", "f"), servable, scheduler)


class Logs:
    """The lines a process writes, as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._queue: queue.Queue[str | None] = queue.Queue()
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._queue.put(line)
        self._queue.put(None)

    def wait_for(self, text: str, *, seconds: float = 120.0) -> str:
        """Return the next line that holds `text`."""
        until = time.monotonic() + seconds
        while (line := self._queue.get(timeout=max(until - time.monotonic(), 0.01))) is not None:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"the process ended without {text!r}:\n{''.join(self.lines)}")


class Server:
    """A process of its own process group, with its logs."""

    def __init__(self, arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **environment},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.logs = Logs(self.process)

    def terminate(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.terminate()
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        """End the whole group at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def start_server() -> Iterator[StartServer]:
    """Return a function that starts Python processes; all are ended after the session."""
    servers: list[Server] = []

    def start(arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> Server:
        servers.append(Server(arguments, environment=environment, folder=folder))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


class Registry:
    """A real MLflow server that can be taken away and started again."""

    def __init__(self, start: StartServer, folder: Path) -> None:
        self._start = start
        self._folder = folder
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._server: Server | None = None
        self._answers = False

    def launch(self) -> None:
        """Start it, without waiting until it answers."""
        arguments = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        arguments += ["--backend-store-uri", f"sqlite:///{self._folder}/mlflow.db", "--workers", "1"]
        arguments += ["--artifacts-destination", str(self._folder / "artifacts")]
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._server = self._start(arguments, environment=environment, folder=self._folder)
        self._answers = False

    def wait(self) -> None:
        """Wait until it answers, once it was launched."""
        assert self._server is not None
        if not self._answers:
            self._server.logs.wait_for("Application startup complete")
        self._answers = True

    def kill(self) -> None:
        """Take it away without a word."""
        assert self._server is not None
        self._server.kill()

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._server is not None and self._server.process.poll() is None


class RegisteredModel:
    """A registered model of the test's own, with nothing in it."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry = registry
        self.name = name

    def register(self, bundle: Path) -> str:
        """Make a model version of a bundle, as the training pipeline lays it out; return its number."""
        client = self._client()
        run = client.create_run("0")
        client.log_artifacts(run.info.run_id, str(bundle), "model/artifacts/bundle")
        with suppress(MlflowException):
            client.create_registered_model(self.name)
        source = f"{run.info.artifact_uri}/model"
        return str(client.create_model_version(self.name, source, run_id=run.info.run_id).version)

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self._client().set_registered_model_alias(self.name, alias, version)

    def delete_alias(self, alias: str) -> None:
        """Remove an alias."""
        self._client().delete_registered_model_alias(self.name, alias)

    def _client(self) -> MlflowClient:
        return MlflowClient(self.registry.uri, self.registry.uri)


@pytest.fixture(scope="session")
def one_registry(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The session's MLflow server, not started yet."""
    return Registry(start_server, tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="session", autouse=True)
def registry_ahead_of_time(request: pytest.FixtureRequest) -> None:
    """Launch the MLflow server before its first test: it takes long, and other tests fill the wait."""
    items = (item for item in request.session.items if isinstance(item, pytest.Function))
    if any("registered_model" in item.fixturenames for item in items):
        request.getfixturevalue("one_registry").launch()


@pytest.fixture
def registered_model(one_registry: Registry, request: pytest.FixtureRequest) -> RegisteredModel:
    """A registered model on a running MLflow server."""
    if not one_registry.running:
        one_registry.launch()
    one_registry.wait()
    return RegisteredModel(one_registry, request.node.name)
