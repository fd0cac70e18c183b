"""Where jobs lie: a folder each, with the uploaded file, the result and the record.

Everything blocks: call it off the event loop.

Invariant: a folder that has its name is complete, whatever was killed and when: uploads, results and records
are written under another name and renamed. Nobody but the service's user can read them.
"""

import csv
import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from toxic_inference.jobs.record import Job

_UPLOAD, _RESULT, _RECORD = "upload.csv", "scores.csv", "job.json"
_PARTIAL = ".partial-"
_JOB = TypeAdapter(Job)
_MAX_LINE_BYTES = 1024 * 1024


class JobFiles:
    """The folders of all jobs.

    Args:
        folder: where they lie; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def read_all(self, *, now: datetime) -> list[Job]:
        """Return every job that hasn't expired, oldest first; remove what was left half and what has."""
        jobs: list[Job] = []
        for folder in self._folder.iterdir():
            job = _read(folder / _RECORD)
            if folder.name.startswith(_PARTIAL) or job is None or job.expires_at <= now:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                jobs.append(job)
        return sorted(jobs, key=lambda job: job.created_at)

    def open_upload(self) -> "PartialUpload":
        """Return a new upload, to be written and then kept or dropped."""
        path = self._folder / f"{_PARTIAL}{uuid.uuid4().hex}"
        path.mkdir(mode=0o700)
        return PartialUpload(path)

    def keep(self, upload: "PartialUpload", job: Job) -> None:
        """Make an upload a job."""
        _write(upload.path / _RECORD, job)
        upload.path.rename(self._folder / job.id)

    def save(self, job: Job) -> None:
        """Replace a job's record."""
        _write(self._folder / job.id / _RECORD, job)

    def open_job(self, job: Job) -> BinaryIO:
        """Open the file to score."""
        return (self._folder / job.id / _UPLOAD).open("rb")

    def open_result(self, job: Job) -> BinaryIO:
        """Open a new result; what an earlier attempt wrote is gone."""
        return (self._folder / job.id / f"{_PARTIAL}{_RESULT}").open("wb")

    def finish(self, job: Job, *, complete: bool) -> None:
        """Write down how a job ended, keep or drop its result, and remove the upload."""
        folder = self._folder / job.id
        partial = folder / f"{_PARTIAL}{_RESULT}"
        if complete:
            partial.replace(folder / _RESULT)
        else:
            partial.unlink(missing_ok=True)
        self.save(job)
        (folder / _UPLOAD).unlink(missing_ok=True)

    def result(self, job: Job) -> Path:
        """Return where a finished job's result lies."""
        return self._folder / job.id / _RESULT

    def remove(self, job: Job) -> None:
        """Remove a job's folder, and with it every text of it."""
        shutil.rmtree(self._folder / job.id, ignore_errors=True)

    def used_bytes(self) -> int:
        """Return how much all of them take."""
        return sum(_size(Path(folder) / name) for folder, _, names in os.walk(self._folder) for name in names)


class PartialUpload:
    """A file that is coming in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = (path / _UPLOAD).open("wb")

    def write(self, part: bytes) -> None:
        """Add to it."""
        self._file.write(part)

    def close(self) -> Path:
        """Say that it is whole; return where it lies."""
        self._file.close()
        return self.path / _UPLOAD

    def drop(self) -> None:
        """Remove what came."""
        self._file.close()
        shutil.rmtree(self.path, ignore_errors=True)


def count_rows(file: Path) -> int:
    """Return how many rows follow the header; a broken row counts as one."""
    with file.open("rb") as stream:
        lines = iter(lambda: stream.readline(_MAX_LINE_BYTES), b"")
        # Where a row ends depends on neither its encoding nor a NUL, which the reader wouldn't take.
        reader = csv.reader(line.replace(b"\0", b"").decode("latin-1") for line in lines)
        return max(sum(_rows_of(reader)) - 1, 0)


def _rows_of(reader: Iterator[list[str]]) -> Iterator[int]:
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            yield 1
            continue
        if cells is None:
            return
        yield 1 if cells else 0


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _read(record: Path) -> Job | None:
    try:
        return _JOB.validate_json(record.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(record: Path, job: Job) -> None:
    partial = record.with_name(f"{_PARTIAL}{record.name}")
    partial.write_bytes(_JOB.dump_json(job))
    partial.replace(record)
