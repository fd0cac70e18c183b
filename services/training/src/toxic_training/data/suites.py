"""Test suites with texts of their own: identity templates and HateCheck, as tables that can be scored.

Their files are optional: without one, its table is empty, a line is logged, and its figures are absent.

Invariant: a suite's table has the columns of the comments table plus its own. A case that can't be read is an
error, because an incomplete suite measures something else.
"""

import logging
import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files

import numpy as np
import pandas as pd

from toxic_core.errors import InvalidDataError
from toxic_core.labels import Label
from toxic_core.languages import Language
from toxic_training.data.comments import COLUMNS, ID, LABEL_COLUMNS, LANGUAGE, SOURCE, TEXT, OptionalTables

logger = logging.getLogger(__name__)

TEMPLATES = "bias_templates"
HATECHECK = "hatecheck"
"""Names of the tables of `raw_suites` in the catalog."""

IDENTITIES = "identities"
"""Column of the identity terms in a text, joined by `|`."""
FUNCTIONALITY = "functionality"
HATEFUL = "hateful"

_SEPARATOR = "|"


def tidy_templates(suites: OptionalTables) -> pd.DataFrame:
    """Return the identity templates (Dixon et al., 2018) with the label `toxic` and their identity terms."""
    _, table, truth = _read(suites, TEMPLATES, ["Text", "Label"], known={"BAD": 1, "NOT_BAD": 0})
    terms = identity_terms()
    pattern = re.compile(rf"\b({'|'.join(sorted(map(re.escape, terms), key=len, reverse=True))})\b")
    parts = {term: [part for part in terms if re.search(rf"\b{re.escape(part)}\b", term)] for term in terms}
    found = [
        _SEPARATOR.join(sorted({part for term in pattern.findall(text.lower()) for part in parts[term]}))
        for text in table[TEXT]
    ]
    table[Label.TOXIC] = truth.astype(np.float32)
    table[IDENTITIES] = pd.Series(found, table.index, dtype=str)
    return table


def tidy_hatecheck(suites: OptionalTables) -> pd.DataFrame:
    """Return HateCheck's cases (Röttger et al., 2021) with their functionality and whether it is hateful."""
    columns = [FUNCTIONALITY, "test_case", "label_gold"]
    raw, table, truth = _read(suites, HATECHECK, columns, known={"hateful": 1, "non-hateful": 0})
    table[FUNCTIONALITY], table[HATEFUL] = raw[FUNCTIONALITY].to_numpy(), truth
    return table


def identity_terms() -> list[str]:
    """Return the terms that identify groups, in lower case."""
    source = files("toxic_training") / "identity_terms.toml"
    return [str(term) for term in tomllib.loads(source.read_text(encoding="utf-8"))["terms"]]


def split_identities(joined: str) -> list[str]:
    """Return the terms in one cell of the column of identities."""
    return joined.split(_SEPARATOR) if joined else []


def _read(
    suites: OptionalTables, name: str, columns: list[str], *, known: Mapping[str, float]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Return a suite's file, its texts as comments without labels, and the value of each one's gold label.

    The last two of `columns` contain texts and gold labels. Raises InvalidDataError if the file has other
    columns or labels, or no rows.
    """
    *_, text, label = columns
    table = suites.get(name)
    if table is None:
        logger.info("No file for the test suite %s; its figures are left out", name)
        raw = pd.DataFrame(columns=columns, dtype=str)
    else:
        raw = table.rows
        if missing := [column for column in columns if column not in raw]:
            raise InvalidDataError(
                f"The test suite {name} has no column {', '.join(missing)}; it has {', '.join(raw.columns)}."
            )
        if raw.empty:
            raise InvalidDataError(
                f"The test suite {name} holds no cases; fetch its file again, or remove it."
            )
    wrong = ~raw[label].isin(list(known))
    if wrong.any():
        raise InvalidDataError(
            f"The test suite {name} has {int(wrong.sum())} values in {label} other than "
            f"{' and '.join(known)}; the first is in row {int(np.flatnonzero(wrong)[0]) + 1}."
        )
    comments = pd.DataFrame({TEXT: raw[text].astype(object)})
    comments[ID] = [f"{name}-{index}" for index in range(len(raw))]
    comments[LANGUAGE], comments[SOURCE] = Language.ENGLISH.value, name
    comments = comments.assign(**dict.fromkeys(LABEL_COLUMNS, np.float32("nan")))[COLUMNS]
    return raw, comments, pd.Series(raw[label].map(known).to_numpy(np.float64), comments.index)
