"""Test suites with texts of their own: identity templates and HateCheck, as tables that can be scored.

Their files are optional: without one, its table is empty, a line is logged, and its figures are absent.

Invariant: a suite's table has the columns of the comments table plus its own. A case that can't be read is an
error, because an incomplete suite measures something else.
"""

import logging
import re
import tomllib
from importlib.resources import files

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toxic_core.errors import InvalidDataError
from toxic_core.labels import Label
from toxic_core.languages import Language
from toxic_core.text import normalise
from toxic_training.data.comments import COLUMNS, ID, LABEL_COLUMNS, LANGUAGE, SOURCE, TEXT
from toxic_training.data.tables import OptionalTables

logger = logging.getLogger(__name__)

TEMPLATES = "bias_templates"
HATECHECK = "hatecheck"
"""Names of the tables of `raw_suites` in the catalog."""

IDENTITIES = "identities"
"""Column of the identity terms in a text, joined by `|`."""
FUNCTIONALITY = "functionality"
HATEFUL = "hateful"

_SEPARATOR = "|"
_TEMPLATE_LABELS = {"BAD": 1.0, "NOT_BAD": 0.0}
_HATECHECK_LABELS = {"hateful": 1.0, "non-hateful": 0.0}


def tidy_templates(suites: OptionalTables) -> pd.DataFrame:
    """Return the identity templates (Dixon et al., 2018) with the label `toxic` and their identity terms.

    Raises:
        InvalidDataError: the file has other columns or labels, or no rows.
    """
    raw = _read(suites, TEMPLATES, ["Text", "Label"])
    if raw is None:
        return _table([], source=TEMPLATES).assign(**{IDENTITIES: pd.Series(dtype=str)})
    table = _table(raw["Text"].tolist(), source=TEMPLATES)
    table[Label.TOXIC] = _values(raw["Label"], _TEMPLATE_LABELS, name=TEMPLATES).astype(np.float32)
    terms = identity_terms()
    pattern = re.compile(rf"\b({'|'.join(sorted(map(re.escape, terms), key=len, reverse=True))})\b")
    parts = {term: [part for part in terms if re.search(rf"\b{re.escape(part)}\b", term)] for term in terms}
    table[IDENTITIES] = [
        _SEPARATOR.join(sorted({part for found in pattern.findall(text.lower()) for part in parts[found]}))
        for text in table[TEXT]
    ]
    return table


def tidy_hatecheck(suites: OptionalTables) -> pd.DataFrame:
    """Return HateCheck's cases (Röttger et al., 2021) with their functionality and whether they are hateful.

    Raises:
        InvalidDataError: the file has other columns or labels, or no rows.
    """
    raw = _read(suites, HATECHECK, ["functionality", "test_case", "label_gold"])
    if raw is None:
        empty = {FUNCTIONALITY: pd.Series(dtype=str), HATEFUL: pd.Series(dtype=np.float64)}
        return _table([], source=HATECHECK).assign(**empty)
    table = _table(raw["test_case"].tolist(), source=HATECHECK)
    table[FUNCTIONALITY] = raw["functionality"].to_numpy()
    table[HATEFUL] = _values(raw["label_gold"], _HATECHECK_LABELS, name=HATECHECK)
    return table


def identity_terms() -> list[str]:
    """Return the terms that identify groups, in lower case."""
    source = files("toxic_training") / "identity_terms.toml"
    return [str(term) for term in tomllib.loads(source.read_text(encoding="utf-8"))["terms"]]


def split_identities(joined: str) -> list[str]:
    """Return the terms in one cell of the column of identities."""
    return joined.split(_SEPARATOR) if joined else []


def _read(suites: OptionalTables, name: str, columns: list[str]) -> pd.DataFrame | None:
    table = suites.get(name)
    if table is None:
        logger.info("No file for the test suite %s; its figures are left out", name)
        return None
    if missing := [column for column in columns if column not in table.rows.columns]:
        raise InvalidDataError(
            f"The test suite {name} has no column {', '.join(missing)}; it has "
            f"{', '.join(table.rows.columns)}."
        )
    if table.rows.empty:
        raise InvalidDataError(f"The test suite {name} holds no cases; fetch its file again, or remove it.")
    return table.rows


def _values(column: pd.Series, known: dict[str, float], *, name: str) -> NDArray[np.float64]:
    wrong = ~column.isin(list(known))
    if wrong.any():
        raise InvalidDataError(
            f"The test suite {name} has {int(wrong.sum())} values in {column.name} other than "
            f"{' and '.join(known)}; the first is in row {int(np.flatnonzero(wrong)[0]) + 1}."
        )
    return np.array([known[value] for value in column])


def _table(texts: list[str], *, source: str) -> pd.DataFrame:
    """Return normalised texts as a table of comments without labels."""
    table = pd.DataFrame({TEXT: [normalise(text) for text in texts]}, dtype=object)
    table[ID] = [f"{source}-{index}" for index in range(len(texts))]
    table[LANGUAGE], table[SOURCE] = Language.ENGLISH.value, source
    return table.assign(**dict.fromkeys(LABEL_COLUMNS, np.float32("nan")))[COLUMNS]
