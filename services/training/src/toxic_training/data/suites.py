"""Test suites with texts of their own, as one table of cases that can be scored.

A suite's file is optional: without it, a line is logged, and its figures are absent. Three forms are known:
the identity templates of Dixon et al. (2018), HateCheck (Röttger et al., 2021), and a table with one column
of texts, with labels, `expected` or reference scores, and optionally `lang`, and `functionality` or `kind`.

Invariant: a case that can't be read is an error, because an incomplete suite measures something else.
"""

import logging
import re
import tomllib
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pandas as pd

from toxic_core.errors import InvalidDataError
from toxic_core.labels import LABELS, Label
from toxic_core.languages import Language
from toxic_core.tables import language_code
from toxic_model.identification import identify_language
from toxic_training.data.comments import (
    COLUMNS,
    ID,
    LABEL_COLUMNS,
    LANGUAGE,
    LICENCE,
    ORIGIN,
    SOURCE,
    TEXT,
    OptionalTables,
)
from toxic_training.data.mixing import are_in
from toxic_training.data.schemas import find_language, find_text
from toxic_training.data.tidying import label_words

logger = logging.getLogger(__name__)

TEMPLATES = "bias_templates"
HATECHECK = "hatecheck"
"""Names of the tables of `raw_suites` in the catalog that have a form of their own."""

GROUP = "group"
"""Column of a case's functionality or kind, or of the identity terms in its text, joined by `|`."""

EXPECTED = "expected"
"""Column of the labels that a sensible person decides, joined by `;`, or `ok`."""

REFERENCES = {
    "TOXICITY": Label.TOXIC,
    "SEVERE_TOXICITY": Label.SEVERE_TOXIC,
    "PROFANITY": Label.OBSCENE,
    "THREAT": Label.THREAT,
    "INSULT": Label.INSULT,
    "IDENTITY_ATTACK": Label.IDENTITY_HATE,
}
"""Perspective's attributes, whose scores a suite may contain, and the labels that they are compared with."""

CASE_COLUMNS = [*COLUMNS, GROUP, EXPECTED, *REFERENCES]

_NO_HARM = "ok"
_SEPARATOR = "|"


def tidy_suites(suites: OptionalTables) -> pd.DataFrame:
    """Return the cases of every suite that exists, `source` its name, with `CASE_COLUMNS`."""
    empty = pd.DataFrame(columns=CASE_COLUMNS).astype(
        dict.fromkeys([*LABEL_COLUMNS, *REFERENCES], np.float32)
    )
    parts = [empty]
    for name, table in suites.items():
        if table is None:
            logger.info("No file for the test suite %s; its figures are left out", name)
            continue
        if table.rows.empty:
            raise InvalidDataError(
                f"The test suite {name} holds no cases; fetch its file again, or remove it."
            )
        cases = _READERS.get(name, _any_suite)(table.rows.reset_index(drop=True), name)
        cases[ID] = [f"{name}-{index}" for index in range(len(cases))]
        parts.append(cases.assign(**{SOURCE: name, ORIGIN: name, LICENCE: ""}).reindex(columns=CASE_COLUMNS))
    words = [column for column in CASE_COLUMNS if column not in empty.select_dtypes("number")]
    joined = pd.concat([part.astype(empty.dtypes) for part in parts], ignore_index=True)
    return joined.assign(**{column: joined[column].fillna("") for column in words})


def leave_out_trained(cases: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """Return the cases that no training comment is the same as; log how many others a suite has."""
    trained = are_in(cases[TEXT], training[TEXT])
    for name, count in cases[SOURCE][trained].value_counts().items():
        logger.warning("%d cases of the test suite %s are training comments; they are left out", count, name)
    return cases[~trained].reset_index(drop=True)


def identity_terms() -> list[str]:
    """Return the terms that identify groups, in lower case."""
    source = files("toxic_training") / "identity_terms.toml"
    return [str(term) for term in tomllib.loads(source.read_text(encoding="utf-8"))["terms"]]


def split_identities(joined: str) -> list[str]:
    """Return the terms in one cell of a template's group."""
    return joined.split(_SEPARATOR) if joined else []


def _templates(raw: pd.DataFrame, name: str) -> pd.DataFrame:
    truth = _mapped(raw, "Label", {"BAD": 1, "NOT_BAD": 0}, name=name)
    terms = identity_terms()
    pattern = re.compile(rf"\b({'|'.join(sorted(map(re.escape, terms), key=len, reverse=True))})\b")
    parts = {term: [part for part in terms if re.search(rf"\b{re.escape(part)}\b", term)] for term in terms}
    found = [
        _SEPARATOR.join(sorted({part for term in pattern.findall(text.lower()) for part in parts[term]}))
        for text in raw["Text"]
    ]
    return pd.DataFrame(
        {TEXT: raw["Text"], LANGUAGE: Language.ENGLISH.value, Label.TOXIC: truth, GROUP: found}
    )


def _hatecheck(raw: pd.DataFrame, name: str) -> pd.DataFrame:
    truth = _mapped(raw, "label_gold", {"hateful": 1, "non-hateful": 0}, name=name)
    return pd.DataFrame(
        {
            TEXT: raw["test_case"],
            LANGUAGE: Language.ENGLISH.value,
            Label.IDENTITY_HATE: truth,
            GROUP: raw["functionality"],
        }
    )


def _any_suite(raw: pd.DataFrame, name: str) -> pd.DataFrame:
    cases = pd.DataFrame({TEXT: raw[find_text(raw)]})
    language = find_language(raw)
    codes = raw[language].map(language_code) if language else pd.Series(dtype=str)
    cases[LANGUAGE] = codes if language else Language.ENGLISH.value
    if EXPECTED in raw:
        # Decided as `/predict` does for a caller who doesn't state the language.
        cases[LANGUAGE] = [identify_language(text, default=Language.ENGLISH) for text in cases[TEXT]]
    group = next((column for column in ("functionality", "kind") if column in raw), None)
    cases[GROUP] = raw[group] if group else ""
    for label in LABELS:
        if label in raw:
            words = label_words(raw[label])
            cases[label] = _mapped(words.to_frame(label), label, {"0": 0, "1": 1, "": np.nan}, name=name)
    if EXPECTED in raw:
        for row, decision in enumerate(raw[EXPECTED]):
            if decision != _NO_HARM and not set(decision.split(";")) <= set(LABELS):
                raise InvalidDataError(
                    f"The test suite {name} has {decision!r} in {EXPECTED}, row {row + 1}: write {_NO_HARM}, "
                    f"or labels joined by `;` out of {', '.join(LABELS)}."
                )
        cases[EXPECTED] = raw[EXPECTED]
    for attribute in REFERENCES:
        if attribute in raw:
            cases[attribute] = pd.to_numeric(raw[attribute].replace("", np.nan))
    return cases


_READERS: dict[str, Callable[[pd.DataFrame, str], pd.DataFrame]] = {
    TEMPLATES: _templates,
    HATECHECK: _hatecheck,
}


def _mapped(raw: pd.DataFrame, column: str, known: dict[str, float], *, name: str) -> pd.Series:
    """Return the numbers of the column's words; raise InvalidDataError if it is absent or has other words."""
    if column not in raw:
        raise InvalidDataError(
            f"The test suite {name} has no column {column}; it has {', '.join(raw.columns)}."
        )
    wrong = ~raw[column].isin(list(known))
    if wrong.any():
        raise InvalidDataError(
            f"The test suite {name} has {int(wrong.sum())} values in {column} other than "
            f"{' and '.join(word for word in known if word)}; the first is in row {int(wrong.argmax()) + 1}."
        )
    return raw[column].map(known).astype(np.float32)
