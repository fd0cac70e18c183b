"""Compares the relaxed JSON parser with the strict one on mutated requests; run it for as many as you like.

python -m toxic_testing.inference.relaxed_json 1000000
"""

import random
import sys

from toxic_inference.http.body import strict_json
from toxic_inference.http.encodings.relaxed_json import parse_relaxed_json
from toxic_inference.http.errors import MalformedRequestError

SAMPLES = tuple(
    """\
{"comment": {"text": "what kind of \\"name\\" is foo?"}, "languages": ["en"], "doNotStore": true, "a": 0.25}
{comment: {text: 'a \\u00e9 \\ud83d\\ude00 b',}, languages: ['en',], requestedAttributes: {TOXICITY:{}} }
{"attributeScores":{"THREAT":{"spanScores":[{"begin":0,"end":12,"score":{"value":-1.5e-3}}]}},"x":null}
""".splitlines()
)
_PIECES = (
    *"{}[]:,\"'\\ \n\t0123456789.-+eEtfnu",
    "true",
    "NaN",
    "\\u",
    "\\ud83d",
    "é",
    "😀",
    ",}",
    "''",
    '""',
)


def mutated(text: str, draw: random.Random) -> str:
    """Return a text with one to four pieces inserted, deleted or replaced."""
    for _ in range(draw.randint(1, 4)):
        begin = draw.randrange(len(text) + 1)
        end = begin + draw.choice((0, 0, 1, 1, 2, 8))
        text = text[:begin] + draw.choice(("", *_PIECES)) + text[end:]
    return text


def disagreement(text: str) -> str | None:
    """Return how the parsers differ on a text; None if they agree or the strict one refuses it."""
    try:
        relaxed: object = parse_relaxed_json(text)
    except (ValueError, MalformedRequestError) as error:
        relaxed = error
    try:
        strict = strict_json(text)
    except MalformedRequestError:
        return None if isinstance(relaxed, Exception) else f"{text!r} is {relaxed!r}"
    except ValueError:
        return None
    return None if repr(relaxed) == repr(strict) else f"{text!r} is {relaxed!r}, not {strict!r}"


if __name__ == "__main__":
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    drawn = random.Random(rounds)  # noqa: S311  not a secret
    differing = [
        found for _ in range(rounds) if (found := disagreement(mutated(drawn.choice(SAMPLES), drawn)))
    ]
    sys.exit("\n".join(differing[:20]) or None)
