"""The sample as the four Jigsaw files.

Invariant: names, columns and quoting are those of the competition's files, and each file is replaced whole.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from toxic_core.labels import LABELS, Label
from toxic_training.data.sample.generator import DEFAULT_SEED, Comment, Split, generate

TRAIN_FILE = "jigsaw-toxic-comment-train.csv"
VALIDATION_FILE = "validation.csv"
TEST_FILE = "test.csv"
TEST_LABELS_FILE = "test_labels.csv"
FILES = (TRAIN_FILE, VALIDATION_FILE, TEST_FILE, TEST_LABELS_FILE)

_ID_LENGTH = 16

Cell = str | int


def write_sample(folder: Path, *, seed: int = DEFAULT_SEED) -> dict[str, int]:
    """Write the four files into `folder`, which is made if need be.

    Returns:
        Rows of each file, by its name.

    Raises:
        OSError: the folder or a file can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = _tables(seed=seed)
    for name, (header, rows) in tables.items():
        temporary = folder / f".{name}.partial"
        temporary.write_bytes(_csv(header, rows))
        temporary.replace(folder / name)
    return {name: len(rows) for name, (_, rows) in tables.items()}


def _tables(*, seed: int) -> dict[str, tuple[Sequence[str], list[Sequence[Cell]]]]:
    """Return header and rows of each file."""
    splits = generate(seed=seed)
    train, validation, test = (_by_digest(splits[split]) for split in Split)
    return {
        TRAIN_FILE: (
            ("id", "comment_text", *LABELS),
            [(_digest(c), c.text, *(int(label in c.labels) for label in LABELS)) for c in train],
        ),
        VALIDATION_FILE: (
            ("id", "comment_text", "lang", "toxic"),
            [(row, c.text, c.language, int(Label.TOXIC in c.labels)) for row, c in enumerate(validation)],
        ),
        TEST_FILE: (("id", "content", "lang"), [(row, c.text, c.language) for row, c in enumerate(test)]),
        TEST_LABELS_FILE: (
            ("id", "toxic"),
            [(row, int(Label.TOXIC in c.labels)) for row, c in enumerate(test)],
        ),
    }


def _by_digest(comments: Iterable[Comment]) -> list[Comment]:
    """Return `comments` in an order that mixes languages, by the digest that is also their id."""
    return sorted(comments, key=_digest)


def _digest(comment: Comment) -> str:
    return hashlib.sha256(comment.text.encode()).hexdigest()[:_ID_LENGTH]


def _csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
