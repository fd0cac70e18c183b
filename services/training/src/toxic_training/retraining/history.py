"""The starts of retraining runs, on disk, so that a restart keeps cool-down and daily cap.

Invariant: a start is on disk before its run begins.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import RootModel, ValidationError

from toxic_core.errors import ConfigurationError
from toxic_core.files import replacing
from toxic_training.retraining.policy import Outcome, Start

KEEP_STARTS = 100
"""More than any daily cap and cool-down need."""

_Starts = RootModel[tuple[Start, ...]]


class History:
    """The starts, the oldest first. Used by one process and one thread.

    A start that was under way when the server ended, with no recorded end, counts as not succeeded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            starts = _Starts.model_validate_json(path.read_bytes()).root
        except FileNotFoundError:
            starts = ()
        except (OSError, ValidationError) as error:
            raise ConfigurationError(
                f"{path} can't be read as the history of retrainings ({type(error).__name__}). Repair it, or "
                "move it away to start without one; then the cool-down and the daily cap start anew."
            ) from error
        self._starts = [
            replace(start, outcome=Outcome.NOT_SUCCEEDED) if start.outcome is Outcome.UNDER_WAY else start
            for start in starts
        ]

    def starts(self) -> Sequence[Start]:
        """Return the starts, the newest last."""
        return tuple(self._starts)

    def add(self, start: Start) -> None:
        """Remember a start, or raise OSError if the file can't be written."""
        self._store([*self._starts, start][-KEEP_STARTS:])

    def forget(self, run_id: str) -> None:
        """Remove a start that failed, so that it counts neither for the cool-down nor for the cap."""
        self._store([start for start in self._starts if start.run_id != run_id])

    def ended(self, run_id: str, *, outcome: Outcome) -> None:
        """Record the outcome of a run. Nothing changes if no alert started it."""
        changed = [
            replace(start, outcome=outcome) if start.run_id == run_id else start for start in self._starts
        ]
        if changed != self._starts:
            self._store(changed)

    def _store(self, starts: list[Start]) -> None:
        with replacing(self._path) as partial:
            text = _Starts(tuple(starts)).model_dump_json(indent=2)
            partial.write_text(text + "\n", encoding="utf-8")
        self._starts = starts
