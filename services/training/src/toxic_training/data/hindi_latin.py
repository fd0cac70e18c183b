"""`python -m toxic_training.data.hindi_latin TABLE…`: train the recognition of Hindi in Latin letters.

A logistic regression over the hashed n-grams of `toxic_model.identification`, rounded to 8 bits. The tables
have columns of texts and languages; rows with a share-alike `licence` are left out. The same tables
give the same weights.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from toxic_core.languages import LANGUAGES, Language
from toxic_model.identification import BUCKET_BITS, WEIGHTS_FILE, n_grams
from toxic_training.data.comments import LANGUAGE, TEXT
from toxic_training.data.licences import is_share_alike
from toxic_training.data.raw_tables import read_raw
from toxic_training.data.schemas import find_language, find_text

_ROWS_PER_LANGUAGE = 1_500
"""Of the other languages, so that none outweighs the rest."""


@click.command(help=__doc__)
@click.argument("tables", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS_FILE, show_default=True)
def main(tables: tuple[Path, ...], out: Path) -> None:
    """Write the weights to the file `out`."""
    rows = pd.concat([_read(path) for path in tables])
    rows = pd.concat(
        group
        if language == Language.HINDI_LATIN
        else group.sample(frac=1, random_state=0)[:_ROWS_PER_LANGUAGE]
        for language, group in rows.groupby(LANGUAGE)
    )
    # A few words of each text as well, because short texts are the hard ones.
    parts = [" ".join(text.split()[i % 3 : i % 3 + 3 + i % 4]) for i, text in enumerate(rows[TEXT])]
    grams = [n_grams(text) for text in [*rows[TEXT], *parts]]
    ends = np.cumsum([0, *map(len, grams)])
    counts = np.concatenate([np.full(len(found), len(found) ** -0.5, np.float32) for found in grams])
    matrix = csr_matrix((counts, np.concatenate(grams), ends), shape=(len(grams), 2**BUCKET_BITS))
    matrix.sum_duplicates()
    is_hindi_latin = np.tile(rows[LANGUAGE] == Language.HINDI_LATIN, 2)
    model = LogisticRegression(C=3, max_iter=300).fit(matrix, is_hindi_latin)
    scale = np.abs(model.coef_).max() / 127
    weights = np.round(model.coef_[0] / scale).astype(np.int8)
    np.savez_compressed(out, weights=weights, threshold=-model.intercept_[0] / scale)
    click.echo(f"{int(is_hindi_latin.sum()):,} of {len(grams):,} texts are Hindi in Latin letters: {out}")


def _read(path: Path) -> pd.DataFrame:
    table = read_raw(path)
    rows = table.rename(columns={find_text(table): TEXT, find_language(table): LANGUAGE})
    licences = table["licence"] if "licence" in table else pd.Series("", index=table.index)
    return rows.loc[rows[LANGUAGE].isin(LANGUAGES) & ~licences.map(is_share_alike), [TEXT, LANGUAGE]]


if __name__ == "__main__":
    main()
