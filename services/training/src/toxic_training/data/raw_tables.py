"""Raw tables as data frames: what `toxic_core.tables` reads, with every cell a string.

Invariant: a row that can't be read is left out with its line and reason, and the other rows keep their
positions as their index.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd

from toxic_core.errors import InvalidDataError
from toxic_core.labels import LABELS
from toxic_core.tables import NO_OPTIONS, TableOptions, open_table
from toxic_training.data.chunks import CHUNK_ROWS, Chunks, Lazy
from toxic_training.data.parameters import SourceParameters

logger = logging.getLogger(__name__)

UNREADABLE = "unreadable"
"""Key in a data frame's `attrs`: a list of the line and the reason's code of every row that was left out."""
_SHOWN_PROBLEMS = 5


def as_frame(header: Sequence[str], rows: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Return rows of strings as a data frame; columns without a name are numbered."""
    names = [name or f"unnamed_{number}" for number, name in enumerate(header)]
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return pd.DataFrame(
        {name: pd.Series(list(cells), dtype=str) for name, cells in zip(names, columns, strict=True)}
    )


def read_chunks(path: Path, options: TableOptions = NO_OPTIONS, *, rows: int = CHUNK_ROWS) -> Chunks:
    """Return a table that is read when it is iterated, `rows` at a time; the first chunk may be empty.

    A warning lists the first rows that can't be read. Iterating raises InvalidDataError if the file is no
    table; the message names it.
    """

    def chunks() -> Iterator[pd.DataFrame]:
        shown: list[str] = []
        unreadable = 0
        try:
            with path.open("rb") as stream:
                table = open_table(stream, options)
                remaining = enumerate(table.rows())
                block = list(islice(remaining, rows))
                while True:
                    problems = [row.problem for _, row in block if row.problem is not None]
                    frame = as_frame(table.header, [row.cells for _, row in block if row.problem is None])
                    positions = [position for position, row in block if row.problem is None]
                    frame.index = pd.Index(positions, dtype="int64")
                    if problems:
                        frame.attrs[UNREADABLE] = [(problem.line, problem.code) for problem in problems]
                        shown += [problem.message for problem in problems[: _SHOWN_PROBLEMS - len(shown)]]
                        unreadable += len(problems)
                    yield frame
                    if not (block := list(islice(remaining, rows))):
                        break
        except InvalidDataError as error:
            raise InvalidDataError(f"{path} can't be read. {error}") from error
        if unreadable:
            message = "%d rows of %s can't be read and are left out: %s"
            logger.warning(message, unreadable, path, " ".join(shown))

    return Lazy(chunks)


def whole(chunks: Chunks) -> pd.DataFrame:
    """Return a table's chunks as one data frame."""
    frames = list(chunks)
    frame = pd.concat(frames)
    if unreadable := [row for each in frames for row in each.attrs.get(UNREADABLE, ())]:
        frame.attrs[UNREADABLE] = unreadable
    elif len(frame) == 0 or frame.index[-1] == len(frame) - 1:
        frame.index = pd.RangeIndex(len(frame))
    return frame


def read_raw(path: Path, options: TableOptions = NO_OPTIONS) -> pd.DataFrame:
    """Return a whole table, as the chunks of `read_chunks`."""
    return whole(read_chunks(path, options))


def renamed(raw: pd.DataFrame, source: SourceParameters, *, name: str) -> pd.DataFrame:
    """Return the table `name` with our names of columns and values of labels, by `columns`, `label_values`.

    Raises:
        InvalidDataError: the table has no column of a configured name; the message lists its columns.
    """
    if missing := sorted(set(source.columns.values()) - set(raw.columns)):
        raise InvalidDataError(
            f"The table {name} has no column {', '.join(missing)}, which data's `columns` names; it has "
            f"{', '.join(map(str, raw.columns))}."
        )
    taken = raw[list(source.columns.values())].set_axis(list(source.columns), axis=1)
    replaced = {*source.columns.values(), *source.columns}
    kept = raw[[name for name in raw.columns if name not in replaced]]
    table = pd.concat([kept, taken], axis=1)
    words = {word.strip().lower(): str(value) for word, value in source.label_values.items()}
    for label in LABELS if words else ():
        if label in table:
            own = table[label].astype(str).str.strip().str.lower()
            table[label] = table[label].mask(own.isin(words), own.map(words))
    table.attrs = dict(raw.attrs)
    return table
