"""What was measured, beside what it should be."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        name: what was measured.
        value: what came out.
        unit: of both; empty for a count or a ratio.
        floor: what it should be, in words.
        holds: whether it is.
        detail: what else to know of it.
    """

    name: str
    value: float
    unit: str
    floor: str
    holds: bool
    detail: str

    @classmethod
    def none(cls, name: str, value: int, detail: str) -> Self:
        """Return the figure of something that mustn't happen."""
        return cls(name, value, "", "0", value == 0, detail)

    @classmethod
    def at_most(cls, name: str, value: float, limit: float, *, unit: str, detail: str) -> Self:
        """Return a figure with an upper limit; a NaN doesn't hold."""
        return cls(name, value, unit, f"≤ {limit:g} {unit}".strip(), value <= limit, detail)

    @classmethod
    def at_least(cls, name: str, value: float, limit: float, *, unit: str, detail: str) -> Self:
        """Return a figure with a lower limit; a NaN doesn't hold."""
        return cls(name, value, unit, f"≥ {limit:g} {unit}".strip(), value >= limit, detail)


def write_report(figures: Sequence[Figure], path: Path, *, scale: str) -> None:
    """Write `path` as Markdown, under a temporary name, then renamed."""
    facts = {
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "scale": scale,
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "load_average": round(os.getloadavg()[0], 2),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(_markdown(figures, facts), encoding="utf-8")
    temporary.replace(path)


def _markdown(figures: Sequence[Figure], facts: Mapping[str, object]) -> str:
    lines = [
        "# The inference service under load and faults",
        "",
        f"Written by `make bench-serving` on {facts['measured_at']}, scale `{facts['scale']}`:",
        f"{facts['machine']}, load average {facts['load_average']} at the end.",
        "The model is a small stand-in: the figures measure the machinery around it.",
        "",
        "| figure | measured | floor | holds | how |",
        "|---|---|---|---|---|",
    ]
    for figure in figures:
        shown = f"{figure.value:,.4g} {figure.unit}".strip()
        lines.append(
            f"| {figure.name} | {shown} | {figure.floor} | {'yes' if figure.holds else '**no**'} "
            f"| {figure.detail} |"
        )
    return "\n".join(lines) + "\n"
