"""Scoring a whole CSV: rows in, chunks of scored rows out, in constant memory.

Invariant: the answer starts only once a row was scored, so a file in which nothing can be scored is refused
with a status of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from itertools import chain, islice

from toxic_inference.http.errors import InvalidCsvError, RowProblem
from toxic_inference.serving.interfaces import Lane, Session
from toxic_inference.tables.reader import CsvRow
from toxic_inference.tables.writer import ScoredRow

_CHUNK_ROWS = 512
"""Enough rows for full batches of one length; few enough to hold any number of uploads in memory."""

_MAX_BAD_ROWS_AT_START = 10_000
_SHOWN_PROBLEMS = 100


async def score_rows(rows: Iterator[CsvRow], session: Session) -> AsyncGenerator[list[ScoredRow]]:
    """Yield the rows with their scores, chunk by chunk, in order.

    Reading blocks, so it runs on a thread; the rows of a chunk wait in the bulk lane.
    """
    while chunk := await asyncio.to_thread(_take, rows):
        yield await _score_chunk(chunk, session)


def _take(rows: Iterator[CsvRow]) -> list[CsvRow]:
    return list(islice(rows, _CHUNK_ROWS))


async def _score_chunk(chunk: Sequence[CsvRow], session: Session) -> list[ScoredRow]:
    texts = [row.text for row in chunk if row.text is not None]
    scores = iter(await session.score(texts, lane=Lane.BULK) if texts else ())
    return [ScoredRow(row, None if row.text is None else next(scores)) for row in chunk]


async def first_scored(chunks: AsyncIterator[list[ScoredRow]]) -> list[ScoredRow]:
    """Read chunks up to the first that has a scored row; return all rows read.

    Raises:
        InvalidCsvError: there is none, or not within the first 10,000 rows.
    """
    read: list[list[ScoredRow]] = []
    bad = 0
    async for chunk in chunks:
        read.append(chunk)
        if any(scored.score is not None for scored in chunk):
            return list(chain.from_iterable(read))
        bad += len(chunk)
        if bad >= _MAX_BAD_ROWS_AT_START:
            break
    raise _nothing_scored(list(chain.from_iterable(read)))


def _nothing_scored(rows: Sequence[ScoredRow]) -> InvalidCsvError:
    if not rows:
        return InvalidCsvError("The file has a first line and no rows; there is nothing to score.")
    problems: list[RowProblem] = [scored.row.problem for scored in rows if scored.row.problem is not None]
    return InvalidCsvError(
        f"None of the file's {len(rows):,} rows can be scored; the first: {problems[0].message}",
        problems=tuple(problems[:_SHOWN_PROBLEMS]),
    )
