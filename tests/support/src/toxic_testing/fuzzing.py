"""How many examples tests of properties try: few in `make test`, many in `make fuzz`.

FUZZ_EXAMPLES is the number per property.
"""

import json
import os
import random

from hypothesis import settings

HOSTILE_TEXTS = (
    "", "a", "1", "-1", "\ud800", "\0", "a/b", "..", "%", "x" * 300, "\u202e", "champion", "9" * 40,
)  # fmt: skip
HOSTILE_VALUES: tuple[object, ...] = (
    *HOSTILE_TEXTS, None, True, -1, 2**31, 2**63, 10**400, 1.5, float("nan"), float("-inf"), [], {}, [[]],
    [None], [1], ["\ud800"], {"\ud800": []}, [{"key": "\ud800"}], [{"key": "a", "value": None}], "x" * 70_000,
    json.loads("[" * 200 + "]" * 200), json.loads('{"a":' * 200 + "1" + "}" * 200),
)  # fmt: skip
"""JSON values that no route means: wrong types, surrogates, NUL, huge numbers, deep nesting."""

_MANY = int(os.environ.get("FUZZ_EXAMPLES") or 0)


def examples(usual: int = 100) -> int:
    """Return the number of examples, `usual` unless this is a run of `make fuzz`."""
    return _MANY or usual


def is_long() -> bool:
    """Return whether this is a run of `make fuzz`, which tries other examples each time."""
    return bool(_MANY)


def be_patient(usual: int = 100) -> None:
    """Let Hypothesis wait for examples: their duration depends on the load of the machine."""
    settings.register_profile("patient", deadline=None, max_examples=examples(usual))
    settings.load_profile("patient")


def spoilt(value: object, draw: random.Random) -> object:
    """Return a JSON value with a hostile one in place of a part of it, or beside."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        name = draw.choice([*value, "\ud800", "other"])
        return {**value, name: spoilt(value.get(name), draw)}
    if isinstance(value, list) and value and draw.random() < 0.7:
        place = draw.randrange(len(value))
        return [*value[:place], spoilt(value[place], draw), *value[place + 1 :]]
    return draw.choice(HOSTILE_VALUES)
