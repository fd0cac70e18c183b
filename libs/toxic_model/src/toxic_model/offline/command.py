"""The command `toxic`: `toxic score` scores tables or lines by a model on this machine.

Invariant: an error that a user can fix is one line on standard error; a file of results appears whole or not
at all.
"""

import argparse
import io
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import toxic_model
from toxic_core.errors import InvalidDataError, ToxicError
from toxic_core.files import replacing
from toxic_core.languages import Language
from toxic_core.tables import TEXT_COLUMNS, Table, TableOptions, open_lines, open_table, text_column
from toxic_core.telemetry import disable_telemetry
from toxic_model.offline.model import load
from toxic_model.offline.results import WRITERS, scored_rows
from toxic_model.scoring import AS_SERVED
from toxic_model.table_scoring import TableScorer, output_names

_OPTION = "--text-column"
_CHUNK_ROWS = 2_000
_STANDARD = "-"
_JSON_LINES = (".jsonl", ".ndjson")
_REJECTED = 3
_INTERRUPTED = 130

_EPILOG = """
exit status:
  0  every row was scored
  1  an error; there is no result
  2  the command line is wrong
  3  the result is complete, but some rows couldn't be scored; their column `error` has the reason

examples:
  echo "Have a lovely day." | toxic score --lines
  toxic score comments.csv -o scored.csv
  zcat comments.jsonl.gz | toxic score --format jsonl > scored.jsonl
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="toxic",
        description="Score comments for toxicity on this machine, without a server and without a network. "
        "Without arguments it prints this help.",
    )
    parser.add_argument("--version", action="version", version=f"toxic {toxic_model.__version__}")
    parser.set_defaults(run=None)
    command = parser.add_subparsers(title="commands", metavar="COMMAND").add_parser(
        "score",
        help="score tables of comments, or a comment per line",
        description="Score tables of comments: CSV and its relatives, JSON lines, JSON, .xlsx and Parquet. "
        "Without arguments it reads a table from standard input and writes CSV to standard output.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=score)
    command.add_argument(
        "files", nargs="*", metavar="FILE", default=[_STANDARD], help="a table; - is standard input"
    )
    command.add_argument("-o", "--out", type=Path, metavar="FILE", help="result; default: standard output")
    command.add_argument(
        "--format",
        choices=tuple(WRITERS),
        help="of the result; default: jsonl if --out ends in .jsonl or .ndjson, else csv",
    )
    command.add_argument("--lines", action="store_true", help="the files have a comment per line")
    command.add_argument(
        _OPTION, metavar="NAME", help="of the texts; default: one of " + ", ".join(TEXT_COLUMNS)
    )
    command.add_argument("--encoding", help="of texts without a byte order mark; default: utf-8")
    command.add_argument("--delimiter", help="comma, semicolon, tab or bar; default: found in the header")
    command.add_argument(
        "--model", type=Path, metavar="FOLDER", help="a bundle; default: the shipped weights"
    )
    command.add_argument(
        "--threads", type=int, default=0, help="the most that compute; default: all processors"
    )
    command.add_argument(
        "--default-language",
        metavar="CODE",
        default=str(Language.ENGLISH),
        help="of texts that are too short to identify their language; default: en",
    )
    command.add_argument("-q", "--quiet", action="store_true", help="no progress and no summary")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    disable_telemetry()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `toxic score … | head` ends without a traceback
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return
    try:
        sys.exit(options.run(options))
    except (ToxicError, OSError) as error:
        sys.exit(f"toxic: {error}")
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def score(options: argparse.Namespace) -> int:
    """Score what the command line names, and return the exit status."""
    started = time.monotonic()
    declared = TableOptions(options.encoding, options.delimiter, options.text_column)
    shown = options.out or Path()
    form = options.format or ("jsonl" if shown.suffix.lower() in _JSON_LINES else "csv")
    with ExitStack() as opened:
        tables = [_open(name, declared, lines=options.lines, opened=opened) for name in options.files]
        columns = tables[0].header
        for name, table in zip(options.files, tables, strict=True):
            if table.header != columns:
                raise InvalidDataError(f"{name} has other columns than {options.files[0]}; score them apart.")
        model = load(options.model, threads=options.threads, default_language=options.default_language)
        scorer = TableScorer(
            model.loaded,
            model.version,
            AS_SERVED,
            column=options.text_column,
            option=_OPTION,
            default_language=options.default_language,
        )
        names = [*scorer.kept_names(columns), *output_names(model.loaded.contract)]
        stream = opened.enter_context(_result(options.out))
        write = WRITERS[form](stream, names)
        # A person who types waits for each line's scores.
        size = 1 if options.lines and sys.stdin.isatty() else _CHUNK_ROWS
        rows, done, rejected = chain.from_iterable(table.rows() for table in tables), 0, 0
        while chunk := list(islice(rows, size)):
            scored = list(scored_rows(chunk, columns, scorer))
            write(scored)
            stream.flush()
            done += len(scored)
            rejected += sum(row[-1] != "" for row in scored)
            if not options.quiet and sys.stderr.isatty():
                speed = done / (time.monotonic() - started)
                sys.stderr.write(f"\r{done:,} comments, {speed:,.0f} per second")
    if not options.quiet:
        facts = f"{done:,} comments scored by model {model.version} in {time.monotonic() - started:.1f} s"
        sys.stderr.write(f"\r{facts}; {rejected:,} of them have an error instead\n")
    return _REJECTED if rejected else 0


def _open(name: str, declared: TableOptions, *, lines: bool, opened: ExitStack) -> Table:
    """Open one file, and make sure that it has a column of texts before a model is loaded."""
    standard = name == _STANDARD
    stream: BinaryIO = sys.stdin.buffer if standard else opened.enter_context(Path(name).open("rb"))  # noqa: SIM115  the stack
    if lines:
        return open_lines(stream, declared)
    if not stream.seekable():  # a pipe
        copied = cast("BinaryIO", opened.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115  the stack
        shutil.copyfileobj(stream, copied)
        copied.seek(0)
        stream = copied
    try:
        table = open_table(stream, declared)
        text_column(table.header, chosen=declared.text_column, option=_OPTION)
    except InvalidDataError as error:
        file = "Standard input" if standard else name
        raise InvalidDataError(f"{file}: {error} For a comment per line, add --lines.") from error
    return table


@contextmanager
def _result(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", newline="")
        yield sys.stdout
    else:
        with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
            yield stream
