"""Ray Serve with dynamic batching (https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html)."""

import sys

from benchmarks.peers.scorer import MAX_BATCH, MAX_WAIT_SECONDS, Scorer
from ray import serve
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=1024, ray_actor_options={"num_cpus": 1})
class Toxicity:
    """The scorer as a deployment of one replica."""

    def __init__(self) -> None:
        self.scorer = Scorer()

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=MAX_WAIT_SECONDS)
    async def score(self, texts: list[str]) -> list[list[float]]:
        """Score a batch."""
        return self.scorer(texts)

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        """Answer one request."""
        return {"scores": await self.score((await request.json())["text"])}


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Toxicity.bind(), blocking=True)
