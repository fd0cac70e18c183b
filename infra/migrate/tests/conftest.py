import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Write = Callable[[Sequence[Sequence[object]]], Path]


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of asynchronous tests."""
    return "asyncio"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return the function that writes a table, its header first."""

    def write_rows(rows: Sequence[Sequence[object]]) -> Path:
        path = tmp_path / "table.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
        return path

    return write_rows
