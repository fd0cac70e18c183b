"""Versions and aliases as plain text, for a terminal.

Invariant: pure functions of what the registry returned; times are UTC.
"""

from collections.abc import Iterator, Mapping, Sequence

from toxic_registry.gate.aliases import MODEL_NAME, Alias, ModelVersion, Promotion
from toxic_registry.ledger.rows import Entry

_TAG_COLUMNS = {
    "ENCODER": "encoder",
    "TOXIC AUC": "test.toxic.all.auc",
    "REVISION": "code_revision",
    "REASON": "promotion.reason",
}
"""What of a version's tags its history shows; `show` has all of them."""

_HEADER = ("VERSION", "ALIASES", "CREATED (UTC)", *_TAG_COLUMNS)
_LEDGER_HEADER = ("TIME (UTC)", "ALIAS", "FROM", "TO", "OUTCOME", "ACTOR", "REASON")
_MLFLOW_TAG = "mlflow."
_CELL_WIDTH = 40


def describe(promotion: Promotion) -> str:
    """Say what a promotion changed."""
    if not promotion.changed:
        return f"{MODEL_NAME} version {promotion.champion} is already champion; nothing changed."
    if promotion.replaced is None:
        return f"champion: none -> {promotion.champion}"
    return (
        f"champion: {promotion.replaced} -> {promotion.champion}\n"
        f"previous: {promotion.replaced} (`toxic-registry rollback` goes back to it)"
    )


def ledger(entries: Sequence[Entry]) -> str:
    """Lay the ledger's rows out as a table, the newest first."""
    if not entries:
        return "No alias was moved yet."
    return _table([_LEDGER_HEADER, *(_ledger_row(entry) for entry in reversed(entries))])


def versions_table(versions: Sequence[ModelVersion], aliases: Mapping[str, int]) -> str:
    """Lay every version out as a table, one a row."""
    if not versions:
        return f"{MODEL_NAME} has no version yet."
    return _table([_HEADER, *(_row(version, aliases) for version in versions)])


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def overview(versions: Sequence[ModelVersion], aliases: Mapping[str, int]) -> str:
    """Say what stands behind each alias, with all of its tags."""
    by_number = {version.number: version for version in versions}
    return "\n".join(line for alias in Alias for line in _alias_lines(alias, aliases.get(alias), by_number))


def _alias_lines(alias: Alias, number: int | None, versions: Mapping[int, ModelVersion]) -> Iterator[str]:
    if number is None:
        yield f"{alias}: none"
        return
    version = versions[number]
    yield f"{alias}: version {number}, registered {_time(version)}, run {version.run_id or 'none'}"
    yield from (f"  {name} = {value}" for name, value in _own_tags(version).items())


def _ledger_row(entry: Entry) -> tuple[str, ...]:
    change = entry.change
    time = entry.time.replace("T", " ").partition(".")[0]
    numbers = ("-" if number is None else str(number) for number in (change.before, change.after))
    # A refusal is read for its reasons, so that the last column isn't cut.
    reason = " ".join(change.reason.split()) or "-"
    return (time, change.alias, *numbers, change.outcome.value, _cut(change.actor), reason)


def _row(version: ModelVersion, aliases: Mapping[str, int]) -> tuple[str, ...]:
    names = ", ".join(sorted(alias for alias, number in aliases.items() if number == version.number))
    tags = (_cut(version.tags.get(tag, "-")) for tag in _TAG_COLUMNS.values())
    return (str(version.number), names or "-", _time(version), *tags)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CELL_WIDTH else f"{line[: _CELL_WIDTH - 1]}…"


def _own_tags(version: ModelVersion) -> dict[str, str]:
    return {name: version.tags[name] for name in sorted(version.tags) if not name.startswith(_MLFLOW_TAG)}


def _time(version: ModelVersion) -> str:
    return version.created_at.strftime("%Y-%m-%d %H:%M:%S")
