"""How many examples tests of properties try: few in `make test`, many in `make fuzz`.

FUZZ_EXAMPLES is the number per property.
"""

import os

from hypothesis import settings

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
