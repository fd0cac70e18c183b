"""MLServer with adaptive batching (https://mlserver.readthedocs.io/en/latest/user-guide/adaptive-batching.html)."""

import json
import os
import sys
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
    ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
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


if __name__ == "__main__":
    main()
