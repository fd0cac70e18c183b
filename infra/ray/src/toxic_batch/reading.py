"""One block of an input file as a table, and a scored table as a file's bytes.

Invariant: an error of reading names the block and never quotes its content.
"""

import json

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from toxic_batch.blocks import Block, kind_of, not_utf8, parquet_file, row_groups
from toxic_batch.storage import Place
from toxic_core.errors import InvalidDataError

FORMATS = ("parquet", "csv")


def read_block(block: Block, file: Place, columns: tuple[str, ...]) -> pa.Table:
    """Return a block's rows.

    Args:
        block: the part of the file.
        file: the block's file.
        columns: the job's; cells of CSV are strings, and fields of NDJSON strings or other values' JSON.

    Raises:
        InvalidDataError: the block can't be read.
    """
    match kind_of(block.path):
        case ".parquet":
            with parquet_file(file) as opened:
                for index, begin, end in row_groups(opened):
                    if begin <= block.begin < end:
                        try:
                            group = opened.read_row_group(index)
                        except (pa.ArrowInvalid, OSError) as error:
                            raise InvalidDataError(f"{block} is damaged; write the file again.") from error
                        return group.slice(block.begin - begin, block.end - block.begin)
            raise InvalidDataError(f"{block} is no longer there; the file was changed.")
        case ".csv":
            return _read_csv(block, file, columns)
        case _:
            return _read_ndjson(block, file, columns)


def encode(table: pa.Table, *, form: str) -> pa.Buffer:
    """Return `table` as the bytes of a file, one of `FORMATS`."""
    sink = pa.BufferOutputStream()
    if form == "csv":
        arrow_csv.write_csv(table, sink)
    else:
        parquet.write_table(table, sink)
    return sink.getvalue()


def _bytes(file: Place, begin: int, end: int) -> bytes:
    with file.filesystem.open_input_file(file.path) as stream:
        stream.seek(begin)
        return bytes(stream.read(end - begin))


def _read_csv(block: Block, file: Place, columns: tuple[str, ...]) -> pa.Table:
    ragged: list[arrow_csv.InvalidRow] = []

    def remember(row: arrow_csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(_bytes(file, block.begin, block.end)),
            read_options=arrow_csv.ReadOptions(use_threads=False, column_names=list(columns)),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=remember),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        # Not Arrow's message, which quotes the row.
        reason = not_utf8(str(block)) if "UTF8" in str(error) else f"{block} isn't a well-formed CSV."
        raise InvalidDataError(reason) from None
    if ragged:
        raise InvalidDataError(
            f"{block}: row {ragged[0].number} there has {ragged[0].actual_columns} fields, and the header "
            f"{ragged[0].expected_columns} ({len(ragged)} such rows)."
        )
    return table


def _read_ndjson(block: Block, file: Place, columns: tuple[str, ...]) -> pa.Table:
    cells: dict[str, list[str | None]] = {name: [] for name in columns}
    offset = block.begin
    for line in _bytes(file, block.begin, block.end).split(b"\n"):
        if line.strip():
            where = f"{block.path}, the line at byte {offset:,}"
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError:
                raise InvalidDataError(not_utf8(where)) from None
            except json.JSONDecodeError as error:
                raise InvalidDataError(f"{where} isn't JSON: {error.msg}.") from None
            if not isinstance(row, dict):
                raise InvalidDataError(f"{where} isn't a JSON object.")
            if unknown := row.keys() - cells.keys():
                raise InvalidDataError(
                    f"{where} has the field {min(unknown)!r}, which the first line lacks; "
                    "give every line the first one's fields."
                )
            for name, column in cells.items():
                value = row.get(name)
                if value is not None and not isinstance(value, str):
                    value = json.dumps(value, ensure_ascii=False)
                column.append(value)
        offset += len(line) + 1
    return pa.table({name: pa.array(column, pa.string()) for name, column in cells.items()})
