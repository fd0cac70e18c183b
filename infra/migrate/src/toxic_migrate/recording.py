"""`record`: collects the scores of a reference in a file that survives a kill.

Invariant: a comment's row is written whole and once. A row is on disk before the next one is asked for in its
place, so that a killed run asks again only for what was in flight.
"""

import asyncio
import csv
import fcntl
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_migrate.reference import Reference
from toxic_migrate.tables import ERROR, KEY, LANGUAGE, TEXT, Comment, score_row

_AT_ONCE = 8
_REPORT_SECONDS = 10.0


class ScoresFile:
    """An append-only table of scores, which one process writes.

    Attributes:
        keys: of the comments in it.
        errors: how many of them have an error instead of scores.

    Raises:
        ConfigurationError: another process writes it.
        InvalidDataError: it is no table of scores of these attributes.
    """

    def __init__(self, path: Path, attributes: Sequence[str]) -> None:
        self._header = [KEY, TEXT, LANGUAGE, *attributes, ERROR]
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b", buffering=0)
        self.keys: set[str] = set()
        self.errors = 0
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._resume()
        except BlockingIOError as error:
            self._file.close()
            raise ConfigurationError(f"Another process writes {path}; wait for it or stop it.") from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, comment: Comment, scores: dict[str, float], error: str) -> None:
        """Write a comment's row to disk."""
        self._write(score_row(comment, scores, self._header[3:-1], error))
        self.keys.add(comment.key)
        self.errors += bool(error)

    def _write(self, row: list[str]) -> None:
        rest = memoryview(_line(row))
        while rest:
            rest = rest[self._file.write(rest) or 0 :]
        os.fsync(self._file.fileno())

    def _resume(self) -> None:
        """Read the whole rows, and cut off one that a killed process left incomplete."""
        self._file.seek(0)
        content, header = self._file.read(), _line(self._header)
        if not content.startswith(header[: len(content)]):
            raise InvalidDataError(
                f"{self._path} isn't a table of {', '.join(self._header[3:-1])}; name another --out."
            )
        if len(content) < len(header):
            self._file.truncate(0)
            self._write(self._header)
            return
        whole = end = len(header)

        def lines() -> Iterator[str]:
            nonlocal end
            for line in io.BytesIO(content[end:]):
                end += len(line)
                yield line.decode(errors="replace")  # only a row that was cut off has half a character

        for row in csv.reader(lines()):
            # The text is not the last column: a row that ends within it has too few.
            if len(row) != len(self._header) or content[end - 1 : end] != b"\n":
                if end < len(content):
                    raise InvalidDataError(
                        f"{self._path} has a broken row after {len(self.keys):,} whole ones; correct it, or "
                        "name another --out."
                    )
                break
            self.keys.add(row[0])
            self.errors += bool(row[-1])
            whole = end
        self._file.truncate(whole)


async def record(
    comments: Sequence[Comment],
    file: ScoresFile,
    reference: Reference,
    *,
    say: Callable[[str], object],
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Ask for the scores of every comment that the file doesn't have.

    Args:
        comments: of the table.
        file: gets their scores.
        reference: is asked.
        say: takes lines about the progress.
        now: returns the time, in seconds.

    Raises:
        ConfigurationError: the file is of another table, or the reference refuses the key.
        ReferenceUnavailableError: the reference doesn't answer.
    """
    if foreign := file.keys - {comment.key for comment in comments}:
        raise ConfigurationError(
            f"The file has {len(foreign)} comments that the table lacks: it was recorded from another table, "
            "or the table was changed. Name another --out."
        )
    left = [comment for comment in comments if comment.key not in file.keys]
    started = said = now()
    room = asyncio.Semaphore(_AT_ONCE)
    done = 0

    async def one(comment: Comment) -> None:
        nonlocal done, said
        try:
            file.append(comment, *await reference.ask(comment))
        finally:
            room.release()
        done += 1
        if now() - said >= _REPORT_SECONDS:
            said = now()
            seconds = (len(left) - done) * max((said - started) / done, 1 / reference.pacer.rate)
            say(f"{_counts(file, comments)}, about {_duration(seconds)} left")

    try:
        async with asyncio.TaskGroup() as tasks:
            for comment in left:
                await room.acquire()
                tasks.create_task(one(comment))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    say(_counts(file, comments))


def _line(row: list[str]) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(row)
    return line.getvalue().encode()


def _counts(file: ScoresFile, comments: Sequence[Comment]) -> str:
    return f"{len(file.keys):,} of {len(comments):,} comments, {file.errors:,} of them with an error"


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"  # noqa: PLR2004
