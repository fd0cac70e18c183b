"""The monitor's windows in a file, so that they survive a restart of the service.

Invariant: a file that can't be read or written costs the windows, never the service.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog

from toxic_core.contract import Contract
from toxic_core.files import replacing
from toxic_inference.monitoring.history import BUCKET_SECONDS, SavedHistory, Window
from toxic_inference.serving.clock import Clock

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SavedWindows:
    """The windows of a version's traffic, or of a policy's share of it.

    Attributes:
        contract: digest of the version's contract.
        watched_seconds: how long they were watched.
        at: when they were saved, in seconds since 1970.
        history: the counts.
    """

    contract: str
    watched_seconds: float
    at: float
    history: SavedHistory


Saved = Mapping[tuple[str, str], SavedWindows]
"""Windows by version and policy."""


def digest_of(contract: Contract) -> str:
    """Return a digest of everything in a contract."""
    return hashlib.sha256(contract.model_dump_json().encode()).hexdigest()


def read_windows(file: Path, *, now: float) -> Saved:
    """Return the windows in a file that are not older than the longest window; none if there is no file."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            found = {
                (head["version"], head["policy"]): SavedWindows(
                    head["contract"],
                    float(head["watched_seconds"]),
                    float(head["at"]),
                    SavedHistory(arrays[f"buckets{index}"], arrays[f"counts{index}"]),
                )
                for index, head in enumerate(json.loads(str(arrays["heads"])))
            }
    except FileNotFoundError:
        return {}
    except Exception as error:  # noqa: BLE001  a damaged archive raises almost anything
        _log.warning("monitoring.not_restored", file=str(file), error_type=type(error).__name__)
        return {}
    return {key: saved for key, saved in found.items() if abs(now - saved.at) < Window.DAY.seconds}


def write_windows(file: Path, windows: Saved) -> None:
    """Replace the file; raises OSError."""
    heads = [
        {
            "version": version,
            "policy": policy,
            "contract": saved.contract,
            "watched_seconds": saved.watched_seconds,
            "at": saved.at,
        }
        for (version, policy), saved in windows.items()
    ]
    arrays = {"heads": np.array(json.dumps(heads))}
    for index, saved in enumerate(windows.values()):
        arrays |= {f"buckets{index}": saved.history.buckets, f"counts{index}": saved.history.counts}
    with replacing(file) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowKeeper:
    """Writes the windows to a file once per bucket of time, off the event loop.

    Attributes:
        file: replaced each time.
        save: returns the windows.
        clock: for the wait between two writes.
    """

    file: Path
    save: Callable[[], Saved]
    clock: Clock

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self.clock.wait(asyncio.Event(), at_most_seconds=BUCKET_SECONDS)
            await asyncio.to_thread(self._write, self.save())

    def close(self) -> None:
        """Write a last time."""
        self._write(self.save())

    def _write(self, windows: Saved) -> None:
        try:
            write_windows(self.file, windows)
        except OSError as error:
            _log.warning("monitoring.not_saved", file=str(self.file), reason=error.strerror)
