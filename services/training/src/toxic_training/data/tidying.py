"""One raw table to comments, whatever its columns are called.

Invariant: every row of a raw table becomes a comment or is rejected with its reason. Texts are changed by
`toxic_core.text.normalise` alone.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandera.pandas import DataFrameSchema

from toxic_core.text import normalise
from toxic_training.data.comments import COLUMNS, ID, LABEL_COLUMNS, LANGUAGE, SOURCE, TEXT, UNDETERMINED
from toxic_training.data.languages import identify_languages, language_code
from toxic_training.data.parameters import DataParameters, SourceParameters
from toxic_training.data.schemas import find_language, find_text, no_rejected_rows, sort_rows
from toxic_training.data.tables import Counts, Tidied

_LABEL_WORDS = {"0.0": "0", "1.0": "1", "false": "0", "true": "1", "nan": "", "none": "", "<na>": ""}
"""What CSV, Parquet and databases make of 0, 1 and nothing."""


def tidy(
    raw: pd.DataFrame,
    schema: DataFrameSchema,
    *,
    name: str,
    source: SourceParameters,
    parameters: DataParameters,
) -> Tidied:
    """Return the raw table `name` as comments.

    A row's language is the configured one, or else the one it states, or else identified by its text.

    Raises:
        InvalidDataError: as `sort_rows`.
    """
    good, rejected = sort_rows(
        _prepared(raw), schema, name=name, max_rejected_fraction=parameters.max_rejected_fraction
    )
    texts = good[find_text(good) or TEXT]
    languages, identified = _languages(good, texts, source, floor=parameters.min_language_confidence)
    comments = _comments(good, texts, languages, name=name)
    counts: Counts = {f"read.{name}": len(raw), f"identified.{name}": identified}
    counts |= {f"rejected.{name}.{reason}": rows for reason, rows in Counter(rejected["reason"]).items()}
    return Tidied(comments, rejected, counts)


def join(parts: Sequence[Tidied]) -> Tidied:
    """Return several tables as one, in their order; of none, an empty one."""
    none = pd.Series([], dtype=str)
    comments = _comments(pd.DataFrame({ID: none}), none, none, name="")
    return Tidied(
        pd.concat([comments, *(part.comments for part in parts)], ignore_index=True),
        pd.concat([no_rejected_rows(), *(part.rejected for part in parts)], ignore_index=True),
        {name: count for part in parts for name, count in part.counts.items()},
    )


def label_words(values: pd.Series) -> pd.Series:
    """Return labels as words: `0`, `1`, the empty string for nothing, and whatever else is there as it is."""
    words = values.astype(object).map(lambda value: "" if value is None else str(value).strip())
    return words.map(lambda word: _LABEL_WORDS.get(word.lower(), word)).astype(str)


def _prepared(raw: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that schemas know with texts normalised, and codes and labels as words."""
    prepared = raw.copy(deep=False)
    if text := find_text(raw):
        prepared[text] = raw[text].map(lambda value: normalise(value) if isinstance(value, str) else "")
    if language := find_language(raw):
        prepared[language] = raw[language].map(language_code)
    for label in LABEL_COLUMNS:
        if label in raw:
            prepared[label] = label_words(raw[label])
    return prepared


def _languages(
    table: pd.DataFrame, texts: pd.Series, source: SourceParameters, *, floor: float
) -> tuple[pd.Series, int]:
    """Return each row's language, and how many were identified by their text."""
    if source.language is not None:
        return pd.Series(source.language, index=table.index, dtype=str), 0
    column = find_language(table)
    stated = table[column] if column else pd.Series("", index=table.index, dtype=str)
    unknown = stated == ""
    found = identify_languages(texts[unknown].tolist(), min_confidence=floor)
    identified = pd.Series(found, index=texts.index[unknown], dtype=str)
    return stated.where(~unknown, identified), int((identified != UNDETERMINED).sum())


def _comments(table: pd.DataFrame, texts: pd.Series, languages: pd.Series, *, name: str) -> pd.DataFrame:
    numbered = name + "-" + table.index.to_series().astype(str)
    comments = pd.DataFrame({ID: table[ID].astype(str) if ID in table else numbered})
    comments[TEXT], comments[LANGUAGE], comments[SOURCE] = texts, languages, name
    for label in LABEL_COLUMNS:
        comments[label] = table[label].replace("", np.nan) if label in table else np.nan
    kinds = {**dict.fromkeys([ID, TEXT, LANGUAGE, SOURCE], str), **dict.fromkeys(LABEL_COLUMNS, np.float32)}
    return comments[COLUMNS].astype(kinds).reset_index(drop=True)
