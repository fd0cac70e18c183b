"""Cut input files into blocks: CSV and NDJSON between records, Parquet inside its row groups.

Invariant: the same files and the same size give the same blocks, every row is in exactly one, and a block can
be read without the others.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import PurePosixPath

import pyarrow as pa
from pyarrow import fs, parquet

from toxic_batch.storage import Place
from toxic_core.errors import ConfigurationError, InvalidDataError

CSV = ".csv"
PARQUET = ".parquet"
NDJSON = (".ndjson", ".jsonl")
KINDS = (CSV, PARQUET, *NDJSON)


@dataclass(frozen=True, slots=True)
class Block:
    """A part of an input file.

    Attributes:
        number: its place among all blocks of the job.
        path: of its file.
        begin: its first byte, or in Parquet its first row.
        end: one past its last.
        header: bytes of a CSV file's header; 0 elsewhere.
    """

    number: int
    path: str
    begin: int
    end: int
    header: int = 0

    def __str__(self) -> str:
        """Return the file and the range, for messages."""
        unit = "rows" if kind_of(self.path) == PARQUET else "bytes"
        return f"{self.path} {unit} {self.begin:,} to {self.end:,}"


def kind_of(path: str) -> str:
    """Return a file's kind, its ending.

    Raises:
        ConfigurationError: files of this kind can't be read.
    """
    kind = PurePosixPath(path).suffix.lower()
    if kind not in KINDS:
        raise ConfigurationError(f"{path} ends in none of {', '.join(KINDS)}; convert it to one of these.")
    return kind


def plan(files: list[Place], *, block_bytes: int) -> list[Block]:
    """Cut every file into blocks of about `block_bytes`, uncompressed.

    A CSV or NDJSON file is read once for this: seconds for a file that takes hours to score.

    Raises:
        InvalidDataError: a file can't be read, or none has rows.
    """
    blocks: list[Block] = []
    for file in files:
        header, ends = 0, []
        match kind_of(file.path):
            case ".parquet":
                with parquet_file(file) as opened:
                    for group, begin, last in row_groups(opened):
                        size = opened.metadata.row_group(group).total_byte_size
                        rows = max(1, (last - begin) * block_bytes // max(1, size))
                        ends += [min(end, last) for end in range(begin + rows, last + rows, rows)]
            case ".csv":
                offsets = _record_ends(file)
                header = next(offsets, 0)
                ends = _every(offsets, block_bytes, begin=header)
            case _:
                ends = _every(accumulate(len(line) for line in _lines(file)), block_bytes, begin=0)
        for begin, end in pairwise((header, *ends)):
            blocks.append(Block(len(blocks), file.path, begin=begin, end=end, header=header))
    if not blocks:
        raise InvalidDataError(f"{', '.join(f.path for f in files)}: no rows, so there is nothing to score.")
    return blocks


def columns_of(file: Place) -> tuple[str, ...]:
    """Return the names of a file's columns; in NDJSON the fields of its first line.

    Raises:
        InvalidDataError: they can't be read.
    """
    match kind_of(file.path):
        case ".parquet":
            with parquet_file(file) as opened:
                return tuple(opened.schema_arrow.names)
        case ".csv":
            columns = next(csv.reader(_first_lines(file)), [])
            if not columns or len(set(columns)) < len(columns):
                raise InvalidDataError(f"{file.path} needs a header that names each column once.")
            return tuple(columns)
        case _:
            try:
                found = json.loads(next(_first_lines(file), ""))
            except json.JSONDecodeError as error:
                raise InvalidDataError(
                    f"The first line of {file.path} isn't JSON; each line is one object."
                ) from error
            if not isinstance(found, dict):
                raise InvalidDataError(f"The first line of {file.path} isn't a JSON object.")
            return tuple(found)


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


def _every(offsets: Iterator[int], size: int, *, begin: int) -> list[int]:
    """Return offsets at least `size` apart, from `begin` on, and the last one."""
    ends: list[int] = []
    last = begin
    for last in offsets:
        if last - begin >= size:
            ends.append(last)
            begin = last
    return [*ends, last] if last > begin else ends


def _lines(file: Place) -> Iterator[bytes]:
    # compression=None: a file is read as its name's ending declares.
    with file.filesystem.open_input_stream(file.path, compression=None, buffer_size=1 << 20) as stream:
        rest = b""
        while chunk := stream.read(1 << 20):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line + b"\n"
        if rest:
            yield rest


def _record_ends(file: Place) -> Iterator[int]:
    """Yield the offset of each CSV record's end, in bytes; a quoted field may contain line ends."""
    offset = 0

    def lines() -> Iterator[str]:
        nonlocal offset
        for line in _lines(file):
            offset += len(line)
            # One character per byte: delimiters are ASCII.
            yield line.decode("latin-1")

    try:
        for _ in csv.reader(lines()):
            yield offset
    except csv.Error as error:
        raise InvalidDataError(
            f"{file.path} isn't a well-formed CSV near byte {offset:,}: {error}. "
            "Is a quotation mark not closed?"
        ) from error


def _first_lines(file: Place) -> Iterator[str]:
    for number, line in enumerate(_lines(file)):
        try:
            yield line.decode("utf-8-sig" if number == 0 else "utf-8")
        except UnicodeDecodeError as error:
            raise InvalidDataError(not_utf8(file.path)) from error


def not_utf8(path: str) -> str:
    """Return the message for a file in another encoding."""
    return f"{path} isn't UTF-8; convert it, for instance with iconv -f WINDOWS-1252 -t UTF-8."


def infos(addresses: list[str]) -> list[tuple[Place, fs.FileInfo]]:
    """Return the files that addresses name: files, or every file of a known kind below a folder.

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
            kind_of(info.path)
            found.append((place, info))
            continue
        below = [
            (Place(place.filesystem, one.path), one)
            for one in place.files(recursive=True)
            if PurePosixPath(one.path).suffix.lower() in KINDS
        ]
        if not below:
            raise ConfigurationError(f"{address} holds no file that ends in {', '.join(KINDS)}.")
        found += below
    return found
