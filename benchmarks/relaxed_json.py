"""Measures the relaxed JSON parser beside the strict one, on strict requests of several sizes.

    python -m benchmarks.relaxed_json

Prints the fastest of several runs each, in processor time. The door parses a body strictly, and once; the
relaxed parser reads only what the strict one refuses. The command
`python -m toxic_testing.inference.relaxed_json 1000000` compares their results.
"""

import json
import time
from collections.abc import Callable
from functools import partial

from toxic_inference.http.body import parse_json, strict_json
from toxic_inference.http.encodings.relaxed_json import parse_relaxed_json

_RUNS = 7
_SECONDS = 0.005

_ATTRIBUTES = ("TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT")
_PLAIN = {"comment": {"text": "Have a lovely day."}, "requestedAttributes": {"TOXICITY": {}}}
BODIES = {
    "a comment": _PLAIN,
    "every member": {
        **_PLAIN,
        "requestedAttributes": {name: {"scoreType": "PROBABILITY"} for name in _ATTRIBUTES},
        "context": {"entries": [{"text": "Before."}] * 4},
        "languages": ["en"],
        "doNotStore": True,
        "clientToken": "token",
    },
    "20 kB": {**_PLAIN, "comment": {"text": "Have a lovely day. " * 1_000}},
    "20 kB of escapes": {**_PLAIN, "comment": {"text": 'é"\n' * 2_500}},
    "20 kB of quotes": {**_PLAIN, "comment": {"text": '"' * 10_000}},
    "20 kB of Cyrillic": {**_PLAIN, "comment": {"text": "Привет " * 540}},
    "20 kB of Hangul": {**_PLAIN, "comment": {"text": "한국어 " * 1_050}},
    "20 kB of emoji": {**_PLAIN, "comment": {"text": "😀 ok" * 1_250}},
    "500 spans": {"spans": [{"begin": n, "end": n + 9, "score": {"value": 0.25}} for n in range(500)]},
}


def main() -> None:
    """Measure and print, one body per line."""
    print(f"{'':20}{'strict, us':>12}{'door':>8}{'relaxed':>10}")
    for name, body in BODIES.items():
        text = json.dumps(body)
        encoded = text.encode()
        strict = _microseconds(partial(strict_json, text))
        door = _microseconds(partial(parse_json, encoded, fallback=parse_relaxed_json))
        relaxed = _microseconds(partial(parse_relaxed_json, text))
        print(f"{name:20}{strict:12.1f}{door / strict:7.2f}x{relaxed / strict:9.2f}x")


def _microseconds(work: Callable[[], object]) -> float:
    count = 1
    while (spent := _spent(work, count)) < _SECONDS:
        count *= 2
    return min(spent, *(_spent(work, count) for _ in range(_RUNS))) / count * 1e6


def _spent(work: Callable[[], object], count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
