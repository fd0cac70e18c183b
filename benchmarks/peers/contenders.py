"""Who is measured: how each is started, asked, and known to be ready.

Invariant: all of them get the same bundle, the same texts, one a request, and the same number of processors;
telemetry of all of them is off.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from toxic_core.telemetry import TELEMETRY_OFF

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OURS = "toxic-inference"
THREADS = str(os.cpu_count())


def _text(text: str) -> object:
    return {"text": text}


@dataclass(frozen=True, slots=True)
class Contender:
    """A server of the model.

    Attributes:
        name: in the report, and of its folder of requirements; ours needs none.
        command: arguments for its interpreter, given the port and a folder of its own.
        path: what is asked.
        body: the JSON of a request for one text.
        environment: what it needs beside the common variables.
    """

    name: str
    command: Callable[[int, Path], tuple[str, ...]]
    path: str
    body: Callable[[str], object] = _text
    environment: Callable[[int, Path], Mapping[str, str]] = lambda _port, _folder: {}

    def request(self, text: str) -> bytes:
        """Return the whole HTTP request."""
        body = json.dumps(self.body(text)).encode()
        head = f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        return head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body


def _script(name: str) -> Callable[[int, Path], tuple[str, ...]]:
    return lambda port, folder: (str(HERE / name / "server.py"), str(port), str(folder))


def _ours(port: int, folder: Path) -> Mapping[str, str]:
    return {
        "INFERENCE_PORT": str(port),
        "INFERENCE_MODEL_DIRECTORY": str(folder / "models"),
        "INFERENCE_STATE_DIR": str(folder / "state"),
        # The sample repeats, and peers have no cache.
        "INFERENCE_SCORE_CACHE_ENTRIES": "0",
        # Peers cut a text at the model's longest input; ours would read on.
        "INFERENCE_MAX_WINDOWS": "1",
        "INFERENCE_COMPUTE_THREADS": THREADS,
    }


def _bentoml(port: int, _folder: Path) -> tuple[str, ...]:
    program = "from bentoml_cli.cli import cli; cli()"
    served = ("serve", "benchmarks.peers.bentoml.server:Toxicity", "--working-dir", str(ROOT))
    return ("-c", program, *served, "--host", "127.0.0.1", "--port", str(port))


def _open_inference(text: str) -> object:
    return {"inputs": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [text]}]}


CONTENDERS: Mapping[str, Contender] = {
    contender.name: contender
    for contender in (
        Contender(OURS, lambda _port, _folder: ("-m", "toxic_inference"), "/predict", environment=_ours),
        Contender(
            "mlflow",
            _script("mlflow"),
            "/invocations",
            lambda text: {"dataframe_split": {"columns": ["text"], "data": [[text]]}},
            # One worker per processor, so one thread per worker.
            lambda _port, _folder: {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"},
        ),
        Contender("bentoml", _bentoml, "/score", lambda text: {"texts": [text]}),
        Contender("litserve", _script("litserve"), "/predict"),
        Contender("ray", _script("ray"), "/"),
        Contender("mlserver", _script("mlserver"), "/v2/models/toxic/infer", _open_inference),
    )
}


def environment(
    contender: Contender, *, program: Path, bundle: Path, port: int, folder: Path
) -> dict[str, str]:
    """Return the variables that a contender's process gets."""
    sources = [str(ROOT), *(str(path) for path in sorted(ROOT.glob("libs/*/src")))]
    if contender.name == OURS:
        sources += [str(ROOT / "services/inference/src")]
    return {
        **os.environ,
        **TELEMETRY_OFF,
        # Some start others of their environment's programs by name.
        "PATH": os.pathsep.join((str(program.parent), os.environ["PATH"])),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONPATH": os.pathsep.join(sources),
        "BENCH_BUNDLE": str(bundle),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_NUM_INTRAOP_THREADS": THREADS,
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": THREADS,
        **contender.environment(port, folder),
    }


def interpreter(name: str, *, cache: Path) -> Path:
    """Return the Python of a contender's environment."""
    return Path(sys.executable) if name == OURS else cache / name / "bin/python"
