"""Measures a registered version on the registry's own table.

Needs the extra `evaluate`: the library that scores texts, and scikit-learn.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_core.tables import language_code, language_column, open_table
from toxic_model.opening import open_model
from toxic_model.registered import Registry
from toxic_model.scoring import AS_SERVED
from toxic_model.table_scoring import TableScorer
from toxic_registry.gate.sealed import SEALED, SealedEvaluations

_ALL = "all"


def evaluate_version(
    version: str, *, registry_uri: str, model: str, sealed: SealedEvaluations
) -> tuple[str, dict[str, float]]:
    """Return a version's number and its figures in float32, which the gate then has.

    Args:
        version: its number, or an alias.
        registry_uri: the running registry.
        model: the registered model.
        sealed: the table, with a text column, a language column if there are several, and a column of 0 and 1
            per label, empty if it isn't known.

    Raises:
        UnknownModelError: there is no such version.
        ContractError: its bundle can't be verified, or doesn't give its recorded scores.
        InvalidDataError: the table has no column of a label, or no label has both 0 and 1.
        ConfigurationError: the table can't be read.
    """
    with tempfile.TemporaryDirectory(prefix="toxic-evaluate-") as folder:
        found = Registry(registry_uri, model).fetch(version, Path(folder) / "bundle")
        loaded = open_model(found.bundle, threads=0, overlap=AS_SERVED.overlap, precision="float32")
        try:
            figures = dict(measure(TableScorer(loaded, found.version, AS_SERVED), sealed.table))
        finally:
            loaded.close()
    if not figures:
        raise InvalidDataError(
            f"{sealed.table} has no label of version {found.version} with both 0 and 1; add such a column."
        )
    sealed.keep(found.digest, figures)
    return found.version, figures


def measure(scorer: TableScorer, file: Path) -> Iterator[tuple[str, float]]:
    """Yield the figures of a model on a table, by name.

    Raises:
        InvalidDataError: the file is no table.
        ConfigurationError: it can't be read.
    """
    try:
        with file.open("rb") as stream:
            table = open_table(stream)
            rows = list(table.rows())
    except OSError as error:
        raise ConfigurationError(
            f"The sealed table {file} can't be read ({error.strerror}); see REGISTRY_TEST_TABLE."
        ) from error
    problems = [row.problem.message if row.problem else "" for row in rows]
    cells = [row.cells if len(row.cells) == len(table.header) else ("",) * len(table.header) for row in rows]
    columns = scorer.score(table.header, lambda index: [row[index] for row in cells], problems=problems)
    scored = {column.name: column for column in columns}
    at = language_column(table.header)
    languages = np.array([_ALL if at is None else language_code(row[at]) or _ALL for row in cells])
    for label in map(str, scorer.model.contract.labels):
        if label not in table.header:
            continue
        stated = [row[table.header.index(label)].strip() for row in cells]
        column = scored[f"score_{label}"]
        known = np.isin(stated, ["0", "1", "0.0", "1.0"]) & ~column.missing
        truth = np.array([cell.startswith("1") for cell in stated])
        for language in sorted({_ALL, *languages}):
            chosen = known & ((languages == language) | (language == _ALL))
            if len(set(truth[chosen])) == 2:  # noqa: PLR2004  both classes
                name = f"{SEALED}{label}.{language}"
                yield f"{name}.auc", float(roc_auc_score(truth[chosen], column.cells[chosen]))
                yield f"{name}.rows", float(chosen.sum())
