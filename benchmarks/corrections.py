"""Measures the filing of corrections, and the memory of their export and of training's reading.

    python -m benchmarks.corrections [--corrections 1000] [--callers 16]

Starts the service without a model, on a database in a new folder, files different corrections with texts from
several connections, then reads all of them as training does. Prints the rate, the memory of the service
during the export, and that of the reader. The target is 1,000,000 corrections at 500 per second or more, and
memory that doesn't grow with their number.
"""

import argparse
import json
import re
import resource
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.serving.load import HOST
from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port
from toxic_training.data.corrections import CorrectionParameters, curate
from toxic_training.data.feedback_source import Correction, read_corrections

_MIB = 2**20
_TEXT = "text number {} is about the weather in our town, and asks for an answer to an earlier question"
_LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
_TRAINING_ROWS = 200_000
_LOOKS = 10


def service_memory(port: int) -> float:
    """Return the resident memory of the service, in MiB."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics") as answer:
        found = re.search(r"(?m)^process_resident_memory_bytes (\S+)", answer.read().decode())
    return float(found[1]) / _MIB if found else 0.0


def file_corrections(port: int, numbers: range) -> None:
    """File a correction per number, over one connection."""
    connection = HTTPConnection(HOST, port)
    for number in numbers:
        correction = {
            "id": f"{number}",
            "text": _TEXT.format(number),
            "consent": True,
            "labels": {label: (number + place) % 7 == 0 for place, label in enumerate(_LABELS)},
            "language": "en",
        }
        headers = {"content-type": "application/json"}
        connection.request("POST", "/feedback", json.dumps(correction), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 300:  # noqa: PLR2004  any error
            raise SystemExit(f"The service answered {answer.status}.")
    connection.close()


def watched(corrections: Iterator[Correction], port: int, *, count: int) -> Iterator[Correction]:
    """Yield corrections, and print the service's memory from time to time."""
    every = max(count // _LOOKS, 1)
    for number, correction in enumerate(corrections, start=1):
        if number % every == 0:
            print(f"{number:>10,} exported   service {service_memory(port):7.0f} MiB")
        yield correction


def wait_until_live(port: int) -> None:
    """Return when the service answers."""
    while True:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health/live"):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corrections", type=int, default=1_000)
    parser.add_argument("--callers", type=int, default=16)
    options = parser.parse_args()
    count, callers, port = options.corrections, options.callers, free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").mkdir()
        settings = {"PORT": port, "MODEL_DIRECTORY": folder / "models", "STATE_DIR": folder / "state"}
        environment = {f"INFERENCE_{key}": str(value) for key, value in settings.items()}
        server = Server(("-m", "toxic_inference"), environment=environment, folder=folder)
        try:
            wait_until_live(port)
            began = time.perf_counter()
            with ThreadPoolExecutor(callers) as threads:
                parts = [range(first, count, callers) for first in range(callers)]
                list(threads.map(lambda part: file_corrections(port, part), parts))
            seconds = time.perf_counter() - began
            print(f"{count:>10,} filed      {count / seconds:7.0f} per second")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            exported = watched(read_corrections(f"http://{HOST}:{port}"), port, count=count)
            curated = curate(exported, CorrectionParameters(), training_rows=_TRAINING_ROWS)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(f"{len(curated.table.rows):>10,} rows kept  training reads with {grown:.0f} MiB more")
        finally:
            server.kill()


if __name__ == "__main__":
    main()
