"""Scoring of one job's file, from the first row without a score to the last.

Invariant: a record on disk never counts a row that the result on disk lacks.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import BinaryIO

from toxic_core.tables import TableOptions
from toxic_inference.budget import Held
from toxic_inference.jobs.files import JobFiles
from toxic_inference.jobs.record import Job
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.interfaces import Session
from toxic_inference.tables.reader import CsvTable
from toxic_inference.tables.scoring import score_rows
from toxic_inference.tables.writer import CsvForm
from toxic_inference.threads import Threads
from toxic_model.identification import Identified

_KEEP_SECONDS = 5.0
"""Most work that a crash costs, and a chunk of rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScoring:
    """Scores the files of jobs.

    Attributes:
        files: the jobs' files.
        threads: for jobs only.
        text_bytes: longest text, in UTF-8 bytes.
        file_bytes: most bytes of a compressed file's content.
        identify_language: returns the language of a text that states none; blocks.
        clock: for the time between two records.
    """

    files: JobFiles
    threads: Threads
    text_bytes: int
    file_bytes: int
    identify_language: Callable[[str], Identified]
    clock: Clock

    def open_table(self, stream: BinaryIO, options: TableOptions) -> CsvTable:
        """Open a file, which blocks; raises as `CsvTable`."""
        return CsvTable(
            stream,
            max_text_bytes=self.text_bytes,
            max_bytes=self.file_bytes,
            language_of=lambda text: self.identify_language(text).language,
            options=options,
        )

    async def score(self, job: Job, session: Session, held: Held) -> AsyncGenerator[Job]:
        """Yield the job with more rows done, after each chunk of them.

        Args:
            job: its rows that are done are skipped.
            session: scores.
            held: the room of the job's files.

        Raises:
            OverloadedError: the result doesn't fit.
            ToxicError: the rows can't be scored.
            OSError: the disk failed.
        """
        files, threads = self.files, self.threads
        # Opened here: a thread that opens files for a task that is cancelled meanwhile would leave them open.
        with files.open_job(job) as stream, files.open_result(job) as result:
            table = await threads.run(self.open_table, stream, job.table)
            form = CsvForm(table.header, session.contract.labels, session.version, job.policy)
            rows = table.rows()
            held.settle(await threads.run(files.size, job))

            def write(lines: Callable[[], str]) -> int:
                encoded = lines().encode()
                held.grow(len(encoded))
                return result.write(encoded)

            if job.result_bytes:
                await threads.run(deque, islice(rows, job.rows_done), 0)
            else:
                size = await threads.run_to_end(write, form.header)
                job = replace(job, result_bytes=size)
            kept_at = self.clock.now()
            async with aclosing(score_rows(rows, session, threads)) as chunks:
                async for chunk in chunks:
                    size = await threads.run_to_end(write, partial(form.rows, chunk))
                    scored = sum(row.score is not None for row in chunk)
                    done = job.rows_done + len(chunk)
                    job = replace(
                        job,
                        rows_done=done,
                        rows_total=max(job.rows_total, done),
                        scored=job.scored + scored,
                        rejected=job.rejected + len(chunk) - scored,
                        result_bytes=job.result_bytes + size,
                        attempts=1,
                    )
                    yield job
                    if (now := self.clock.now()) >= kept_at + _KEEP_SECONDS:
                        kept_at = now
                        await threads.run_to_end(files.keep_rows, job, result)
