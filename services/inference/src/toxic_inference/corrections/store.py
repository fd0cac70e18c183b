"""Corrections in the database.

Owns the rows of the tables `correction`, `correction_label`, with a row per judged or scored label, and
`correction_secret`. The `place` of a correction only grows: an export reads page by page and holds no
transaction open during a slow download.

Invariant: `add` returns once the rows are on disk; two `add`s of one id leave one correction.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Final, NamedTuple

import sqlalchemy as sql
from sqlalchemy.exc import IntegrityError

from toxic_core.labels import LabelName
from toxic_inference.corrections.database import Database, digest_in
from toxic_inference.corrections.record import (
    Feedback,
    FeedbackConflictError,
    FeedbackSource,
    Judged,
    UnknownFeedbackError,
)
from toxic_inference.corrections.tables import (
    corrections,
    digest_of,
    drop_items,
    label_rows,
    review_items,
    secret_row,
    storable,
    unnamed,
)

_ATTEMPTS = 3

OVERHEAD_BYTES = 1_024
"""About what a correction takes beside its text."""

Sizes = Mapping[str, int]
"""About how many bytes corrections take, by their caller; "" if it is unknown."""

_COLUMNS: Final = ("id", "text", "language", "created_at", "model_version", "source", "actor", "caller")
"""What a correction holds beside its labels and scores."""

_CHARACTERS: Final = sql.func.coalesce(sql.func.length(corrections.c.text), 0)


class DatabaseFeedbackStore:
    """Stores corrections. Every method blocks: call it off the event loop, from any thread.

    Every method raises `FeedbackUnavailableError` if the database can't be reached.

    Args:
        url: as that of `Database`, whose errors it raises.
    """

    def __init__(self, url: str) -> None:
        self.database = Database(url)

    def add(self, feedback: Feedback, *, replace: bool = False) -> Sizes | None:
        """Store a correction durably; return the size of what it replaced, or None if it was stored already.

        Args:
            feedback: the correction.
            replace: whether it takes the place of a different one with its id, in one transaction.

        Raises:
            FeedbackConflictError: a different correction has its id.
        """
        correction = {column: getattr(feedback, column) for column in _COLUMNS}
        correction["source"] = feedback.source.value
        correction["digest"] = None if feedback.text is None else digest_of(feedback.text)
        labels = [
            {
                "id": feedback.id,
                "label": label,
                "value": feedback.labels.get(label),
                "score": feedback.scores.get(label),
            }
            for label in dict.fromkeys((*feedback.labels, *feedback.scores))
        ]
        replaced: Counter[str] = Counter()
        with self.database.connection() as connection:
            # Between a removal and the next insertion, another replacement may come first.
            for _ in range(_ATTEMPTS if replace else 1):
                try:
                    with connection.begin_nested():
                        connection.execute(sql.insert(corrections).values(correction))
                        connection.execute(sql.insert(label_rows), labels)
                except IntegrityError:
                    same = _read(connection, corrections.c.id == feedback.id, limit=1)
                    if same and feedback.repeats(same[0][1]):
                        return None
                    if replace and (removed := _remove(connection, feedback.id)):
                        replaced[removed.caller] += removed.size
                else:
                    return replaced
            raise FeedbackConflictError(
                f"The id {feedback.id!r} belongs to another correction. "
                "Send a new id, or delete that correction first."
            )

    def delete(self, feedback_id: str) -> Sizes:
        """Remove a correction for good, its text also from the review; return its size.

        Raises:
            UnknownFeedbackError: there is none with that id.
        """
        with self.database.connection() as connection:
            removed = _remove(connection, storable(feedback_id))
            if removed is None:
                raise UnknownFeedbackError(f"There is no correction {feedback_id!r}.")
            drop_items(connection, review_items.c.digest == removed.digest)
        return {removed.caller: removed.size}

    def forget(self, digest: str) -> Sizes:
        """Remove every correction with a text, and the text from the review; return the corrections' sizes.

        Args:
            digest: of the text.

        Raises:
            UnknownFeedbackError: no correction has the text, and it isn't in the review.
        """
        sizes: Counter[str] = Counter()
        with self.database.connection() as connection:
            dropped = drop_items(connection, review_items.c.digest == digest)
            found = connection.execute(
                sql.select(corrections.c.id).where(
                    (corrections.c.digest == digest) | (unnamed & (digest_in(connection) == digest))
                )
            ).all()
            for (feedback_id,) in found:
                if removed := _remove(connection, feedback_id):
                    sizes[removed.caller] += removed.size
        if not (found or dropped):
            raise UnknownFeedbackError(f"There is no text with the digest {digest!r}.")
        return sizes

    def name_texts(self, limit: int) -> bool:
        """Give digests to at most so many texts of an older release; return whether there were as many."""
        with self.database.connection() as connection:
            some = sql.select(corrections.c.place).where(unnamed).order_by(corrections.c.place).limit(limit)
            named = (
                sql.update(corrections)
                .where(unnamed, corrections.c.place.in_(some))
                .values(digest=digest_in(connection))
            )
            return connection.execute(named).rowcount >= limit

    def disputes(self, feedback: Feedback, *, limit: int = 100) -> frozenset[LabelName]:
        """Return the labels that another caller's correction of the same text judges otherwise."""
        if feedback.text is None:
            return frozenset()
        others = (
            sql.select(corrections.c.id)
            .where(corrections.c.digest == digest_of(feedback.text), corrections.c.caller != feedback.caller)
            .limit(limit)
        )
        judged = sql.select(label_rows.c.label, label_rows.c.value).where(
            label_rows.c.id.in_(others), label_rows.c.value.is_not(None)
        )
        with self.database.connection() as connection:
            found = connection.execute(judged).all()
        return frozenset(label for label, value in found if feedback.labels.get(label, value) is not value)

    def sizes(self) -> Sizes:
        """Return the size of each caller's corrections."""
        query = sql.select(corrections.c.caller, sql.func.count(), sql.func.sum(_CHARACTERS))
        found: Counter[str] = Counter()
        with self.database.connection() as connection:
            for caller, count, characters in connection.execute(query.group_by(corrections.c.caller)):
                found[caller or ""] += int(count) * OVERHEAD_BYTES + int(characters)
        return found

    def size_of(self, feedback: Feedback) -> int:
        """Return the size of what is stored under the id of a caller's correction; 0 if nothing is."""
        query = sql.select(_CHARACTERS).where(
            corrections.c.id == feedback.id, corrections.c.caller == feedback.caller
        )
        with self.database.connection() as connection:
            characters = connection.execute(query).scalar()
        return 0 if characters is None else OVERHEAD_BYTES + int(characters)

    def page(self, *, after: int, limit: int) -> Sequence[tuple[int, Feedback]]:
        """Return at most `limit` corrections after a position, oldest first, each with its position."""
        with self.database.connection() as connection:
            return _read(connection, corrections.c.place > after, limit=limit)

    def labels(self) -> frozenset[LabelName]:
        """Return every label that a correction judges."""
        judged = sql.select(label_rows.c.label).where(label_rows.c.value.is_not(None)).distinct()
        with self.database.connection() as connection:
            return frozenset(connection.execute(judged).scalars())

    def judged(self, limit: int) -> Sequence[Judged]:
        """Return the latest corrections that have a version and a score, without their texts."""
        scored = sql.exists().where(label_rows.c.id == corrections.c.id, label_rows.c.score.is_not(None))
        columns = [corrections.c[name] for name in ("place", "id", "language", "model_version")]
        query = sql.select(*columns).where(corrections.c.model_version.is_not(None), scored)
        with self.database.connection() as connection:
            latest = query.order_by(corrections.c.place.desc()).limit(limit)
            rows = connection.execute(latest).mappings().all()
            figures = _figures(connection, rows)
        found = [(row, *figures[row["id"]]) for row in rows]
        return [Judged(row["model_version"], row["language"], said, scores) for row, said, scores in found]

    def secret(self) -> bytes:
        """Return the key of the callers' pseudonyms, which replicas share and exports don't contain."""
        with self.database.connection() as connection:
            return bytes(connection.execute(sql.select(secret_row.c.key)).scalar_one())

    def close(self) -> None:
        """Close every connection."""
        self.database.close()


class _Removed(NamedTuple):
    """A correction that was removed, with its size and its text's digest."""

    caller: str
    size: int
    digest: str | None


def _remove(connection: sql.Connection, feedback_id: str) -> _Removed | None:
    """Remove a correction, if it is there."""
    connection.execute(sql.delete(label_rows).where(label_rows.c.id == feedback_id))
    digest = sql.func.coalesce(corrections.c.digest, digest_in(connection)).label("digest")
    removal = sql.delete(corrections).where(corrections.c.id == feedback_id)
    row = connection.execute(removal.returning(corrections.c.caller, _CHARACTERS, digest)).first()
    return None if row is None else _Removed(row[0] or "", OVERHEAD_BYTES + int(row[1]), row[2])


def _read(
    connection: sql.Connection, where: sql.ColumnElement[bool], *, limit: int
) -> list[tuple[int, Feedback]]:
    """Return corrections in order, each with its place."""
    query = sql.select(corrections).where(where).order_by(corrections.c.place).limit(limit)
    rows = connection.execute(query).mappings().all()
    figures = _figures(connection, rows)
    read = []
    for row in rows:
        labels, scores = figures[row["id"]]
        facts = {column: row[column] for column in _COLUMNS}
        facts["source"] = FeedbackSource(row["source"])
        # SQLite drops the time zone: all times are written in UTC.
        facts["created_at"] = row["created_at"].replace(tzinfo=row["created_at"].tzinfo or UTC)
        read.append((row["place"], Feedback(**facts, labels=labels, scores=scores)))
    return read


def _figures(
    connection: sql.Connection, rows: Sequence[sql.RowMapping]
) -> dict[str, tuple[dict[LabelName, bool], dict[LabelName, float]]]:
    """Return the judgements and scores of corrections by id, each by label."""
    found: dict[str, tuple[dict[LabelName, bool], dict[LabelName, float]]] = defaultdict(lambda: ({}, {}))
    if not rows:
        return found
    places = [row["place"] for row in rows]
    query = (
        sql.select(label_rows).join(corrections).where(corrections.c.place.between(min(places), max(places)))
    )
    for identity, label, value, score in connection.execute(query):
        labels, scores = found[identity]
        if value is not None:
            labels[label] = value
        if score is not None:
            scores[label] = score
    return found
