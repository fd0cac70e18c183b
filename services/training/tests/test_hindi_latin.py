"""Tests of training the recognition of Hindi in Latin letters."""

from pathlib import Path

import numpy as np
import pandas as pd
from click.testing import CliRunner

from toxic_model.identification import n_grams
from toxic_training.data.hindi_latin import main

HINDI = [
    "mera dost bahut accha hai",
    "aap kaise ho bhai",
    "kal milte hain yaar",
    "mujhe chai bahut pasand hai",
]
ENGLISH = ["my friend is very kind", "how are you today", "see you tomorrow then", "i like tea very much"]


def test_the_weights_distinguish_the_languages_and_repeat(tmp_path: Path) -> None:
    """The same table gives the same file, without rows under a share-alike licence."""
    kept = pd.DataFrame(
        {"comment_text": HINDI + ENGLISH, "lang": ["hi-Latn"] * 4 + ["en"] * 4, "licence": "MIT"}
    )
    left_out = pd.DataFrame({"comment_text": HINDI, "lang": "en", "licence": "CC-BY-SA-4.0"})
    pd.concat([kept, left_out]).to_csv(tmp_path / "table.csv", index=False)
    for name in ("one.npz", "two.npz"):
        CliRunner().invoke(
            main, [str(tmp_path / "table.csv"), "--out", str(tmp_path / name)], catch_exceptions=False
        )
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz") as arrays:
        sums = [int(arrays["weights"][n_grams(text)].sum()) for text in HINDI + ENGLISH]
    assert min(sums[:4]) > 0 > max(sums[4:])
