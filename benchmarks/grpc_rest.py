"""Compares the throughput and latency of the Open Inference Protocol over gRPC with those over HTTP.

    python -m benchmarks.grpc_rest MODELS

MODELS is a folder of numbered bundles, as `INFERENCE_MODEL_DIRECTORY`. One service answers both, without its
score cache; a round sends the same texts, one per request, to each of the two in turn, and the order changes
from round to round. gRPC's client in Python takes more of the machine than the load generator for HTTP, which
counts against gRPC.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import grpc

from benchmarks.before_after import free_port, service, show_ratio
from benchmarks.peers.traffic import comments
from benchmarks.serving.load import HOST, Callers, Outcome, closed_loop, percentile, post
from toxic_core.contract import open_bundle
from toxic_inference.rpc.messages import message_class

_MODEL = "toxic-comments"
_REST_PATH = f"/v2/models/{_MODEL}/infer"
_GRPC_PATH = "/inference.GRPCInferenceService/ModelInfer"
_NAMES = ("rest", "grpc")
_UNCUT_TOKENS = 4_096
_OK = 200
Round = dict[str, float]


def main() -> None:
    """Run the rounds and print the ratios of gRPC's figures to REST's."""
    parser = argparse.ArgumentParser(description="Compare gRPC with REST.")
    parser.add_argument("models", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--requests", type=int, default=600, help="in a round")
    parser.add_argument("--callers", type=int, default=32)
    given = parser.parse_args()
    bundle = open_bundle(next(path for path in given.models.resolve().iterdir() if path.name.isdecimal()))
    texts = comments(
        (given.rounds + 1) * given.requests, tokeniser=bundle.tokeniser(max_tokens=_UNCUT_TOKENS)
    )
    found: dict[str, list[Round]] = {name: [] for name in _NAMES}
    grpc_port = free_port()
    settings = {"INFERENCE_GRPC_PORT": str(grpc_port), "INFERENCE_SCORE_CACHE_ENTRIES": "0"}
    with service(Path(), given.models, **settings) as port:
        measures = {"rest": (_rest, port), "grpc": (_grpc, grpc_port)}
        for number, start in enumerate(range(0, len(texts), given.requests)):
            own = texts[start : start + given.requests]
            for name in _NAMES if number % 2 else reversed(_NAMES):
                measure, at = measures[name]
                measured = asyncio.run(measure(at, own, callers=given.callers))
                if number:  # the first round warms up
                    found[name].append(measured)
    for figure in ("requests/s", "p50", "p99"):
        pair = ([each[figure] for each in found[name]] for name in _NAMES)
        show_ratio(figure, *pair, names=_NAMES)


async def _rest(port: int, texts: list[str], *, callers: int) -> Round:
    requests = [
        {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}]} for text in texts
    ]
    loaded = Callers(port)
    bodies = iter([post(_REST_PATH, json.dumps(request).encode()) for request in requests])
    started = time.monotonic()
    await closed_loop(loaded, bodies, count=len(texts), requesters=callers)
    seconds = time.monotonic() - started
    loaded.close()
    return _figures(loaded.outcomes, seconds)


async def _grpc(port: int, texts: list[str], *, callers: int) -> Round:
    request_class = message_class("inference.ModelInferRequest")
    messages: Iterator[bytes] = iter(
        [
            request_class(
                model_name=_MODEL,
                inputs=[
                    {
                        "name": "text",
                        "datatype": "BYTES",
                        "shape": [1],
                        "contents": {"bytes_contents": [text.encode()]},
                    }
                ],
            ).SerializeToString()
            for text in texts
        ]
    )
    outcomes: list[Outcome] = []
    async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_GRPC_PATH)

        async def requester() -> None:
            for message in messages:
                due = time.monotonic()
                await call(message)  # an error ends the measurement
                outcomes.append(Outcome(due, time.monotonic() - due, _OK, ""))

        await channel.channel_ready()
        started = time.monotonic()
        await asyncio.gather(*(requester() for _ in range(callers)))
        seconds = time.monotonic() - started
    return _figures(outcomes, seconds)


def _figures(outcomes: list[Outcome], seconds: float) -> Round:
    if wrong := sum(outcome.status != _OK for outcome in outcomes):
        raise SystemExit(f"{wrong} of {len(outcomes)} requests failed.")
    times = [outcome.seconds for outcome in outcomes]
    return {
        "requests/s": len(outcomes) / seconds,
        "p50": percentile(times, 0.5),
        "p99": percentile(times, 0.99),
    }


if __name__ == "__main__":
    main()
