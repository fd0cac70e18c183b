"""Measures how long a comment of 20,480 bytes takes at the Perspective door, one request after the other.

    python -m benchmarks.long_texts MODELS [CHECKOUT…]

MODELS is a folder of numbered bundles, as `INFERENCE_MODEL_DIRECTORY`. Several checkouts run side by side and
are asked in turns; by default it is this one. Coral lets a comment pass after 800 ms, Discourse after 3 s.
Wait for a quiet machine: other work on it counts.
"""

import argparse
import json
import random
import statistics
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from benchmarks.before_after import service
from benchmarks.serving.load import HOST, percentile

_BYTES = 20_480
_TEXT = """
the article you wrote is not very good so please read it again before you ask why they removed this page
and what other people said about its sources in their long answers last week
"""


def texts(count: int) -> list[str]:
    """Return different texts of English words, as long as the API allows."""
    drawn = random.Random(count)  # noqa: S311  words, not secrets
    return [" ".join(drawn.choices(_TEXT.split(), k=_BYTES))[:_BYTES] for _ in range(count)]


def main() -> None:
    """Measure and print, one checkout per line."""
    parser = argparse.ArgumentParser(description="Measure the longest comments.")
    parser.add_argument("models", type=Path)
    parser.add_argument("checkouts", type=Path, nargs="*", default=[Path(__file__).parents[1]])
    parser.add_argument("--requests", type=int, default=40)
    given = parser.parse_args()
    seconds: dict[Path, list[float]] = {checkout: [] for checkout in given.checkouts}
    marked: set[Path] = set()
    with ExitStack() as running:
        ports = {each: running.enter_context(service(each, given.models)) for each in given.checkouts}
        for number, text in enumerate(texts(given.requests + 1)):
            body = {"comment": {"text": text}, "languages": ["en"], "requestedAttributes": {"TOXICITY": {}}}
            for checkout, port in ports.items():
                request = urllib.request.Request(
                    f"http://{HOST}:{port}/v1alpha1/comments:analyze",
                    data=json.dumps(body).encode(),
                    headers={"content-type": "application/json"},
                )
                began = time.perf_counter()
                with urllib.request.urlopen(request) as answer:  # noqa: S310
                    answer.read()
                    if "x-truncated-texts" in answer.headers:
                        marked.add(checkout)
                if number:  # the first one warms up
                    seconds[checkout].append(time.perf_counter() - began)
    for checkout, times in seconds.items():
        end = "not read to its end" if checkout in marked else "read to its end"
        figures = f"p50 {1000 * statistics.median(times):.0f} ms, p95 {1000 * percentile(times, 0.95):.0f} ms"
        sys.stdout.write(f"{checkout}: {figures}, {end}\n")


if __name__ == "__main__":
    main()
