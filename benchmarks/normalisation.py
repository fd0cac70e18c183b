"""Measures how long normalisation takes: for comments, and for 20 kB of characters that the rules look for.

    python -m benchmarks.normalisation

Prints the fastest of several runs each, in processor time, so that other work on the machine counts less.
"""

import random
import time

from toxic_core.text import NORMALISATION_VERSIONS, normaliser

_BYTES = 20_000
_RUNS = 15

COMMENTS = {
    "a plain comment": "Hello there, this is a plain comment about the weather in our town, and no more.",
    "Cyrillic": "привет как дела, сегодня хорошая погода, и я иду гулять с друзьями в парк",
    "with repeats": "you are soooo nice",
}
UNITS = {
    "letters apart": "t h a n k s ",
    "letters and signs": "t.h.a.n.k.s ",
    "two scripts": "thаnks ",
    "digits for letters": "th4nks ",
    "restless case": "tHaNkS ",
    "entities": "&lt;",
    "tags": "<b>",
    "open tags": "<p ",
    "piled marks": "\u0301\u0316",
    "an honorific": "\ufdfa",
    "syllables": "hahahaha ",
    "zero-width": "a\u200b",
    "emoji": "😂",
    "Han": "你好世界",
    "Hangul": "안녕하세요 ",
    "Devanagari": "नमस्ते ",
}


def texts() -> dict[str, str]:
    """Return the texts by name: the comments, and 20 kB (UTF-8) of each unit and of random characters."""
    generator = random.Random(20200622)  # noqa: S311 - not for cryptography
    odd = "abIDоі10$! .-&<>b;/[]\u0301é\u200b𝓎😂"
    any_character = [*map(chr, range(0x20, 0xD7FF)), *map(chr, range(0xE000, 0x30000))]
    long = {name: unit * (_BYTES // len(unit.encode())) for name, unit in UNITS.items()}
    for name, characters in (("what the rules look for", odd), ("any characters", any_character)):
        drawn = "".join(generator.choices(characters, k=_BYTES))
        long[name] = drawn.encode()[:_BYTES].decode(errors="ignore")
    return COMMENTS | long


def main() -> None:
    """Measure and print, one text per line."""
    versions = sorted(NORMALISATION_VERSIONS)
    print(f"{'':24}{'bytes':>8}" + "".join(f"{f'version {version}, ms':>16}" for version in versions))
    for name, text in texts().items():
        figures = []
        for version in versions:
            normalise = normaliser(version)
            normalise(text)
            seconds = []
            for _ in range(_RUNS):
                started = time.process_time()
                normalise(text)
                seconds.append(time.process_time() - started)
            figures.append(min(seconds) * 1000)
        print(f"{name:24}{len(text.encode()):8}" + "".join(f"{figure:16.3f}" for figure in figures))


if __name__ == "__main__":
    main()
