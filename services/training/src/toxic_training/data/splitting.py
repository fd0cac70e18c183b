"""Splits tidied comments of any number into sets, in DuckDB: one statement per rule, on a file.

A text that occurs twice stays once, from the first source that contains it. If its rows within that source
disagree about a label, the majority decides; a tie counts as 1. Of shares between 0 and 1 it is the mean.
Labels from later sources are ignored.

Invariant: a text is in one set only, and the set depends on the text and the parameters alone, not on other
rows or their order, so that the figures of two runs are about the same comments. Memory doesn't grow with the
rows: DuckDB keeps at most `data.memory_megabytes`, and moves the rest to the folder.
"""

import hashlib
import logging
import shutil
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self
from uuid import uuid4

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from toxic_training.data import split_rules
from toxic_training.data.chunks import CHUNK_ROWS, Chunks, logged
from toxic_training.data.comments import (
    LABEL_COLUMNS,
    LANGUAGE,
    LICENCE,
    ORIGIN,
    SOURCE,
    TEXT,
    Counts,
)
from toxic_training.data.mixing import TEST, VALIDATION, draws, equal_shares, visible
from toxic_training.data.parameters import DataParameters, SourceParameters, Use
from toxic_training.data.schemas import COMMENTS
from toxic_training.data.tidying import join

logger = logging.getLogger(__name__)

_PRECEDENCE = {Use.TEST: 0, Use.VALIDATION: 1, Use.THRESHOLDS: 1, Use.TRAINING: 2, Use.TRAFFIC: 3}
_ROWS_PER_PRECEDENCE = 2**48
_KEY_BYTES = 12
"""Of a text's digest. DuckDB stores up to 12 bytes inline; of 10^9 texts, two agree once in 10^11 times."""


def split(comments: Chunks, parameters: DataParameters, *, folder: Path) -> tuple[dict[Use, Chunks], Counts]:
    """Split tidied comments, and count every row kept or dropped, by reason.

    Args:
        comments: every table's, one after another.
        parameters: of the tables, and the memory.
        folder: for DuckDB's files, about twice the size of the comments. It is emptied first, and again
            with the last of the sets.

    Returns:
        The sets, which are read from the folder when they are iterated, and the counts.
    """
    scratch = _Scratch(folder, parameters.memory_megabytes)
    splitter = _Splitter(scratch.database, parameters)
    splitter.add(comments)
    counts = splitter.keep_first_of_each_text() | splitter.divide()
    counts |= splitter.mask_one_sided() | splitter.choose() | splitter.count()
    return {use: _StoredSet(scratch, use) for use in Use}, counts


class _Scratch:
    """A folder of DuckDB's files, which are removed with this object."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        own = folder / uuid4().hex  # DuckDB takes the same path for the same database
        own.mkdir(parents=True)
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{megabytes}MB",
            "temp_directory": str(own / "spilled"),
            "preserve_insertion_order": False,  # every row has its place
            "autoinstall_known_extensions": False,
        }
        self.database = duckdb.connect(own / "comments.duckdb", config=config)
        weakref.finalize(self, shutil.rmtree, own, ignore_errors=True)
        weakref.finalize(self, self.database.close)  # the later one is called first

    def __deepcopy__(self, _: dict[int, object]) -> Self:
        """Return the object itself, because Kedro copies what it keeps in memory."""
        return self


class _StoredSet:
    """A set of comments in a scratch folder."""

    def __init__(self, scratch: _Scratch, use: Use) -> None:
        self._scratch = scratch
        self._use = use

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield the comments in order, in chunks; an empty one if there are none."""
        none = join([]).comments
        found = 0
        with self._scratch.database.cursor() as database:
            rows = database.sql(split_rules.READ, params={"use": self._use.value})
            with rows.to_arrow_reader(CHUNK_ROWS) as reader:
                batches = (batch.to_pandas().astype(none.dtypes) for batch in reader)
                for chunk in logged(batches, f"wrote {self._use}"):
                    found += len(chunk)
                    yield COMMENTS.validate(chunk)
        if not found:
            yield none


class _Splitter:
    """The steps of a split, in order."""

    def __init__(self, database: duckdb.DuckDBPyConnection, parameters: DataParameters) -> None:
        self._database = database
        self._temperature = parameters.temperature
        self._found: set[str] = set()
        self._sources: Mapping[str, SourceParameters] = {
            TEST: SourceParameters(use=Use.TEST), **parameters.sources
        }  # fmt: skip
        database.execute(split_rules.TABLE)
        names = ["source", "number", "use", "fraction", "mask_one_sided"]
        self._register(
            "sources",
            [
                (name, number, source.use.value, source.train_fraction, source.mask_one_sided)
                for number, (name, source) in enumerate(self._sources.items())
            ],
            names,
        )

    def add(self, comments: Chunks) -> None:
        """Store the comments, each with its place in the order of precedence, its key and its draws."""
        uses = {name: source.use for name, source in self._sources.items()} | {VALIDATION: Use.VALIDATION}
        precedence = {name: _PRECEDENCE[use] * _ROWS_PER_PRECEDENCE for name, use in uses.items()}
        # A draw that no parameter needs is left out: it takes a microsecond per row.
        drawn = {"temperature": set(self._sources) if self._temperature != 1 else set()}
        for name, needs in (
            ("holdout", lambda source: source.train_fraction < 1),
            ("thinning", lambda source: source.non_toxic_per_toxic is not None),
            ("limit", lambda source: source.rows_per_language is not None or source.rows_of),
        ):
            drawn[name] = {source for source, given in self._sources.items() if needs(given)}
        number = 0
        self._database.begin()
        for chunk in logged((chunk for chunk in comments if len(chunk)), "stored"):
            texts = visible(chunk[TEXT])
            place = chunk[SOURCE].map(precedence) + np.arange(number, number + len(chunk))
            keys = [hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).digest() for text in texts]
            stored = chunk.assign(place=place, key=keys)
            for name, sources in drawn.items():
                values = pd.Series(0.5, chunk.index)
                rows = chunk[SOURCE].isin(sources)
                values[rows] = draws(texts[rows], salt=name)
                if name == "holdout":
                    rows &= chunk[SOURCE] == VALIDATION
                    values[rows] = draws(texts[rows], salt="validation")
                stored[f"draw_{name}"] = values
            self._database.register("stored", pa.Table.from_pandas(stored, preserve_index=False))
            self._database.execute("INSERT INTO comments BY NAME FROM stored")
            self._found |= set(chunk[SOURCE])
            number += len(chunk)
        self._database.commit()
        logger.info("Stored %s comments", f"{number:,}")

    def keep_first_of_each_text(self) -> Counts:
        """Keep one row per text.

        Returns:
            Per source, the number of rows dropped as duplicates within it, of rows dropped as leaked from an
            earlier one, and of texts with conflicting labels, within the source or against the earlier one.
        """
        self._database.execute(split_rules.RESOLVE)
        counts: Counts = {}
        repeated = {
            source: found for source, *found in self._database.execute(split_rules.REPEATED).fetchall()
        }
        for source in self._found:
            reasons = ("dropped.{}.duplicate", "dropped.{}.leaked", "conflicting.{}")
            for reason, rows in zip(reasons, repeated.get(source, (0, 0, 0)), strict=True):
                counts[reason.format(source)] = int(rows)
        logger.info("Resolved the duplicates")
        return counts

    def divide(self) -> Counts:
        """Place every row into a set, and thin out and limit those for training; count what that drops."""
        self._database.execute(split_rules.PLACE)
        before = self._training(SOURCE)
        ratios = {name: source.non_toxic_per_toxic for name, source in self._sources.items()}
        toxic = self._training(SOURCE, where="toxic")
        self._cut(
            [(*group, int(toxic.get(group, 0) * ratio)) for group in before if (ratio := ratios[group[0]])],
            by=[SOURCE],
            draw="draw_thinning",
            where="NOT toxic",
        )
        sizes = self._training(SOURCE, LANGUAGE, ORIGIN)
        cuts = []
        for source, language in dict.fromkeys(group[:2] for group in sizes):
            given = self._sources[source]
            most = given.rows_of.get(language, given.rows_per_language)
            groups = [group for group in sizes if group[:2] == (source, language)]
            if most is not None:
                shares = equal_shares([sizes[group] for group in groups], most)
                cuts += [(*group, share) for group, share in zip(groups, shares, strict=True)]
        self._cut(cuts, by=[SOURCE, LANGUAGE, ORIGIN], draw="draw_limit")
        after = self._training(SOURCE)
        counts: Counts = {"rows.before_temperature": sum(after.values())}
        for name, given in self._sources.items():
            if given.use is Use.TRAINING:
                counts[f"dropped.{name}.thinned"] = before.get((name,), 0) - after.get((name,), 0)
        return counts

    def mask_one_sided(self) -> Counts:
        """Make labels unknown where an origin gives them as 0 only; return the number of rows by source."""
        counts: Counts = {}
        for label, statement in split_rules.MASK.items():
            rows = Counter(source for (source,) in self._database.execute(statement).fetchall())
            counts |= {f"masked.{source}.{label}": found for source, found in sorted(rows.items())}
        return counts

    def choose(self) -> Counts:
        """Choose the training rows: of each language and source, their number to the temperature's power.

        The total stays, unless small groups would have to be repeated too often. Rows that an epoch contains
        more than once are at the end. Returns how many those are, by source.
        """
        sizes = self._training(LANGUAGE, SOURCE)
        numbers = {name: number for number, name in enumerate(self._sources)}
        wanted = np.array(list(sizes.values()), np.float64) ** self._temperature
        counts = np.rint(wanted * sum(sizes.values()) / wanted.sum()) if sizes else []
        rows = dict.fromkeys(self._sources, 0)
        groups = []
        for part, ((language, source), size) in enumerate(sizes.items()):
            whole, rest = 1, 0
            if self._temperature != 1:
                whole, rest = divmod(min(int(counts[part]), split_rules.MOST_REPEATS * size), size)
            rows[source] += whole * size + rest
            order = numbers[source] if self._temperature == 1 else part
            groups.append((source, language, order, whole, rest))
        again = [name for name, source in self._sources.items() for _ in range(source.repeat - 1)]
        blocks = [*((name, 0) for name in self._sources), *((name, n) for n, name in enumerate(again, 1))]
        self._register("wanted", groups, ["source", "language", "part", "whole", "rest"])
        self._register("repeats", blocks, ["source", "block"])
        self._database.execute(split_rules.CHOOSE)
        return {
            f"repeated.{name}": rows[name] * (source.repeat - 1)
            for name, source in self._sources.items()
            if name != TEST
        }

    def count(self) -> Counts:
        """Return the number of rows by set, of those with a label, and of the training rows by licence."""
        found = {use: rows for use, *rows in self._database.execute(split_rules.COUNT).fetchall()}
        counts: Counts = {}
        for use in Use:
            names = (f"rows.{use}", *(f"rows.{use}.{label}" for label in LABEL_COLUMNS))
            counts |= dict(zip(names, found.get(use.value, [0] * len(names)), strict=True))
        licences = self._database.execute(split_rules.COUNT_LICENCES).fetchall()
        return counts | {f"{LICENCE}.{licence}": rows for licence, rows in licences}

    def _training(self, *columns: str, where: str = "true") -> dict[tuple[str, ...], int]:
        """Return the number of training rows by these columns, in their order."""
        names = ", ".join(columns)
        query = (
            f"SELECT {names}, count(*) FROM placed WHERE use = 'training' AND {where} "  # noqa: S608  our names
            f"GROUP BY {names} ORDER BY {names}"
        )
        return {tuple(group): rows for *group, rows in self._database.execute(query).fetchall()}

    def _cut(
        self, groups: Sequence[tuple[object, ...]], *, by: list[str], draw: str, where: str = "true"
    ) -> None:
        """Drop the training rows of each group beyond its most, in the order of their draws."""
        names = ", ".join(by)
        self._register("most_of", groups, [*by, "most"])
        self._database.execute(
            f"""DELETE FROM placed WHERE place IN (
                SELECT place FROM (
                    SELECT place, most,
                        row_number() OVER (PARTITION BY {names} ORDER BY {draw}, place) AS rank
                    FROM placed JOIN most_of USING ({names}) WHERE use = 'training' AND {where}
                ) WHERE rank > most
            )"""  # noqa: S608  our own names
        )

    def _register(self, name: str, rows: Sequence[tuple[object, ...]], columns: list[str]) -> None:
        """Give the database a small table."""
        kinds = dict.fromkeys(columns, "int64") | {"fraction": "float64"}
        kinds |= dict.fromkeys(["source", "language", "origin", "use"], "str") | {"mask_one_sided": "bool"}
        frame = pd.DataFrame(rows, columns=columns).astype({name: kinds[name] for name in columns})
        self._database.register(name, pa.Table.from_pandas(frame, preserve_index=False))
