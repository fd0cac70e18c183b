"""Writes the sample as the four Jigsaw files, with their names, columns and quoting."""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

from toxic_core.files import replacing
from toxic_core.labels import LABELS, Label
from toxic_training.data.sample.generator import DEFAULT_SEED, Comment, Split, generate

TRAIN_FILE = "jigsaw-toxic-comment-train.csv"
VALIDATION_FILE = "validation.csv"
TEST_FILE = "test.csv"
TEST_LABELS_FILE = "test_labels.csv"
FILES = (TRAIN_FILE, VALIDATION_FILE, TEST_FILE, TEST_LABELS_FILE)

_ID_LENGTH = 16

Row = Sequence[str | int]


def write_sample(folder: Path, *, seed: int = DEFAULT_SEED) -> dict[str, int]:
    """Write the four files into `folder`, which is created if it doesn't exist; return the rows per file."""
    # The order by digest, which is also the id, mixes the languages.
    splits = generate(seed=seed)
    train, validation, test = (sorted(splits[split], key=_digest) for split in Split)
    tables: dict[str, tuple[Row, list[Row]]] = {
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
    for name, (header, rows) in tables.items():
        with replacing(folder / name) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return {name: len(rows) for name, (_, rows) in tables.items()}


def _digest(comment: Comment) -> str:
    return hashlib.sha256(comment.text.encode()).hexdigest()[:_ID_LENGTH]
