"""Turns raw tables with different columns into tables of comments.

Invariant: every row of a raw table becomes a comment or is rejected with its reason. Texts aren't changed: a
model's tokeniser normalises them, in training as in serving.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
from pandera.pandas import DataFrameSchema

from toxic_core.errors import InvalidDataError
from toxic_core.languages import UNDETERMINED
from toxic_core.tables import language_code
from toxic_core.text import is_blank
from toxic_model.identification import identify_language
from toxic_training.data.chunks import Chunks, logged
from toxic_training.data.comments import (
    COLUMNS,
    ID,
    LABEL_COLUMNS,
    LANGUAGE,
    LICENCE,
    ORIGIN,
    SOURCE,
    TEXT,
    Counts,
    Tidied,
)
from toxic_training.data.licences import is_for_evaluation_only, is_left_out
from toxic_training.data.parameters import DataParameters, SourceParameters, Use
from toxic_training.data.schemas import (
    Rejections,
    find_language,
    find_text,
    no_rejected_rows,
    require_columns,
    sort_rows,
)

_LABEL_WORDS = {
    **dict.fromkeys(("false", "f", "no", "n"), "0"),
    **dict.fromkeys(("true", "t", "yes", "y"), "1"),
    **dict.fromkeys(("nan", "none", "null", "<na>"), ""),
}
"""How people, CSV, Parquet and databases write 0, 1 and a missing label."""
_WHOLE = re.compile(r"^([01])\.0*$")


def tidy(
    raw: pd.DataFrame,
    schema: DataFrameSchema,
    *,
    name: str,
    source: SourceParameters,
    parameters: DataParameters,
) -> Tidied:
    """Return a chunk of the raw table `name` as comments.

    A row's language is the configured one, else the row's own, else identified from its text. Its licence is
    its own, else the configured one; rows that `leave_out_licences` names are counted and left out. Rows for
    evaluation only raise InvalidDataError unless that is the table's use.
    """
    require_columns(raw, schema.columns, name=name)
    text, language = find_text(raw), find_language(raw)
    prepared = _licensed(raw, name=name, source=source, leave_out=parameters.leave_out_licences)
    dropped = len(raw) - len(prepared)
    prepared[text] = prepared[text].map(
        lambda value: value if isinstance(value, str) and not is_blank(value) else ""
    )
    if language is not None:
        prepared[language] = prepared[language].map(language_code)
    for label in LABEL_COLUMNS:
        if label in prepared:
            prepared[label] = label_words(prepared[label])
    good, rejected = sort_rows(prepared, schema, name=name)
    texts = good[text]
    languages = pd.Series(source.language or "", index=good.index, dtype=str)
    if source.language is None and language is not None:
        languages = good[language]
    unknown = languages == ""
    identified = texts[unknown].map(identify_language).astype(str)
    comments = _comments(good, texts, languages.where(~unknown, identified), name=name)
    counts: Counts = {
        f"read.{name}": len(raw),
        f"identified.{name}": int((identified != UNDETERMINED).sum()),
        f"dropped.{name}.licence": dropped,
    }
    counts |= {f"rejected.{name}.{reason}": rows for reason, rows in Counter(rejected["reason"]).items()}
    return Tidied(comments, rejected, counts)


def in_chunks(
    tidied: Callable[[pd.DataFrame], Tidied], chunks: Chunks, *, name: str, parameters: DataParameters
) -> Iterator[Tidied]:
    """Yield every chunk of the raw table `name` as `tidied` returns it.

    Raises:
        InvalidDataError: at the end, if too large a share of the rows was rejected.
    """
    rejections, good = Rejections(name), 0
    for chunk in logged(chunks, f"tidied {name}"):
        part = tidied(chunk)
        rejections.add(part.rejected)
        good += len(part.comments)
        yield part
    rejections.check(good, most=parameters.max_rejected_fraction)


def join(parts: Sequence[Tidied]) -> Tidied:
    """Return several chunks or tables as one, in their order; an empty one if there are none."""
    none = pd.Series([], dtype=str)
    comments = _comments(pd.DataFrame({ID: none}), none, none, name="")
    return Tidied(
        pd.concat([comments, *(part.comments for part in parts)], ignore_index=True),
        pd.concat([no_rejected_rows(), *(part.rejected for part in parts)], ignore_index=True),
        sum_of(part.counts for part in parts),
    )


def sum_of(counts: Iterable[Counts]) -> Counts:
    """Return the sums of counts by name."""
    total: Counts = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total


def label_words(values: pd.Series) -> pd.Series:
    """Return labels as words: `0`, `1`, the empty string if missing, and other values unchanged."""

    def word(value: object) -> str:
        stripped = "" if value is None else str(value).strip()
        return _LABEL_WORDS.get(
            stripped.lower(), stripped if _WHOLE.fullmatch(stripped) is None else stripped[0]
        )

    if isinstance(values.dtype, pd.StringDtype):  # of any number of rows, a column of labels has few words
        return values.map({value: word(value) for value in values.unique()}).astype(str)
    return values.astype(object).map(word).astype(str)


def _licensed(
    raw: pd.DataFrame, *, name: str, source: SourceParameters, leave_out: Sequence[str]
) -> pd.DataFrame:
    """Return the rows that may be used, in a new table, with their licences."""
    own = raw[LICENCE].fillna("").astype(str) if LICENCE in raw else pd.Series("", raw.index, dtype=str)
    licensed = raw.assign(**{LICENCE: own.replace("", source.licence)})
    if source.use is Use.TEST:
        return licensed
    forbidden = licensed.index[licensed[LICENCE].map(is_for_evaluation_only).astype(bool)]
    if len(forbidden):
        raise InvalidDataError(
            f"{len(forbidden):,} rows of the table {name} are licensed for evaluation only, the first on "
            f"line {forbidden[0] + 2}: remove them, or put them into an additional table with use: test."
        )
    left_out = licensed[LICENCE].map(lambda licence: is_left_out(licence, leave_out)).astype(bool)
    return licensed[~left_out].copy(deep=False)


def _comments(table: pd.DataFrame, texts: pd.Series, languages: pd.Series, *, name: str) -> pd.DataFrame:
    numbered = name + "-" + table.index.to_series().astype(str)
    comments = pd.DataFrame({ID: table[ID].astype(str) if ID in table else numbered})
    comments[TEXT], comments[LANGUAGE], comments[SOURCE] = texts, languages, name
    comments[ORIGIN] = table[SOURCE].replace("", name) if SOURCE in table else name
    comments[LICENCE] = table.get(LICENCE, "")
    for label in LABEL_COLUMNS:
        comments[label] = table[label].replace("", np.nan) if label in table else np.nan
    words = [column for column in COLUMNS if column not in LABEL_COLUMNS]
    kinds = {**dict.fromkeys(words, str), **dict.fromkeys(LABEL_COLUMNS, np.float32)}
    return comments[COLUMNS].astype(kinds).reset_index(drop=True)
