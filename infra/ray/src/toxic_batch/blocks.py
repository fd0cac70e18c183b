"""Cut input files into blocks: text between records, Parquet inside its row groups, others between rows.

Invariant: the same files and the same size give the same blocks, every row is in exactly one, and a block can
be read without the others. A compressed file, a workbook, a JSON list and UTF-16 are read from the start for
each block.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath

import pyarrow as pa
from pyarrow import fs, parquet

from toxic_batch.storage import Place
from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_core.tables import Table, TableOptions, open_table

_PARQUET = ".parquet"
_TEXTS = (".csv", ".tsv", ".txt", ".ndjson", ".jsonl", ".json")
KINDS = (*_TEXTS, ".xlsx", _PARQUET, *(f"{kind}{packed}" for kind in _TEXTS for packed in (".gz", ".zip")))


class Unit(StrEnum):
    """What a block's ends count."""

    BYTES = "bytes"
    ROWS = "rows"
    PARQUET_ROWS = "Parquet rows"


@dataclass(frozen=True, slots=True)
class Block:
    """A part of an input file.

    Attributes:
        number: its place among all blocks of the job.
        path: of its file.
        begin: its first byte or row, from 0.
        end: one past its last.
        unit: a `Unit`: what `begin` and `end` count.
        header: bytes to the end of a text's header, in NDJSON of its first record; 0 for the block with it.
        skipped_lines: between the header and the block.
        delimiter: of a text's cells; empty in NDJSON.
    """

    number: int
    path: str
    begin: int
    end: int
    unit: str = Unit.BYTES
    header: int = 0
    skipped_lines: int = 0
    delimiter: str = ""

    def __str__(self) -> str:
        """Return the file and the range, for messages."""
        return f"{self.path} {self.unit} {self.begin:,} to {self.end:,}"


def is_parquet(path: str) -> bool:
    """Return whether a file is read as Parquet, by its ending.

    Raises:
        ConfigurationError: files with this ending aren't read.
    """
    kind = _kind_of(path)
    if kind not in KINDS:
        raise ConfigurationError(f"{path} ends in none of {', '.join(KINDS)}; convert it to one of these.")
    return kind == _PARQUET


def _kind_of(path: str) -> str:
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    return "".join(suffixes[-2:] if suffixes[-1:] in ([".gz"], [".zip"]) else suffixes[-1:])


def plan(files: list[Place], *, block_bytes: int, options: TableOptions) -> list[Block]:
    """Cut every file into blocks of about `block_bytes`, uncompressed.

    A text is read once for this: seconds for a file that takes hours to score.

    Raises:
        InvalidDataError: a file can't be read, or none has rows.
    """
    blocks: list[Block] = []
    for file in files:
        cut = _cut_parquet if is_parquet(file.path) else partial(_cut, options=options)
        blocks += [replace(block, number=len(blocks) + at) for at, block in enumerate(cut(file, block_bytes))]
    if not blocks:
        raise InvalidDataError(f"{', '.join(f.path for f in files)}: no rows, so there is nothing to score.")
    return blocks


def _cut_parquet(file: Place, block_bytes: int) -> Iterator[Block]:
    with parquet_file(file) as content:
        ends = [0]
        for group, begin, last in row_groups(content):
            size = content.metadata.row_group(group).total_byte_size
            rows = max(1, (last - begin) * block_bytes // max(1, size))
            ends += [min(end, last) for end in range(begin + rows, last + rows, rows)]
        for begin, end in pairwise(ends):
            yield Block(0, file.path, begin=begin, end=end, unit=Unit.PARQUET_ROWS)


def _cut(file: Place, block_bytes: int, *, options: TableOptions) -> Iterator[Block]:
    with opened(file, options) as table:
        at, lines = table.place or (0, 0)
        unit = Unit.ROWS if table.place is None else Unit.BYTES
        header = at if table.delimiter else 0
        block = Block(0, file.path, at, at, unit=unit, header=header, delimiter=table.delimiter or "")
        size = 0
        for count, row in enumerate(table.rows(), start=1):
            size += len(row.cells) + sum(map(len, row.cells))
            end, line = table.place or (count, 0)
            if count == 1 and not table.delimiter:
                at, lines = end, line
            block = replace(block, end=end)
            if (end - block.begin if unit is Unit.BYTES else size) >= block_bytes:
                yield block
                size = 0
                header = at if unit is Unit.BYTES else 0
                block = replace(block, begin=end, header=header, skipped_lines=line - lines)
        if block.end > block.begin:
            yield block


def columns_of(file: Place, options: TableOptions) -> tuple[str, ...]:
    """Return the names of a file's columns; in JSON the names in its first records.

    Raises:
        InvalidDataError: they can't be read.
    """
    if is_parquet(file.path):
        with parquet_file(file) as content:
            return tuple(content.schema_arrow.names)
    with opened(file, options) as table:
        return table.header


@contextmanager
def opened(file: Place, options: TableOptions) -> Iterator[Table]:
    """Open a table that isn't Parquet.

    Raises:
        InvalidDataError: it can't be read; the message names the file.
    """
    with file.filesystem.open_input_file(file.path) as stream:
        try:
            yield open_table(stream, options)
        except InvalidDataError as error:
            raise InvalidDataError(f"{file.path} can't be read. {error}") from error


def parquet_file(file: Place) -> parquet.ParquetFile:
    """Open a Parquet file.

    Raises:
        InvalidDataError: it isn't one, or is damaged.
    """
    try:
        return parquet.ParquetFile(file.path, filesystem=file.filesystem)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidDataError(f"{file.path} isn't a Parquet file, or is damaged; write it again.") from error


def row_groups(opened: parquet.ParquetFile) -> Iterator[tuple[int, int, int]]:
    """Yield each row group's index, its first row and one past its last."""
    end = 0
    for index in range(opened.metadata.num_row_groups):
        begin, end = end, end + opened.metadata.row_group(index).num_rows
        yield index, begin, end


def infos(addresses: list[str], *, out: Place) -> list[tuple[Place, fs.FileInfo]]:
    """Return the files that addresses name: files, or every file of a known kind below a folder.

    Files below `out`, the job's own output, are left out, so that a job in a folder of its inputs can resume.

    Raises:
        ConfigurationError: an address doesn't exist, or has no file that can be read.
    """
    found: list[tuple[Place, fs.FileInfo]] = []
    for address in addresses:
        place = Place.of(address)
        info = place.info
        if info.type is fs.FileType.NotFound:
            raise ConfigurationError(f"{address} not found; name a file, or a folder of files.")
        if info.type is fs.FileType.File:
            is_parquet(info.path)
            found.append((place, info))
            continue
        below = [
            (Place(place.filesystem, one.path), one)
            for one in place.files(recursive=True)
            if _kind_of(one.path) in KINDS and not Place(place.filesystem, one.path).is_in(out)
        ]
        if not below:
            raise ConfigurationError(f"{address} holds no file that ends in {', '.join(KINDS)}.")
        found += below
    return found
