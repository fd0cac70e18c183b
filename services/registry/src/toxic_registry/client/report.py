"""Versions, aliases and the ledger as plain text for a terminal. Times are UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from toxic_core.registered import ALIASES
from toxic_registry.ledger.entries import Entry

_TAG_COLUMNS = {
    "ENCODER": "encoder",
    "TOXIC AUC": "test.toxic.all.auc",
    "REVISION": "code_revision",
    "REASON": "promotion.reason",
}
"""The tags in the table of versions; `show` prints all of them."""

_VERSIONS_HEADER = ("VERSION", "ALIASES", "CREATED (UTC)", *_TAG_COLUMNS)
_LEDGER_HEADER = ("TIME (UTC)", "ALIAS", "FROM", "TO", "OUTCOME", "ACTOR", "REASON")
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
_CELL_WIDTH = 40


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version.

    Attributes:
        number: MLflow's version number.
        created_at: time of registration.
        run_id: the training run that made it; empty if none did.
        tags: by name.
    """

    number: int
    created_at: datetime
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def ledger(entries: Sequence[Entry]) -> str:
    """Return the ledger as a table, the newest entry first."""
    if not entries:
        return "No alias has moved yet."
    rows: list[Sequence[str]] = [_LEDGER_HEADER]
    for entry in reversed(entries):
        time = entry.time.replace("T", " ").partition(".")[0]
        numbers = ("-" if number is None else str(number) for number in (entry.before, entry.after))
        # The reasons of a refusal matter most, so the last column isn't cut.
        reason = " ".join(entry.reason.split()) or "-"
        rows.append((time, entry.alias, *numbers, entry.outcome.value, _cut(entry.actor), reason))
    return _table(rows)


def versions_table(versions: Sequence[ModelVersion], aliases: Mapping[str, int], *, model: str) -> str:
    """Return a table with one version per row."""
    if not versions:
        return f"{model} has no version yet."
    rows: list[Sequence[str]] = [_VERSIONS_HEADER]
    for version in versions:
        names = ", ".join(sorted(alias for alias, number in aliases.items() if number == version.number))
        tags = (_cut(version.tags.get(tag, "-")) for tag in _TAG_COLUMNS.values())
        rows.append((str(version.number), names or "-", f"{version.created_at:{_TIME_FORMAT}}", *tags))
    return _table(rows)


def overview(versions: Sequence[ModelVersion], aliases: Mapping[str, int]) -> str:
    """Return the version of each alias with all of its tags except MLflow's own."""
    by_number = {version.number: version for version in versions}
    lines: list[str] = []
    for alias in ALIASES:
        if alias not in aliases:
            lines.append(f"{alias}: none")
            continue
        version = by_number[aliases[alias]]
        registered = f"registered {version.created_at:{_TIME_FORMAT}}, run {version.run_id or 'none'}"
        lines.append(f"{alias}: version {version.number}, {registered}")
        tags = sorted(version.tags.items())
        lines += [f"  {name} = {value}" for name, value in tags if not name.startswith("mlflow.")]
    return "\n".join(lines)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CELL_WIDTH else f"{line[: _CELL_WIDTH - 1]}…"
