"""Measures the resident memory of the inference service over mixed texts.

    python -m benchmarks.serving.memory MODELS [--texts 100000]

MODELS is a folder of numbered bundles, as `INFERENCE_MODEL_DIRECTORY`. Requests have 1 to 128 texts of 1 to
160 words each, all different, so that no score is cached. Prints the memory, and how many shapes of batches
were compiled, at the start and after each tenth of the texts.
"""

import argparse
import json
import random
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.before_after import service
from benchmarks.serving.load import HOST

_WORDS = [
    "the",
    "a",
    "page",
    "you",
    "we",
    "they",
    "article",
    "please",
    "read",
    "again",
    "why",
    "source",
    "answer",
    "long",
    "good",
    "not",
    "very",
    "week",
    "said",
]
_FIGURES = ("process_resident_memory_bytes", "toxic_inference_compiled_shapes_total")


def requests(texts: int, *, seed: int = 1) -> Iterator[list[str]]:
    """Yield the texts of each request, so many in all."""
    drawn = random.Random(seed)  # noqa: S311  words, not secrets
    left = texts
    while left:
        size = min(left, drawn.randint(1, 128))
        left -= size
        yield [" ".join(drawn.choices(_WORDS, k=drawn.randint(1, 160))) for _ in range(size)]


def figures(port: int) -> dict[str, float]:
    """Return the figures of the service now."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics") as answer:
        shown = answer.read().decode()
    found = {name: re.search(rf"(?m)^{name} (\S+)", shown) for name in _FIGURES}
    return {name: float(match[1]) if match else 0.0 for name, match in found.items()}


def main() -> None:
    """Send the texts, one request after the other, and print the figures."""
    parser = argparse.ArgumentParser(description="Measure the service's memory.")
    parser.add_argument("models", type=Path)
    parser.add_argument("--texts", type=int, default=100_000)
    given = parser.parse_args()
    with service(Path(__file__).parents[2], given.models) as port:
        sent, due = 0, 0
        for texts in (*requests(given.texts), []):
            if sent >= due or not texts:
                memory, shapes = figures(port).values()
                print(f"{sent:>7,} texts: {memory / 1e6:.0f} MB, {shapes:.0f} shapes", flush=True)
                due += given.texts // 10
            if texts:
                request = urllib.request.Request(
                    f"http://{HOST}:{port}/predict",
                    data=json.dumps({"texts": texts, "lang": "en"}).encode(),
                    headers={"content-type": "application/json"},
                )
                urllib.request.urlopen(request).read()  # noqa: S310
                sent += len(texts)


if __name__ == "__main__":
    main()
