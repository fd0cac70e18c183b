import csv
import gzip
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from toxic_core.labels import LABELS

FOLDER = Path(__file__).resolve().parents[1] / "data" / "behaviour"
PARTS = ("train", "validation")


@pytest.fixture(scope="module")
def expanded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the tables that the expander writes."""
    folder = tmp_path_factory.mktemp("behaviour")
    subprocess.run([sys.executable, str(FOLDER / "expand.py"), "--out", str(folder)], check=True)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    """Return the comments of a table."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("part", PARTS)
def test_the_committed_comments_equal_the_expanded_ones(part: str, expanded: Path) -> None:
    """Expanding the templates gives the committed table."""
    name = f"{part}.csv.gz"
    assert rows(FOLDER / name) == rows(expanded / name), "data/behaviour is stale: run `make behaviour`"


@pytest.mark.parametrize("part", PARTS)
def test_each_label_is_one_zero_or_unknown(part: str) -> None:
    """The tables have the labels of the product, and no other values."""
    values = {row[label] for row in rows(FOLDER / f"{part}.csv.gz") for label in LABELS}
    assert values == {"0", "1", ""}


def test_no_template_and_no_text_is_in_both_parts() -> None:
    """Validation has templates that training doesn't hold."""
    train, validation = (
        {(row["lang"], row["id"].split("-t")[-1].split("-")[0]) for row in rows(FOLDER / f"{part}.csv.gz")}
        for part in PARTS
    )
    assert not train & validation
    texts = Counter(row["comment_text"] for part in PARTS for row in rows(FOLDER / f"{part}.csv.gz"))
    assert max(texts.values()) == 1
