"""BentoML with adaptive batching (https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html)."""

import bentoml
from benchmarks.peers.scorer import MAX_BATCH, Scorer


@bentoml.service(workers=1, traffic={"timeout": 120, "max_concurrency": 1024})
class Toxicity:
    """The scorer as a service; one worker, for TensorFlow uses every processor itself."""

    def __init__(self) -> None:
        self.scorer = Scorer()

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=60_000)
    def score(self, texts: list[str]) -> list[list[float]]:
        """Score what was put together."""
        return self.scorer(texts)
