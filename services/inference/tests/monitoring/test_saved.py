from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from toxic_core.contract import Contract
from toxic_inference.events import PolicyTextsScored, TextsScored
from toxic_inference.monitoring.history import Window
from toxic_inference.monitoring.monitor import Monitor
from toxic_inference.monitoring.saved import WindowKeeper, read_windows
from toxic_testing.inference.fakes import ManualClock

Report = Callable[..., TextsScored]
HOUR = 3600.0


def restarted(monitor: Monitor, clock: ManualClock, file: Path) -> Monitor:
    """Return the monitor of the next process, half an hour later, before any version is loaded."""
    WindowKeeper(file=file, save=monitor.save, clock=clock).close()
    clock.advance(HOUR / 2)
    return Monitor(clock, min_texts=1, saved=read_windows(file, now=clock.now()))


@pytest.fixture
def monitor(clock: ManualClock, contract: Contract, report: Report) -> Monitor:
    """A monitor that watched version 1 for two hours, with a hundred texts in each, half of a policy."""
    monitor = Monitor(clock, min_texts=1)
    monitor.available(version="1", contract=contract)
    for _ in range(2):
        monitor.scored(report([0.95] * 100, language="tr"))
        monitor.governed(PolicyTextsScored("forum", report([0.95] * 50)))
        clock.advance(HOUR)
    return monitor


def test_windows_survive_a_restart(
    monitor: Monitor, clock: ManualClock, contract: Contract, report: Report, tmp_path: Path
) -> None:
    """Drift and policies' windows go on, also over a second restart; counters begin at 0."""
    before = monitor.figures("1", Window.DAY)
    for _ in range(2):
        monitor = restarted(monitor, clock, tmp_path / "windows.npz")
    monitor.available(version="1", contract=contract)
    after = monitor.figures("1", Window.DAY)
    assert replace(after, seconds=before.seconds) == before
    assert monitor.figures("1", Window.HOUR).texts == 0
    assert monitor.versions()["1"].counts().texts == 0
    monitor.scored(report([0.05] * 10))
    monitor.governed(PolicyTextsScored("forum", report([0.95])))
    assert monitor.figures("1", Window.DAY).texts == 210
    assert monitor.policies(Window.DAY)["1", "forum"].texts == 101


def test_a_window_is_as_old_as_the_time_that_was_watched(
    monitor: Monitor, clock: ManualClock, contract: Contract, tmp_path: Path
) -> None:
    """The time while the service was down is taken off, and no window is older than its length."""
    assert monitor.figures("1", Window.HOUR).seconds == HOUR
    assert monitor.figures("1", Window.DAY).seconds == 2 * HOUR
    monitor = restarted(monitor, clock, tmp_path / "windows.npz")
    monitor.available(version="1", contract=contract)
    assert monitor.figures("1", Window.DAY).seconds == 1.5 * HOUR
    clock.advance(300 * HOUR)
    assert monitor.figures("1", Window.DAY).seconds == 24 * HOUR
    monitor = restarted(monitor, clock, tmp_path / "windows.npz")
    monitor.available(version="1", contract=contract)
    assert monitor.figures("1", Window.DAY).seconds == 23.5 * HOUR


@pytest.mark.parametrize("part", ["buckets", "counts", "columns"])
def test_windows_of_another_layout_are_not_continued(
    monitor: Monitor, clock: ManualClock, contract: Contract, report: Report, part: str
) -> None:
    """Another release may count otherwise; the version begins anew, and can be watched."""
    saved = monitor.save()
    for key, windows in saved.items():
        history = windows.history
        history = {
            "buckets": replace(history, buckets=history.buckets[1:]),
            "counts": replace(history, counts=history.counts[1:]),
            "columns": replace(history, counts=history.counts[:, 1:]),
        }[part]
        saved[key] = replace(windows, history=history)
    monitor = Monitor(clock, min_texts=1, saved=saved)
    monitor.available(version="1", contract=contract)
    assert monitor.figures("1", Window.DAY).seconds == 0
    monitor.governed(PolicyTextsScored("forum", report([0.95])))
    monitor.scored(report([0.95]))
    assert monitor.figures("1", Window.DAY).texts == 1
    assert monitor.save().keys() == saved.keys()


def test_the_windows_of_another_content_are_not_continued(
    monitor: Monitor, clock: ManualClock, contract: Contract, tmp_path: Path
) -> None:
    """A version of the same number with another contract begins anew."""
    monitor = restarted(monitor, clock, tmp_path / "windows.npz")
    monitor.available(version="1", contract=contract.model_copy(update={"base_model": "another"}))
    assert monitor.figures("1", Window.DAY).texts == 0
    assert monitor.figures("1", Window.DAY).seconds == 0


def _npy() -> bytes:
    stream = BytesIO()
    np.save(stream, np.zeros(1))
    return stream.getvalue()


def _npz(heads: str) -> bytes:
    stream = BytesIO()
    np.savez_compressed(stream, heads=np.array(heads), buckets0=np.zeros(1), counts0=np.zeros((1, 2)))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 cut short",
        b"no archive",
        _npy(),
        _npz("5"),
        _npz("not JSON"),
        _npz('[{"version": "1"}]'),
        _npz('[{"version": "1", "policy": "", "contract": "c", "watched_seconds": 1, "at": "now"}]'),
    ],
    ids=["empty", "cut", "text", "array", "number", "no JSON", "no policy", "no time"],
)
def test_a_damaged_file_costs_only_the_windows(tmp_path: Path, content: bytes) -> None:
    """It is as if there were none."""
    file = tmp_path / "windows.npz"
    assert read_windows(file, now=0.0) == {}
    file.write_bytes(content)
    with capture_logs() as logs:
        assert read_windows(file, now=0.0) == {}
    assert [log["event"] for log in logs] == ["monitoring.not_restored"]


def test_no_changed_byte_stops_the_start(tmp_path: Path) -> None:
    """Whatever the archive's reader raises."""
    file, content = tmp_path / "windows.npz", bytearray(_npz("[]"))
    for position in range(len(content)):
        content[position] ^= 0xFF
        file.write_bytes(content)
        content[position] ^= 0xFF
        assert read_windows(file, now=0.0) == {}


def test_windows_older_than_a_day_are_not_restored(
    monitor: Monitor, clock: ManualClock, tmp_path: Path
) -> None:
    """None of their traffic would count."""
    file = tmp_path / "windows.npz"
    WindowKeeper(file=file, save=monitor.save, clock=clock).close()
    assert read_windows(file, now=clock.now() + 23 * HOUR).keys() == {("1", ""), ("1", "forum")}
    assert read_windows(file, now=clock.now() + 24 * HOUR) == {}
    assert read_windows(file, now=clock.now() - 24 * HOUR) == {}, "written by a clock that was wrong"


def test_a_disk_that_is_full_costs_only_the_windows(
    monitor: Monitor, clock: ManualClock, tmp_path: Path
) -> None:
    """The service goes on."""
    (tmp_path / "folder").write_text("a file where the folder should be")
    WindowKeeper(file=tmp_path / "folder" / "windows.npz", save=monitor.save, clock=clock).close()
