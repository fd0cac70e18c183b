"""The review in the database of corrections: its texts and the reviewers' opinions.

Owns the rows of `review_item` and `review_opinion`.

Invariant: after every `add` there are at most as many texts as allowed, and none that is too old; decided
ones are counted apart. Two opinions of one text at a time are counted one after the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from toxic_core.errors import ToxicError
from toxic_core.labels import LabelName
from toxic_inference.corrections.agreement import (
    MOST_OPINIONS,
    Agreement,
    Judgement,
    agreement,
    decide,
    disputed,
)
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.corrections.tables import (
    SQLITE,
    corrections,
    digest_of,
    drop_items,
    review_items,
    review_opinions,
    storable,
)
from toxic_inference.events import ReviewReason

_STEPS: Final = 1_000_000
"""Priorities per reason: a distance from 0 to 1, in millionths."""
_DECIDED: Final = 1_000 * _STEPS
_AGREEMENT_TEXTS: Final = 1_000
"""Decided texts of which the opinions stay, and texts that the agreement is about."""

Seen = Mapping[LabelName, tuple[float | None, bool | None]]
"""The score and decision per label that a reviewer sees, if they are known."""


_RANKS: Final = {reason: rank for rank, reason in enumerate(ReviewReason)}


class UnknownReviewError(ToxicError):
    """The text isn't in the review."""


class ReviewLabelsError(ToxicError):
    """An opinion judges other labels than its text has."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may be reviewed.

    Attributes:
        text: the text.
        language: its language, if known.
        version: the version that scored it, if known.
        seen: its scores and decisions.
        reason: why.
        distance: of the nearest score to its threshold, from 0 to 1.
    """

    text: str
    language: str | None
    version: str | None
    seen: Seen
    reason: ReviewReason
    distance: float = 0.0


@dataclass(frozen=True, slots=True)
class Opinion:
    """One reviewer's judgement.

    Attributes:
        reviewer: who judges; different for two people.
        caller: who sent it, as `Feedback.caller`; the same for all users of one tool.
        labels: the judgement.
    """

    reviewer: str
    caller: str
    labels: Judgement


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A text in the review, with its opinions, oldest first."""

    digest: str
    text: str
    language: str | None
    created_at: datetime
    version: str | None
    reason: ReviewReason
    seen: Seen
    opinions: tuple[Opinion, ...]

    @property
    def decision(self) -> Judgement | None:
        """What the opinions decide, if they do."""
        return decide([opinion.labels for opinion in self.opinions])

    @property
    def disputed(self) -> list[LabelName]:
        """The labels that the opinions judge differently."""
        return disputed([opinion.labels for opinion in self.opinions])


@dataclass(frozen=True, slots=True)
class ReviewStanding:
    """How the review stands.

    Attributes:
        open: texts that wait for an opinion, by reason; every reason is there.
        oldest: when the first of them came; None if there is none.
        agreement: of the first two opinions of the latest texts, by label.
    """

    open: Mapping[ReviewReason, int]
    oldest: datetime | None
    agreement: Mapping[LabelName, Agreement]


class ReviewStore:
    """Stores the review. Every method blocks and raises as those of `DatabaseFeedbackStore` do.

    Args:
        corrections: the store of corrections, in the same database.
    """

    def __init__(self, corrections: DatabaseFeedbackStore) -> None:
        self.corrections = corrections

    def add(
        self, candidates: Iterable[Candidate], *, now: datetime, since: datetime, most: int
    ) -> list[ReviewReason]:
        """Store texts that aren't in the review yet, and remove those that are too old or too many.

        Args:
            candidates: the texts.
            now: the current time.
            since: older texts are removed.
            most: most texts that stay, the most urgent.

        Returns:
            The reasons of the texts that are new.
        """
        rows = {}
        for each in candidates:
            text = storable(each.text)
            rows[digest_of(text)] = {
                "digest": digest_of(text),
                "text": text,
                "language": each.language,
                "created_at": now,
                "model_version": each.version,
                "reason": each.reason.value,
                "priority": _RANKS[each.reason] * _STEPS + round(each.distance * (_STEPS - 1)),
                "labels": {label: list(seen) for label, seen in each.seen.items()},
            }
        added: list[ReviewReason] = []
        with self.corrections.database.connection() as connection:
            # First, so that SQLite's transaction begins with a change.
            drop_items(connection, review_items.c.created_at <= since)
            if rows:
                # In one order, so that two replicas don't wait for each other.
                values = [rows[digest] for digest in sorted(rows)]
                new = (
                    sqlite.insert(review_items).values(values).on_conflict_do_nothing()
                    if connection.dialect.name == SQLITE
                    else postgresql.insert(review_items).values(values).on_conflict_do_nothing()
                )
                found = connection.execute(new.returning(review_items.c.reason)).scalars()
                added = [ReviewReason(reason) for reason in found]
                # A correction may have been deleted since it contradicted another one.
                gone = ~sql.exists().where(corrections.c.digest == review_items.c.digest)
                contradiction = review_items.c.reason == ReviewReason.CONTRADICTION.value
                drop_items(connection, review_items.c.digest.in_(rows) & contradiction & gone)
            decided = review_items.c.priority == _DECIDED
            newest = sql.select(review_items.c.place).where(decided).order_by(review_items.c.place.desc())
            if (place := connection.scalar(newest.offset(_AGREEMENT_TEXTS).limit(1))) is not None:
                drop_items(connection, decided & (review_items.c.place <= place))
            order = review_items.c.priority, review_items.c.place
            urgent = sql.select(*order).where(~decided).order_by(*order)
            if (first := connection.execute(urgent.offset(most).limit(1)).first()) is not None:
                drop_items(connection, ~decided & (sql.tuple_(*order) >= sql.tuple_(*first)))
        return added

    def page(
        self, *, after: tuple[int, int] | None, limit: int, reviewer: str | None, since: datetime
    ) -> list[tuple[tuple[int, int], ReviewItem]]:
        """Return texts that wait for an opinion, the most urgent first, each with its position.

        Args:
            after: the position of the last text of the page before.
            limit: most texts.
            reviewer: who hasn't judged them; None for anyone.
            since: older texts are left out.
        """
        mine = sql.exists().where(
            review_opinions.c.item == review_items.c.place, review_opinions.c.reviewer == reviewer
        )
        query = sql.select(review_items).where(
            review_items.c.text.is_not(None), review_items.c.created_at > since, ~mine
        )
        if after is not None:
            place = sql.tuple_(review_items.c.priority, review_items.c.place)
            query = query.where(place > sql.tuple_(*after))
        with self.corrections.database.connection() as connection:
            rows = connection.execute(
                query.order_by(review_items.c.priority, review_items.c.place).limit(limit)
            ).all()
            opinions = _opinions(connection, [row.place for row in rows])
        return [((row.priority, row.place), _item(row, opinions[row.place])) for row in rows]

    def judge(self, digest: str, opinion: Opinion, *, now: datetime, since: datetime) -> ReviewItem:
        """Add an opinion, or replace the reviewer's earlier one; return the text with all opinions.

        Raises:
            UnknownReviewError: there is no such text, or it was decided.
            ReviewLabelsError: the opinion judges other labels.
        """
        waits = (
            review_items.c.digest == digest,
            review_items.c.text.is_not(None),
            review_items.c.created_at > since,
        )
        with self.corrections.database.connection() as connection:
            # Locks the text, so that a second opinion at the same time sees the first.
            locked = sql.update(review_items).where(*waits).values(digest=review_items.c.digest)
            if not connection.execute(locked).rowcount:
                raise UnknownReviewError("The text isn't in the review, or was decided meanwhile.")
            row = connection.execute(sql.select(review_items).where(*waits)).one()
            if opinion.labels.keys() != row.labels.keys():
                raise ReviewLabelsError(f"Judge each of the text's labels: {', '.join(row.labels)}.")
            others = _opinions(connection, [row.place])[row.place]
            if len([each for each in others if each.reviewer != opinion.reviewer]) < MOST_OPINIONS:
                connection.execute(
                    sql.delete(review_opinions).where(
                        review_opinions.c.item == row.place, review_opinions.c.reviewer == opinion.reviewer
                    )
                )
                connection.execute(
                    sql.insert(review_opinions).values(
                        item=row.place,
                        reviewer=opinion.reviewer,
                        caller=opinion.caller,
                        created_at=now,
                        labels=dict(opinion.labels),
                    )
                )
            return _item(row, _opinions(connection, [row.place])[row.place])

    def close(self, digest: str) -> None:
        """Remove a decided text; its opinions stay, for the agreement, until their time is over."""
        with self.corrections.database.connection() as connection:
            connection.execute(
                sql.update(review_items)
                .where(review_items.c.digest == digest)
                .values(text=None, priority=_DECIDED)
            )

    def agreement(self) -> dict[LabelName, Agreement]:
        """Return how well the first two opinions of the latest texts agree, by label."""
        twice = (
            sql.select(review_opinions.c.item)
            .group_by(review_opinions.c.item)
            .having(sql.func.count() > 1)
            .order_by(review_opinions.c.item.desc())
            .limit(_AGREEMENT_TEXTS)
        )
        pairs: dict[LabelName, list[tuple[bool, bool]]] = defaultdict(list)
        with self.corrections.database.connection() as connection:
            opinions = _opinions(connection, connection.execute(twice).scalars().all())
        for first, second, *_ in opinions.values():
            for label, value in first.labels.items():
                pairs[label].append((value, second.labels[label]))
        return {label: agreement(found) for label, found in pairs.items()}

    def standing(self, *, since: datetime) -> ReviewStanding:
        """Return how the review stands; texts from before `since` are too old to count."""
        items = review_items.c
        query = (
            sql.select(items.reason, sql.func.count(), sql.func.min(items.created_at))
            .where(items.text.is_not(None), items.created_at > since)
            .group_by(items.reason)
        )
        with self.corrections.database.connection() as connection:
            rows = connection.execute(query).all()
        waiting = {ReviewReason(reason): count for reason, count, _ in rows}
        return ReviewStanding(
            open={reason: waiting.get(reason, 0) for reason in ReviewReason},
            oldest=min((_aware(first) for *_, first in rows), default=None),
            agreement=self.agreement(),
        )


def _opinions(connection: sql.Connection, places: Sequence[int]) -> dict[int, tuple[Opinion, ...]]:
    """Return the opinions of texts by place, oldest first."""
    query = (
        sql.select(review_opinions)
        .where(review_opinions.c.item.in_(places))
        .order_by(review_opinions.c.created_at, review_opinions.c.reviewer)
    )
    found: dict[int, tuple[Opinion, ...]] = defaultdict(tuple)
    for row in connection.execute(query):
        found[row.item] += (Opinion(row.reviewer, row.caller, row.labels),)
    return found


def _aware(time: datetime) -> datetime:
    """Return a time with its zone, which SQLite's lack."""
    return time.replace(tzinfo=time.tzinfo or UTC)


def _item(row: Any, opinions: tuple[Opinion, ...]) -> ReviewItem:
    return ReviewItem(
        digest=row.digest,
        text=row.text,
        language=row.language,
        created_at=_aware(row.created_at),
        version=row.model_version,
        reason=ReviewReason(row.reason),
        seen={label: (score, decision) for label, (score, decision) in row.labels.items()},
        opinions=opinions,
    )
