"""The catalogue of metrics as Markdown: `python -m toxic_inference.metrics.catalogue > docs/metrics.md`.

Invariant: it says nothing of its own but the introduction; a test fails where the file differs.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Final

from toxic_inference.metrics.catalogue import model, service
from toxic_inference.metrics.catalogue.spec import LABEL_VALUES, UNITS, Kind, Spec

_INTRODUCTION: Final = """\
# Metrics of the inference service

Written by `make metrics`; change `toxic_inference.metrics.catalogue` instead. Scraped from `GET /metrics`.
A histogram has the endings `_bucket`, `_sum` and `_count`. A series with a `version` goes when the version
is forgotten. What needs more texts or corrections than have come is absent: let absence be no alarm, and
alert on it by itself where it matters. `INFERENCE_METRICS=off` leaves only the process's own.
"""

STANDARD: Final = {
    "process_cpu_seconds_total": "CPU time spent, in seconds.",
    "process_max_fds": "Most open file descriptors.",
    "process_open_fds": "Open file descriptors.",
    "process_resident_memory_bytes": "Memory in use.",
    "process_start_time_seconds": "When the process started, in seconds since 1970.",
    "process_virtual_memory_bytes": "Address space in use.",
    "python_gc_collections_total": "Runs of the garbage collector, by generation.",
    "python_gc_objects_collected_total": "Objects that the garbage collector freed, by generation.",
    "python_gc_objects_uncollectable_total": "Objects that it found and couldn't free, by generation.",
    "python_info": "1, with Python's version.",
}
"""What prometheus_client says of any process."""


def specs() -> tuple[Spec, ...]:
    """Return every metric of ours, in the order of the document."""
    return (*_specs_of(service), *_specs_of(model))


def describe() -> str:
    """Return the document."""
    parts = [
        _INTRODUCTION,
        "## The service\n",
        _table(_specs_of(service)),
        "## The model\n",
        _table(_specs_of(model)),
        "## Labels\n",
        "| label | values |\n|---|---|",
        "\n".join(f"| `{label}` | {values} |" for label, values in LABEL_VALUES.items()) + "\n",
        "## The process\n",
        "| metric | means |\n|---|---|",
        "\n".join(f"| `{name}` | {means} |" for name, means in STANDARD.items()) + "\n",
    ]
    return "\n".join(parts)


def _specs_of(module: ModuleType) -> tuple[Spec, ...]:
    return tuple(value for value in vars(module).values() if isinstance(value, Spec))


def _table(rows: Sequence[Spec]) -> str:
    lines = [_line(spec) for spec in rows]
    head = ["| metric | type, unit | labels | means | what to do |", "|---|---|---|---|---|"]
    return "\n".join([*head, *lines, ""])


def _line(spec: Spec) -> str:
    labels = ", ".join(f"`{label}`" for label in spec.labels)
    unit = spec.unit if spec.kind is Kind.COUNTER else UNITS[spec.unit]
    return f"| `{spec.name}` | {spec.kind}, {unit} | {labels} | {spec.means} | {spec.todo} |"
