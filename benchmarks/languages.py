"""Measures how often identification finds the language of a table's texts, and what it costs.

    python -m benchmarks.languages TABLE [--rows 120] [--default en]

The table (CSV) has the columns `comment_text` and `lang`; `--rows` are drawn of each language. Languages that
no model supports should be identified as `und`.
"""

import argparse
import time

import pandas as pd
import psutil

from toxic_core.languages import LANGUAGES, UNDETERMINED, Language
from toxic_model.identification import identify_language

_LENGTHS = {"10 to 39 letters": range(10, 40), "40 and more": range(40, 1_000_000)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("table", help="a CSV file, compressed or not")
    parser.add_argument("--rows", type=int, default=120, help="rows per language")
    parser.add_argument("--default", default=Language.ENGLISH, help="the default language")
    given = parser.parse_args()
    table = pd.read_csv(given.table, usecols=["comment_text", "lang"], keep_default_na=False)
    rows = table.sample(frac=1, random_state=0).groupby("lang").head(given.rows).copy()
    memory = psutil.Process().memory_info().rss
    identify_language("This sentence loads the models.")
    memory = psutil.Process().memory_info().rss - memory
    started = time.process_time()
    rows["found"] = [identify_language(text, given.default) for text in rows["comment_text"]]
    seconds = time.process_time() - started
    rows["expected"] = rows["lang"].where(rows["lang"].isin(LANGUAGES), UNDETERMINED)
    letters = rows["comment_text"].map(lambda text: sum(character.isalpha() for character in text))
    right = rows["found"] == rows["expected"]
    figures = {name: right[letters.isin(lengths)] for name, lengths in _LENGTHS.items()} | {"all": right}
    shown = pd.DataFrame({name: found.groupby(rows["lang"]).mean() for name, found in figures.items()})
    shown["taken for"] = [
        " ".join(f"{code} {n}" for code, n in group[group != language].value_counts().head(3).items())
        for language, group in rows["found"].groupby(rows["lang"])
    ]
    print(shown.to_string(float_format="{:.3f}".format, na_rep=""))
    others = rows["lang"] != Language.HINDI_LATIN
    for name, found in figures.items():
        print(f"{name}, all languages but hi-Latn: {found[others].mean():.3f} of {found[others].size}")
    print(f"{seconds / len(rows) * 1000:.3f} ms per text, {memory / 2**20:.0f} MiB for the models")


if __name__ == "__main__":
    main()
