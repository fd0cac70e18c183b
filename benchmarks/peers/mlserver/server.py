"""MLServer with adaptive batching (https://mlserver.readthedocs.io/en/latest/user-guide/adaptive-batching.html)."""

import json
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from benchmarks.peers.scorer import MAX_BATCH, MAX_WAIT_SECONDS, Scorer
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Toxicity(MLModel):
    """The scorer as an MLServer runtime."""

    async def load(self) -> bool:
        """Load the model."""
        self.scorer = Scorer()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Score the texts that MLServer has put together."""
        scores = self.scorer(StringCodec.decode_input(payload.inputs[0]))
        outputs = [NumpyCodec.encode_output("scores", np.asarray(scores, dtype=np.float32))]
        return InferenceResponse(model_name=self.name, outputs=outputs)


def main() -> None:
    """Write MLServer's settings and become the server."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2]) / "mlserver"
    folder.mkdir(parents=True, exist_ok=True)
    grpc_port, metrics_port = _free_ports(2)
    ports = {"http_port": port, "grpc_port": grpc_port, "metrics_port": metrics_port}
    settings = {**ports, "host": "127.0.0.1", "parallel_workers": 0, "debug": False}
    model = {
        "name": "toxic",
        "implementation": "benchmarks.peers.mlserver.server.Toxicity",
        "max_batch_size": MAX_BATCH,
        "max_batch_time": MAX_WAIT_SECONDS,
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    arguments = ["-c", "from mlserver.cli import main; main()", "start", str(folder)]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606  our own arguments


def _free_ports(number: int) -> list[int]:
    """Return so many free ports."""
    with ExitStack() as held:
        return [
            held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(number)
        ]


if __name__ == "__main__":
    main()
