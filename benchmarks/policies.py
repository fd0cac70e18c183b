"""Measures what a policy costs per comment: 10,000 words or patterns, and markup.

    python -m benchmarks.policies

Prints the fastest of several runs each, in processor time, so that other work on the machine counts less. The
floor is 0.2 ms per comment for 10,000 patterns.
"""

import time
from collections.abc import Callable
from functools import partial

from toxic_core.text import NORMALISATION_VERSION
from toxic_inference.policies.lists import Matcher
from toxic_inference.policies.markup import strip_markup

_COUNT = 10_000
_RUNS = 15
_SECONDS = 0.01

COMMENTS = {
    "a comment": "Hello there, this is a plain comment about the weather in our town, and no more.",
    "Cyrillic": "привет как дела, сегодня хорошая погода, и я иду гулять с друзьями в парк",
    "300 characters": "Have a lovely day, and thank you for your kind answer to my question. " * 4,
    "20 kB": "Have a lovely day, and thank you for your kind answer. " * 370,
}
LISTS = {
    "words": tuple(f"word{number}" for number in range(_COUNT)),
    "phrases": tuple(f"word{number} is here" for number in range(_COUNT)),
    "patterns": tuple(rf"\bw[o0]rd\s*{number}\b" for number in range(_COUNT)),
}
MARKUP = "[quote=Ann]what a day[/quote] > yes **indeed** <b>it</b> is `so`"


def main() -> None:
    """Measure and print milliseconds, one list or markup per line."""
    print(f"{'ms per':16}" + "".join(f"{name:>16}" for name in COMMENTS))
    for name, items in LISTS.items():
        began = time.process_time()
        words, patterns = ((), items) if name == "patterns" else (items, ())
        matches = Matcher(words, patterns, NORMALISATION_VERSION)
        compiled = time.process_time() - began
        cells = [_milliseconds(partial(matches, text)) for text in COMMENTS.values()]
        print(f"{name:16}" + "".join(f"{cell:16.4f}" for cell in cells) + f"  compiled in {compiled:.1f} s")
    for markup in ("html", "bbcode", "markdown"):
        texts = [f"{MARKUP} {text}" for text in COMMENTS.values()]
        cells = [_milliseconds(partial(strip_markup, text, markup)) for text in texts]
        print(f"{markup:16}" + "".join(f"{cell:16.4f}" for cell in cells))


def _milliseconds(work: Callable[[], object]) -> float:
    count = 1
    while (spent := _spent(work, count)) < _SECONDS:
        count *= 2
    return min(spent, *(_spent(work, count) for _ in range(_RUNS))) / count * 1e3


def _spent(work: Callable[[], object], count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
