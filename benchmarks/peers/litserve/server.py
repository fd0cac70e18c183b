"""LitServe with batching (https://lightning.ai/docs/litserve/features/batching)."""

import sys

import litserve as ls
from benchmarks.peers.scorer import MAX_BATCH, MAX_WAIT_SECONDS, Scorer


class Toxicity(ls.LitAPI):
    """The scorer behind LitServe's hooks."""

    def setup(self, device: str) -> None:  # noqa: ARG002  LitServe's signature
        """Load the model, in LitServe's worker."""
        self.scorer = Scorer()

    def decode_request(self, request: dict[str, str]) -> str:
        """Return the text."""
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        """Texts are batched by the tokenizer."""
        return inputs

    def predict(self, x: list[str]) -> list[list[float]]:
        """Score a batch."""
        return self.scorer(x)

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        """One row per text."""
        return output

    def encode_response(self, output: list[float]) -> dict[str, list[float]]:
        """Return the scores as JSON."""
        return {"scores": output}


if __name__ == "__main__":
    api = Toxicity(max_batch_size=MAX_BATCH, batch_timeout=MAX_WAIT_SECONDS)
    ls.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=120).run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, num_api_servers=1
    )
