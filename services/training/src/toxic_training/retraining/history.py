"""What was started for alerts, on disk: a restart of the server forgets neither cool-down nor daily cap.

Invariant: the file is whole at any time, since it is written under a temporary name and renamed; and a start
is on disk before its run begins.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import RootModel, ValidationError

from toxic_core.errors import ConfigurationError
from toxic_training.retraining.policy import Outcome, Start

KEEP_STARTS = 100
"""More than any daily cap and cool-down look back on."""

_Starts = RootModel[tuple[Start, ...]]


class History:
    """The starts, the oldest first. Belongs to one process and one thread.

    A start that was under way when the server ended, without a word of its end, has not succeeded.

    Raises:
        ConfigurationError: the file is there but isn't one that this class wrote, or can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts = [
            replace(start, outcome=Outcome.NOT_SUCCEEDED) if start.outcome is Outcome.UNDER_WAY else start
            for start in _read(path)
        ]

    def starts(self) -> Sequence[Start]:
        """Return what is remembered, the newest last."""
        return tuple(self._starts)

    def add(self, start: Start) -> None:
        """Remember a start.

        Raises:
            OSError: it can't be written; then it isn't remembered either.
        """
        self._store([*self._starts, start][-KEEP_STARTS:])

    def forget(self, run_id: str) -> None:
        """Take back a start that came to nothing: it counts neither for the cool-down nor for the cap."""
        self._store([start for start in self._starts if start.run_id != run_id])

    def ended(self, run_id: str, *, outcome: Outcome) -> None:
        """Remember what became of a run; nothing happens where no alert had started it."""
        changed = [
            replace(start, outcome=outcome) if start.run_id == run_id else start for start in self._starts
        ]
        if changed != self._starts:
            self._store(changed)

    def _store(self, starts: list[Start]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f".partial-{self._path.name}")
        with partial.open("w", encoding="utf-8") as file:
            file.write(_Starts(tuple(starts)).model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)
        self._starts = starts


def _read(path: Path) -> tuple[Start, ...]:
    try:
        return _Starts.model_validate_json(path.read_bytes()).root
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise ConfigurationError(
            f"{path} can't be read as the history of retrainings ({type(error).__name__}); mend it, or move "
            "it away to begin without one, which forgets the cool-down and the daily cap."
        ) from error
