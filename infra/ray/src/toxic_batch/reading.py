"""One block of an input file as a table, and a scored table as a file's bytes.

Invariant: an error of reading names the block and never quotes its content.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from toxic_batch.blocks import Block, Unit, opened, parquet_file, row_groups
from toxic_batch.storage import Place
from toxic_core.errors import InvalidDataError
from toxic_core.tables import Row, Table, TableOptions, open_table

FORMATS = ("parquet", "csv")


def read_block(
    block: Block, file: Place, columns: tuple[str, ...], options: TableOptions
) -> tuple[pa.Table, list[str]]:
    """Return a block's rows, and why each can't be scored; empty if it can.

    Args:
        block: the part of the file.
        file: the block's file.
        columns: the job's; cells are strings, except in Parquet.
        options: what the user declares of the files.

    Raises:
        InvalidDataError: the block can't be read.
    """
    if block.unit == Unit.PARQUET_ROWS:
        table = _read_parquet(block, file)
        return table, [""] * table.num_rows
    cells: list[tuple[str, ...]] = []
    problems: list[str] = []
    with _part(block, file, options) as (part, rows):
        if set(part.header) - set(columns):
            raise InvalidDataError(f"{block} has names that the file's first records lack.")
        at = [part.header.index(name) if name in part.header else None for name in columns]
        for row in rows:
            padded = (*row.cells, *[""] * (len(part.header) - len(row.cells)))
            cells.append(tuple("" if index is None else padded[index] for index in at))
            problems.append(row.problem.message if row.problem else "")
    arrays = [pa.array(column, pa.string()) for column in zip(*cells, strict=True)]
    return pa.Table.from_arrays(arrays or [pa.array([], pa.string())] * len(columns), list(columns)), problems


@contextmanager
def _part(block: Block, file: Place, options: TableOptions) -> Iterator[tuple[Table, Iterator[Row]]]:
    if block.unit == Unit.ROWS:
        with opened(file, options) as table:
            yield table, islice(table.rows(), block.begin, block.end)
        return
    with file.filesystem.open_input_file(file.path) as stream:
        head = bytes(stream.read(block.header))
        stream.seek(block.begin if head else 0)
        part = io.BytesIO(head + bytes(stream.read(block.end - stream.tell())))
    try:
        table = open_table(
            part, replace(options, delimiter=block.delimiter or None), skipped_lines=block.skipped_lines
        )
        # The first record of NDJSON names the columns, and is in the first block.
        yield table, islice(table.rows(), 1 if head and not block.delimiter else 0, None)
    except InvalidDataError as error:
        raise InvalidDataError(f"{block} can't be read. {error}") from error


def _read_parquet(block: Block, file: Place) -> pa.Table:
    with parquet_file(file) as content:
        for index, begin, end in row_groups(content):
            if begin <= block.begin < end:
                try:
                    group = content.read_row_group(index)
                except (pa.ArrowInvalid, OSError) as error:
                    raise InvalidDataError(f"{block} is damaged; write the file again.") from error
                return group.slice(block.begin - begin, block.end - block.begin)
    raise InvalidDataError(f"{block} is no longer there; the file was changed.")


def encode(table: pa.Table, *, form: str) -> pa.Buffer:
    """Return `table` as the bytes of a file, one of `FORMATS`."""
    sink = pa.BufferOutputStream()
    if form == "csv":
        arrow_csv.write_csv(table, sink)
    else:
        parquet.write_table(table, sink)
    return sink.getvalue()
