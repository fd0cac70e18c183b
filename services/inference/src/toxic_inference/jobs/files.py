"""The files of jobs: a folder per job, with the uploaded file, the result and the record.

Everything blocks: call it off the event loop.

Invariant: a folder under its final name is complete, whenever the process was killed: uploads, results and
records are written under another name and renamed. Only the service's user can read them.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from toxic_core.files import replacing_in_folder
from toxic_core.tables import TableOptions, open_table
from toxic_inference.budget import Held
from toxic_inference.jobs.record import DiskFullError, Job

_UPLOAD, _RESULT, _RECORD = "upload.csv", "scores.csv", "job.json"
_PARTIAL = ".partial-"
_JOB = TypeAdapter(Job)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Raise `DiskFullError` for an `OSError` because the disk, or the user's quota of it, is used up."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFullError(
            "The service's disk is full. Try again later; its operator has to free space in "
            "INFERENCE_STATE_DIR or TMPDIR."
        ) from error


class JobFiles:
    """The folders of all jobs, in `folder`, which is created if it doesn't exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def read_all(self, *, now: datetime) -> list[Job]:
        """Return every job that has not expired, oldest first; remove incomplete and expired ones.

        Raises:
            OSError: a record can't be read now.
        """
        jobs: list[Job] = []
        for folder in self._folder.iterdir():
            try:
                job = _JOB.validate_json((folder / _RECORD).read_bytes())
            except (FileNotFoundError, NotADirectoryError, ValidationError):
                job = None
            expired = job is not None and job.ended and job.expires_at <= now
            if folder.name.startswith(_PARTIAL) or job is None or expired:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                jobs.append(job)
        return sorted(jobs, key=lambda job: job.created_at)

    def open_upload(self, held: Held) -> "PartialUpload":
        """Return a new upload, to be written and then kept or dropped."""
        path = self._folder / f"{_PARTIAL}{uuid.uuid4().hex}"
        path.mkdir(mode=0o700)
        try:
            return PartialUpload(path, held)
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise

    def keep(self, upload: "PartialUpload", job: Job) -> None:
        """Turn an upload into a job; dropping the upload still removes its files."""
        _write(upload.path / _RECORD, job)
        upload.path = upload.path.rename(self._folder / job.id)

    def save(self, job: Job) -> None:
        """Replace a job's record; raises FileNotFoundError if the job was removed."""
        _write(self._folder / job.id / _RECORD, job)

    def open_job(self, job: Job) -> BinaryIO:
        """Open the file to score."""
        return (self._folder / job.id / _UPLOAD).open("rb")

    def has_rows(self, job: Job) -> bool:
        """Return whether the result still has the rows that are done."""
        partial = self._folder / job.id / f"{_PARTIAL}{_RESULT}"
        return partial.is_file() and partial.stat().st_size >= job.result_bytes

    def open_result(self, job: Job) -> BinaryIO:
        """Open the result after the rows that are done; what an interrupted attempt wrote is removed."""
        result = (self._folder / job.id / f"{_PARTIAL}{_RESULT}").open("ab")
        result.truncate(job.result_bytes)
        return result

    def keep_rows(self, job: Job, result: BinaryIO) -> None:
        """Save a job with the rows that are done, so that another process can go on with it."""
        result.flush()
        os.fsync(result.fileno())
        self.save(job)

    def finish(self, job: Job, *, complete: bool) -> None:
        """Save how a job ended, keep its result if it is complete, and remove the upload."""
        folder = self._folder / job.id
        partial = folder / f"{_PARTIAL}{_RESULT}"
        if complete:
            with partial.open("rb") as result:
                os.fsync(result.fileno())
            partial.replace(folder / _RESULT)
        else:
            partial.unlink(missing_ok=True)
        self.save(job)
        (folder / _UPLOAD).unlink(missing_ok=True)

    def result(self, job: Job) -> Path:
        """Return the path of a finished job's result."""
        return self._folder / job.id / _RESULT

    def remove(self, job: Job) -> None:
        """Remove a job's folder with all its texts."""
        shutil.rmtree(self._folder / job.id, ignore_errors=True)

    def size(self, job: Job) -> int:
        """Return the size of a job's files, in bytes."""
        files = (self._folder / job.id).glob("*")
        return sum(file.stat().st_size for file in files if not file.name.endswith(_RECORD))


class PartialUpload:
    """A file that is being received; every part is reserved before it is written."""

    def __init__(self, path: Path, held: Held) -> None:
        self.path = path
        self.held = held
        self._file = (path / _UPLOAD).open("wb")

    def write(self, part: bytes) -> None:
        """Append a part; raises as `Held.grow`."""
        self.held.grow(len(part))
        self._file.write(part)

    def close(self) -> Path:
        """End the upload; return the file's path."""
        self._file.close()
        return self.path / _UPLOAD

    def drop(self) -> None:
        """Remove the upload."""
        with suppress(OSError):  # closing writes what is buffered, and the disk may be full
            self._file.close()
        shutil.rmtree(self.path, ignore_errors=True)
        self.held.release()


def count_rows(file: Path, options: TableOptions) -> int:
    """Return the number of a table's rows; a malformed row counts as one."""
    with file.open("rb") as stream:
        return sum(1 for _ in open_table(stream, options).rows())


def _write(record: Path, job: Job) -> None:
    with replacing_in_folder(record) as partial:
        partial.write_bytes(_JOB.dump_json(job))
