"""Scoring a whole CSV in chunks of rows, in constant memory.

Invariant: `first_scored` returns only once a row was scored, so that a file without a row that can be scored
is refused before the answer starts.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from itertools import chain

from toxic_inference.serving.interfaces import Lane, Session
from toxic_inference.tables.reader import CsvRow, InvalidCsvError
from toxic_inference.tables.writer import ScoredRow
from toxic_inference.threads import Threads

_CHUNK_ROWS = 512
"""Enough rows for full batches of one length; few enough to hold any number of uploads in memory."""

_CHUNK_CHARACTERS = 1024 * 1024
_MAX_BAD_ROWS_AT_START = 10_000
_MAX_BAD_CHARACTERS_AT_START = 16 * _CHUNK_CHARACTERS
_SHOWN_PROBLEMS = 100


async def score_rows(
    rows: Iterator[CsvRow], session: Session, threads: Threads, *, caller: str = ""
) -> AsyncGenerator[list[ScoredRow]]:
    """Yield the rows with their scores, in chunks and in order.

    Reading blocks, so it runs on a thread; the rows of a chunk are scored in the bulk lane.
    """
    while chunk := await threads.run(_next_chunk, rows, caller=caller):
        texts = [row.text for row in chunk if row.text is not None]
        scores = iter(await session.score(texts, lane=Lane.BULK) if texts else ())
        yield [ScoredRow(row, None if row.text is None else next(scores)) for row in chunk]


def _next_chunk(rows: Iterator[CsvRow]) -> list[CsvRow]:
    chunk: list[CsvRow] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += row.size
        if len(chunk) == _CHUNK_ROWS or size >= _CHUNK_CHARACTERS:
            break
    return chunk


async def first_scored(chunks: AsyncIterator[list[ScoredRow]]) -> list[ScoredRow]:
    """Read chunks up to the first with a scored row; return all rows read.

    Raises:
        InvalidCsvError: none of the first 10,000 rows was scored.
    """
    read: list[list[ScoredRow]] = []
    bad = characters = 0
    async for chunk in chunks:
        read.append(chunk)
        if any(scored.score is not None for scored in chunk):
            return list(chain.from_iterable(read))
        bad += len(chunk)
        characters += sum(scored.row.size for scored in chunk)
        if bad >= _MAX_BAD_ROWS_AT_START or characters >= _MAX_BAD_CHARACTERS_AT_START:
            break
    rows = list(chain.from_iterable(read))
    if not rows:
        raise InvalidCsvError("The file has a first line and no rows; there is nothing to score.")
    problems = [scored.row.problem for scored in rows if scored.row.problem is not None]
    raise InvalidCsvError(
        f"None of the file's {len(rows):,} rows can be scored; the first: {problems[0].message}",
        problems=tuple(problems[:_SHOWN_PROBLEMS]),
    )
