"""The command line of `toxic-migrate`.

Invariant: an error that a user can fix is one line on standard error, with exit status 1. No comment is
printed.
"""

import argparse
import asyncio
import csv
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from urllib.parse import urlsplit

from toxic_core.contract.scales import FEWEST_ROWS, Pairs, fit_scales
from toxic_core.errors import InvalidDataError, ToxicError
from toxic_core.files import replacing
from toxic_core.labels import KNOWN_LABELS
from toxic_migrate import __version__
from toxic_migrate.comparing import THRESHOLDS, compare
from toxic_migrate.importing import read_log
from toxic_migrate.ours import SERVICE_KEY_VARIABLE, Ours, score_by_bundle, score_by_service
from toxic_migrate.recording import ScoresFile, record
from toxic_migrate.reference import ATTRIBUTES, GOOGLE, KEY_VARIABLE, Pacer, Reference, open_client
from toxic_migrate.report import render
from toxic_migrate.tables import (
    ERROR,
    KEY,
    LANGUAGE,
    TEXT,
    TEXT_COLUMN_OPTION,
    Comment,
    Scored,
    read_comments,
    read_scores,
    score_row,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    options = _parser().parse_args(arguments)
    limit = csv.field_size_limit(sys.maxsize)
    try:
        options.run(options)
    except (ToxicError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped. The same command resumes.")
    finally:
        csv.field_size_limit(limit)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="toxic-migrate",
        description="Move from the Perspective API and keep your thresholds. Without a command it does "
        "nothing; begin with `toxic-migrate record`.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help_: str, *, table: str, out: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=help_, description=help_, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        added.set_defaults(run=_COMMANDS[name])
        added.add_argument("table", type=Path, metavar=table)
        added.add_argument("--out", type=Path, default=out, help="the file to write")
        return added

    def here(added: argparse.ArgumentParser) -> None:
        chosen = added.add_mutually_exclusive_group()
        chosen.add_argument(
            "--address", type=_address, default="http://127.0.0.1:8001", help="of this service"
        )
        chosen.add_argument("--bundle", type=Path, help="a bundle's folder, instead of a service")
        added.add_argument(TEXT_COLUMN_OPTION, metavar="NAME", help="of the texts")
        added.epilog = f"{SERVICE_KEY_VARIABLE} has the service's key, if it needs one."

    recording = command(
        "record",
        "Collect the scores of a Perspective API; the same command resumes.",
        table="COMMENTS.csv",
        out="scores.csv",
    )
    recording.add_argument("--address", type=_address, default=GOOGLE, help="of the Perspective API")
    recording.add_argument("--rate", type=_rate, default=1.0, help="requests per second")
    recording.add_argument("--attributes", default=",".join(ATTRIBUTES), help="to ask for")
    recording.add_argument(TEXT_COLUMN_OPTION, metavar="NAME", help="of the texts")
    recording.epilog = f"{KEY_VARIABLE} has your key of the API."
    comparing = command(
        "compare",
        "Score the same comments here, and report who would be flagged, as HTML and as JSON.",
        table="SCORES.csv",
        out="comparison.html",
    )
    comparing.add_argument(
        "--thresholds", type=_thresholds, default=",".join(map(str, THRESHOLDS)), help="that you use"
    )
    here(comparing)
    here(command("fit", "Fit a scale to recorded scores.", table="SCORES.csv", out="scale.json"))
    command("import", "Read scores from logs.", table="LOG.ndjson", out="scores.csv")
    labelling = command(
        "label",
        "Make a training table with recorded scores as soft labels. Check first that the terms of the API "
        "allow you to train on its scores.",
        table="SCORES.csv",
        out="labels.csv",
    )
    labelling.add_argument(TEXT_COLUMN_OPTION, metavar="NAME", help="of the texts")
    return parser


def _record(options: argparse.Namespace) -> None:
    comments = read_comments(options.table, column=options.text_column)
    attributes = [name.strip().upper() for name in options.attributes.split(",") if name.strip()]

    async def run(file: ScoresFile) -> None:
        async with open_client(options.address, os.environ.get(KEY_VARIABLE, "")) as client:
            await record(comments, file, Reference(client, attributes, Pacer(options.rate)), say=_say)

    with ScoresFile(options.out, attributes) as file:
        asyncio.run(run(file))


def _compare(options: argparse.Namespace) -> None:
    scored = read_scores(options.table, column=options.text_column)
    ours = _score(scored, options)
    found = list(compare(scored, ours, thresholds=options.thresholds))
    if not found:
        raise InvalidDataError(f"{options.table} has too few comments with scores to compare; record more.")
    page = render(found, version=ours.version, source=options.table.name, comments=len(scored.texts))
    figures = {"version": ours.version, "comparisons": [asdict(each) for each in found]}
    for path, content in (
        (options.out, page),
        (options.out.with_suffix(".json"), json.dumps(figures, indent=1)),
    ):
        with replacing(path) as partial:
            partial.write_text(content, encoding="utf-8")
    _say(f"{options.out} and {options.out.with_suffix('.json')} are written.")


def _fit(options: argparse.Namespace) -> None:
    scored = read_scores(options.table, column=options.text_column)
    ours = _score(scored, options)
    source = f"{len(scored.texts):,} comments of {options.table.name}"
    scales = fit_scales(
        Pairs(ours.languages, ours.calibrated, scored.theirs), source=source, model=ours.version
    )
    scales.write(options.out)
    for attribute, curves in scales.curves.items():
        for language, curve in curves.items():
            _say(
                f"{attribute} {language}: {curve.rows:,} comments, differs by {curve.error:.3f}, "
                f"before {curve.error_before:.3f}"
            )
    if without := sorted(scored.theirs.keys() - scales.curves.keys()):
        _say(f"No scale for {', '.join(without)}: each needs {FEWEST_ROWS} comments with both scores.")


def _import(options: argparse.Namespace) -> None:
    with options.table.open(encoding="utf-8-sig") as log:
        found = list(read_log(log))
    if not found:
        raise InvalidDataError(
            f"{options.table} has no comment with a score; docs/migrate.md lists the forms."
        )
    attributes = sorted({name for _, _, scores in found for name in scores})
    with replacing(options.out) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([KEY, TEXT, LANGUAGE, *attributes, ERROR])
        for number, (text, language, scores) in enumerate(found, start=1):
            writer.writerow(score_row(Comment(str(number), text, language), scores, attributes, ""))
    _say(f"{len(found):,} comments with scores of {', '.join(attributes)}")


def _label(options: argparse.Namespace) -> None:
    scored = read_scores(options.table, column=options.text_column)
    labels = {
        label.name: scored.theirs[label.perspective]
        for label in KNOWN_LABELS
        if label.perspective in scored.theirs
    }
    with replacing(options.out) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", TEXT, LANGUAGE, *labels])
        for row, (text, language) in enumerate(zip(scored.texts, scored.languages, strict=True)):
            cells = [column[row] for column in labels.values()]
            writer.writerow([row, text, language, *("" if isnan(cell) else f"{cell:.4f}" for cell in cells)])
    _say(
        f"{len(scored.texts):,} comments with labels from 0 to 1. Check that the API's terms allow training."
    )


def _score(scored: Scored, options: argparse.Namespace) -> Ours:
    if options.bundle is not None:
        return score_by_bundle(scored, folder=options.bundle)
    return score_by_service(scored, address=options.address, key=os.environ.get(SERVICE_KEY_VARIABLE, ""))


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        can_be_called = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        can_be_called = False
    if not can_be_called:
        raise argparse.ArgumentTypeError(f"{text} isn't an address such as http://127.0.0.1:8001")
    return text


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 1000:  # noqa: PLR2004  requests that one process can send
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0 and at most 1000")
    return rate


def _thresholds(text: str) -> tuple[float, ...]:
    thresholds = tuple(sorted(float(part) for part in text.split(",")))
    if not all(0 < threshold <= 1 for threshold in thresholds):
        raise argparse.ArgumentTypeError(
            f"{text} isn't a list of numbers above 0 and at most 1, such as 0.7,0.9"
        )
    return thresholds


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


_COMMANDS = {"record": _record, "compare": _compare, "fit": _fit, "import": _import, "label": _label}
