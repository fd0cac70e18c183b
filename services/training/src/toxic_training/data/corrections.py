"""From moderators' corrections to training rows: who counts, and what counts if they disagree.

Texts that differ only in case, spacing, punctuation or repeated letters are one text. Per text and label:

1. An actor's last judgement replaces the earlier ones.
2. An actor counts on at most `rows_per_actor` texts, and on at most a share of the training rows, chosen by
   the texts' digests, unless it is trusted.
3. The majority of the actors decides. A tie decides nothing: the label stays empty.

A share of the texts is never trained on, chosen by their digests. The labels of these that a trusted actor,
or two actors, judge alike are the test table; a text without such a label only shows what the traffic is.

An actor that contradicts the champion's certain scores on most of its texts is reported, not left out: in
traffic of a new kind, that is what corrections are for.

Invariant: all is counted by reason; memory doesn't grow with the number of corrections, only with
`max_rows` and with the ids of the corrections of texts that are trained on.
"""

import hashlib
import logging
import re
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from toxic_core.languages import KNOWN_LANGUAGES
from toxic_core.tables import language_code
from toxic_core.text import is_blank, normaliser
from toxic_training.data.comments import ID, LABEL_COLUMNS, LANGUAGE, SOURCE, TEXT, RawTable
from toxic_training.data.feedback_source import EARLIER_ACTOR, FILE_ACTOR, Correction
from toxic_training.data.parameters import Fraction, Parameters

logger = logging.getLogger(__name__)

Score = Callable[[Sequence[str]], NDArray[np.float32] | None]
"""Returns the champion's scores of the label `toxic`, float32 [texts]; None if there is no champion."""

FEEDBACK = "feedback"
"""The name of the table that corrections become."""

FEEDBACK_TEST = "feedback_test"
"""The name of the table of corrections that are held out for tests."""

FEEDBACK_TRAFFIC = "feedback_traffic"
"""The name of the table of corrections that are held out, but not reviewed."""

_SHOWN_ACTORS = 20
_TOXIC = LABEL_COLUMNS[0]
_visible = normaliser(1)
_RUNS = re.compile(r"(.)\1+")

_SCHEMA = """
CREATE TABLE comment (key BLOB PRIMARY KEY, text TEXT, language TEXT, source TEXT) WITHOUT ROWID;
CREATE TABLE filed (key BLOB, id TEXT, PRIMARY KEY (key, id)) WITHOUT ROWID;
CREATE TABLE judged (
    key BLOB, label TEXT, actor TEXT, value INT, PRIMARY KEY (key, label, actor)
) WITHOUT ROWID;
CREATE TABLE trusted (actor TEXT PRIMARY KEY);
CREATE VIEW outcome AS
    SELECT key, label, SUM(value) * 2 > COUNT(*) AS value FROM judged
    GROUP BY key, label HAVING SUM(value) * 2 != COUNT(*);
CREATE TABLE kept (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE VIEW agreeing AS
    SELECT key, label, value, actor FROM kept
    JOIN judged USING (key) JOIN outcome USING (key, label, value);
"""

# A later actor can't replace what others judged.
_COMMENT = """
INSERT INTO comment VALUES (?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET language = excluded.language WHERE language = ''
"""

_LIMIT = """
DELETE FROM judged WHERE (key, actor) IN (
    SELECT key, actor FROM (
        SELECT key, actor, ROW_NUMBER() OVER (PARTITION BY actor ORDER BY key) AS rank
        FROM (SELECT DISTINCT key, actor FROM judged) WHERE actor NOT IN trusted
    ) WHERE rank > ?
)
"""

_KEEP = "INSERT INTO kept SELECT DISTINCT key FROM outcome ORDER BY key LIMIT ?"

_CONTRADICTED = """
SELECT COUNT(*), COALESCE(SUM(2 * yes = judgements), 0)
FROM (SELECT SUM(value) AS yes, COUNT(*) AS judgements FROM judged GROUP BY key, label)
WHERE yes > 0 AND yes < judgements
"""

_REVIEWED = """
SELECT HEX(key), label FROM agreeing GROUP BY key, label
HAVING COUNT(DISTINCT actor) > 1 OR SUM(actor IN trusted) > 0
"""


class CorrectionParameters(Parameters):
    """How corrections become training rows."""

    rows_per_actor: int = Field(
        default=300, ge=0, description="Maximum texts on which an API key, or a peer without one, counts."
    )
    max_actor_share: Fraction = Field(
        default=0.002, description="The same as a share of Jigsaw's training rows; the smaller number counts."
    )
    trusted_actors: tuple[str, ...] = Field(
        default=(FILE_ACTOR, EARLIER_ACTOR),
        description="Names of API keys without that maximum, such as a moderation team's; a downloaded "
        f"export without callers is from {FILE_ACTOR}, and what the service stored before it stored callers "
        f"is from {EARLIER_ACTOR}.",
    )
    max_rows: int = Field(default=50_000, ge=1, description="Maximum texts of all actors.")
    max_contradiction: Fraction = Field(
        default=0.5,
        description="An actor that contradicts the champion's certain scores on a larger share of its texts "
        "is reported as an outlier.",
    )
    held_out: Fraction = Field(
        default=0.1,
        description="Share of the texts that is never trained on; those that a trusted actor or two actors "
        "judge alike are measured, and all of them count in the reference that drift is measured from.",
    )
    certainty: float = Field(
        default=0.9, gt=0.5, le=1, description="A score from this on, or as far from 1, is certain."
    )
    min_scored: int = Field(
        default=20, ge=1, description="Texts from which on an actor is compared with the champion."
    )


@dataclass(frozen=True, slots=True)
class Curated:
    """Training rows of corrections.

    Attributes:
        table: a raw table with the columns of `01_raw/feedback.csv`, and the digest of its content.
        test: the texts that are held out and reviewed, in the same form, with only their reviewed labels.
        traffic: the other texts that are held out.
        ids: of every correction of a text in `table`, also of those whose judgement doesn't stand: the
            text may be theirs.
        report: `cursor` (the last place), `digest`, `rows`, `held_out`, `sources` (corrections read by door),
            `counts` by reason, `actors` (share of the texts by actor, the largest first) and `outliers`.
    """

    table: RawTable
    test: RawTable
    traffic: RawTable
    ids: list[str] = field(default_factory=list)
    report: dict[str, object] = field(default_factory=dict)


def curate(
    corrections: Iterable[Correction],
    parameters: CorrectionParameters,
    *,
    training_rows: int,
    score: Score = lambda _: None,
) -> Curated:
    """Return the rows to train on, beside so many others; `score` compares actors with the champion."""
    limit = min(parameters.rows_per_actor, int(parameters.max_actor_share * training_rows))
    # An empty name is a database in a temporary file, which SQLite deletes.
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        database.executescript(_SCHEMA)
        database.execute("BEGIN")
        cursor, counts, sources = _fill(database, corrections)
        counts["superseded"] = counts.pop("judgements") - _count(database, "judged")
        trusted = [(actor,) for actor in parameters.trusted_actors]
        database.executemany("INSERT OR IGNORE INTO trusted VALUES (?)", trusted)
        counts["over_limit"] = database.execute(_LIMIT, (limit,)).rowcount
        database.execute(_KEEP, (parameters.max_rows,))
        outliers = _outliers(database, parameters, score)
        if outliers:
            logger.warning("Actors that contradict the champion on most texts: %s", ", ".join(outliers))
        counts["contradicted"], counts["tied"] = database.execute(_CONTRADICTED).fetchone()
        rows = _rows(database)
        counts["not_kept"] = _count(database, "comment") - len(rows)
        reviewed = set(database.execute(_REVIEWED))
        is_reviewed = pd.DataFrame(
            {label: [(key, label) in reviewed for key in rows[ID]] for label in LABEL_COLUMNS}, dtype=bool
        )
        known = is_reviewed.any(axis=1)
        tested = rows.assign(**rows[LABEL_COLUMNS].where(is_reviewed, ""))
        # The digits of a digest are as good as a random number, and stay the same. Not the first ones: the
        # limits keep the lowest digests.
        drawn = rows[ID].map(lambda key: int(key[-8:], 16) / 2**32 < parameters.held_out).astype(bool)
        table, test, traffic = map(_table, (rows[~drawn], tested[drawn & known], rows[drawn & ~known]))
        counts["not_reviewed"] = len(traffic.rows)
        report = {
            "cursor": cursor,
            "digest": table.digest,
            "rows": len(table.rows),
            "held_out": len(test.rows),
            "sources": dict(sources),
            "counts": dict(counts),
            "actors": _shares(database),
            "outliers": outliers,
        }
        trained = set(table.rows[ID])
        filed = database.execute("SELECT id, HEX(key) FROM filed JOIN kept USING (key) ORDER BY id")
        return Curated(
            table, test, traffic, list(dict.fromkeys(each for each, key in filed if key in trained)), report
        )


def same_text(text: str) -> bytes:
    """Return a digest that texts share if only case, spacing, punctuation or repeated letters differ."""
    folded = unicodedata.normalize("NFKC", _visible(text)).casefold()
    letters = "".join(character for character in folded if character.isalnum()) or folded
    return hashlib.blake2b(_RUNS.sub(r"\1", letters).encode(), digest_size=16).digest()


def _fill(
    database: sqlite3.Connection, corrections: Iterable[Correction]
) -> tuple[int, Counter[str], Counter[str]]:
    """Store every usable judgement; return the last place, counts by reason, and corrections by source."""
    counts: Counter[str] = Counter(read=0, withheld=0, unlabelled=0, language_unknown=0, judgements=0)
    sources: Counter[str] = Counter()
    cursor = 0
    for correction in corrections:
        cursor = max(cursor, correction.place)
        counts["read"] += 1
        sources[correction.source] += 1
        if correction.text is None or is_blank(correction.text):
            counts["withheld"] += 1
            continue
        if not correction.labels:
            counts["unlabelled"] += 1
            continue
        language = language_code(correction.language)
        if language not in KNOWN_LANGUAGES | {""}:
            # Identified from the text, as the language of a correction that states none.
            language = ""
            counts["language_unknown"] += 1
        key = same_text(correction.text)
        database.execute(_COMMENT, (key, correction.text, language, correction.source))
        database.execute("INSERT OR IGNORE INTO filed VALUES (?, ?)", (key, correction.id))
        database.executemany(
            "INSERT OR REPLACE INTO judged VALUES (?, ?, ?, ?)",
            [(key, label, correction.actor, int(value)) for label, value in correction.labels.items()],
        )
        counts["judgements"] += len(correction.labels)
    return cursor, counts, sources


def _count(database: sqlite3.Connection, table: str) -> int:
    return int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608  our own name


def _outliers(
    database: sqlite3.Connection, parameters: CorrectionParameters, score: Score
) -> dict[str, float]:
    """Return the share of certain scores that an actor contradicts, of the actors with too large a share."""
    query = "SELECT text, actor, value FROM agreeing JOIN comment USING (key) WHERE label = ? ORDER BY key"
    found = pd.DataFrame(database.execute(query, (_TOXIC,)).fetchall(), columns=["text", "actor", "value"])
    if len(found) < parameters.min_scored or (scored := score(found["text"].tolist())) is None:
        return {}
    scores = scored.astype(np.float64)
    certain = np.maximum(scores, 1 - scores) >= parameters.certainty
    wrong = (certain & ((scores > 0.5) != found["value"].astype(bool).to_numpy())).astype(float)  # noqa: PLR2004
    by_actor = pd.Series(wrong).groupby(found["actor"]).agg(["mean", "size"])
    by_actor = by_actor[
        (by_actor["size"] >= parameters.min_scored) & ~by_actor.index.isin(parameters.trusted_actors)
    ]
    shares = by_actor["mean"][by_actor["mean"] > parameters.max_contradiction]
    return {str(actor): round(float(share), 3) for actor, share in shares.items()}


def _rows(database: sqlite3.Connection) -> pd.DataFrame:
    """Return the kept texts as a raw table: labels are `0`, `1` or empty."""
    values = ", ".join(
        f"COALESCE(MAX(CASE label WHEN '{label}' THEN value END), '')" for label in LABEL_COLUMNS
    )
    query = (
        f"SELECT HEX(key), text, language, source, {values} FROM kept JOIN comment USING (key) "  # noqa: S608  our labels
        "JOIN outcome USING (key) GROUP BY key ORDER BY key"
    )
    columns = [ID, TEXT, LANGUAGE, SOURCE, *LABEL_COLUMNS]
    return pd.DataFrame(database.execute(query).fetchall(), columns=columns).astype(str)


def _table(rows: pd.DataFrame) -> RawTable:
    rows = rows.reset_index(drop=True)
    return RawTable(rows, hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest())


def _shares(database: sqlite3.Connection) -> dict[str, float]:
    query = (
        "SELECT actor, COUNT(DISTINCT key) * 1.0 / (SELECT COUNT(*) FROM kept) FROM agreeing "
        "GROUP BY actor ORDER BY 2 DESC, 1 LIMIT ?"
    )
    return {actor: round(share, 4) for actor, share in database.execute(query, (_SHOWN_ACTORS,))}
