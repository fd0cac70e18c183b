"""The command line of `toxic-batch`.

Invariant: an error that a user can fix is one line on standard error, with exit status 1.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from toxic_batch.job import Job
from toxic_batch.job import run as run_job
from toxic_batch.reading import FORMATS
from toxic_batch.worker import TEXT_COLUMN_OPTION
from toxic_core.errors import ToxicError
from toxic_core.registered import CHAMPION, MODEL_NAME
from toxic_core.tables import TEXT_COLUMNS
from toxic_model.scoring import AS_SERVED

_MIB = 1024 * 1024


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def run() -> None:
    """Score the files that the command line names."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("toxic_batch").setLevel(logging.INFO)
    try:
        summary = run_job(Job(**vars(make_parser().parse_args())))
    except (ToxicError, OSError, ConnectionError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped. The same command resumes the job.")
    speed = summary.rows / summary.seconds if summary.rows else 0.0
    sys.stdout.write(
        f"{summary.rows:,} comments scored by version {summary.version} in {summary.seconds:.1f} s "
        f"({speed:.0f} a second), {summary.rejected:,} with an error; "
        f"{summary.blocks} parts, {summary.done_before} of them from before\n"
    )


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; its names are those of `Job`."""
    parser = argparse.ArgumentParser(
        prog="toxic-batch",
        description="Score files of comments on Ray Data: CSV and its relatives, NDJSON, JSON, .xlsx and "
        "Parquet. The same command resumes a job that was killed. Without arguments it prints what it needs.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a file or folder; s3:// and gs:// too")
    parser.add_argument("--out", required=True, help="folder of the scored parts; s3:// and gs:// too")
    parser.add_argument(
        TEXT_COLUMN_OPTION, metavar="NAME", help="of the texts; otherwise one of " + ", ".join(TEXT_COLUMNS)
    )
    parser.add_argument("--encoding", help="of texts without a byte order mark; otherwise utf-8")
    parser.add_argument("--delimiter", help="of cells: comma, semicolon, tab or bar; otherwise it is found")
    parser.add_argument("--format", dest="form", choices=FORMATS, default=FORMATS[0], help="of the parts")
    parser.add_argument("--block-bytes", type=_positive, default=4 * _MIB, help="of input that make a part")
    model = parser.add_argument_group("model")
    chosen = model.add_mutually_exclusive_group()
    chosen.add_argument("--version", default=CHAMPION, help="a registered version's number, or an alias")
    chosen.add_argument("--bundle", type=Path, help="a bundle's folder, instead of the registry")
    model.add_argument(
        "--registry",
        default=os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000"),
        help="address of the MLflow registry; MLFLOW_TRACKING_URI if that is set",
    )
    model.add_argument("--model-name", default=MODEL_NAME, help="the registered model")
    model.add_argument(
        "--batch-tokens",
        type=_positive,
        default=AS_SERVED.batch_tokens,
        help="scored at once, padding included",
    )
    model.add_argument(
        "--max-windows", type=_positive, default=AS_SERVED.max_windows, help="that a long text is read in"
    )
    model.add_argument(
        "--window-overlap", type=_positive, default=AS_SERVED.overlap, help="tokens that windows share"
    )
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument(
        "--address", help="of a Ray cluster, such as auto or ray://head:10001; else this machine"
    )
    cluster.add_argument(
        "--workers", type=_positive, help="copies of the model; as many as there is room for"
    )
    cluster.add_argument("--worker-cpus", type=_positive, default=1, help="of each")
    cluster.add_argument("--worker-gpus", type=float, default=0.0, help="of each")
    return parser
