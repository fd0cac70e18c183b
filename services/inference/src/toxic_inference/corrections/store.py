"""Corrections in a database: SQLite by default, PostgreSQL if its address is set.

Owns the tables `correction`, `correction_label`, with a row per judged or scored label, and
`correction_secret`, and makes those of the review. The `place` of a correction only grows: an export reads
page by page and holds no transaction open during a slow download. A database with the old table `feedback`,
which had columns per label, or without callers or digests, is migrated on first use; the digests of its texts
are computed later, in steps.

Invariant: `add` returns once the rows are on disk; two `add`s of one id leave one correction.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from secrets import token_bytes
from threading import Lock
from typing import Any, Final, NamedTuple

import sqlalchemy as sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from toxic_core.errors import ConfigurationError
from toxic_core.labels import LabelName
from toxic_inference.corrections.record import (
    Feedback,
    FeedbackConflictError,
    FeedbackSource,
    FeedbackUnavailableError,
    Judged,
    UnknownFeedbackError,
)
from toxic_inference.corrections.tables import (
    SQLITE,
    correction_digests,
    corrections,
    digest_of,
    drop_items,
    label_rows,
    metadata,
    review_items,
    secret_row,
    storable,
    unnamed,
    unnamed_corrections,
)

_DRIVERS = {SQLITE: "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_BUSY_SECONDS = 5
_ATTEMPTS = 3
_LOCK = 0x746F786963  # any number without another lock in the database

OVERHEAD_BYTES = 1_024
"""About what a correction takes beside its text."""

Sizes = Mapping[str, int]
"""About how many bytes corrections take, by their caller; "" if it is unknown."""

_OLD_COLUMNS: Final = ("id", "text", "language", "created_at", "model_version", "source", "actor")

_COLUMNS: Final = (*_OLD_COLUMNS, "caller")
"""What a correction holds beside its labels and scores."""

_CHARACTERS: Final = sql.func.coalesce(sql.func.length(corrections.c.text), 0)

_AT_ONCE: Final = "toxic_begin_immediately"

_OLD_TABLE: Final = "feedback"
_OLD_LABELS: Final = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
"""The labels that the old table had a column `label_…` and a column `score_…` for."""


class DatabaseFeedbackStore:
    """Stores corrections. Every method blocks: call it off the event loop, from any thread.

    Every method raises `FeedbackUnavailableError` if the database can't be reached.

    Args:
        url: `sqlite:///folder/file.db`, or `postgresql://user:password@host/database`.

    Raises:
        ConfigurationError: the address can't be used, or the SQLite file can't be written. An unreachable
            PostgreSQL doesn't stop the start: corrections are refused until it answers, scoring works.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            driver = _DRIVERS[parsed.get_backend_name()]
        except (ArgumentError, KeyError) as error:
            raise ConfigurationError(
                "INFERENCE_FEEDBACK_URL must be sqlite:///folder/file.db or "
                "postgresql://user:password@host/database."
            ) from error
        self._engine = _engine(parsed.set(drivername=driver))
        self._prepared = False
        self._preparing = Lock()
        if driver == SQLITE:
            if not parsed.database:
                raise ConfigurationError(
                    "INFERENCE_FEEDBACK_URL names no file. Set it to sqlite:///folder/file.db."
                )
            try:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
                self._prepare()
            except (SQLAlchemyError, OSError) as error:
                raise ConfigurationError(
                    f"The feedback file {parsed.database} can't be written: {_reason(error)}. Set "
                    "INFERENCE_STATE_DIR to a writable folder, or INFERENCE_FEEDBACK_URL to another database."
                ) from error

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
        with self.connection() as connection:
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
        with self.connection() as connection:
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
        with self.connection() as connection:
            dropped = drop_items(connection, review_items.c.digest == digest)
            found = connection.execute(
                sql.select(corrections.c.id).where(
                    (corrections.c.digest == digest) | (unnamed & (_digest_in(connection) == digest))
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
        with self.connection() as connection:
            some = sql.select(corrections.c.place).where(unnamed).order_by(corrections.c.place).limit(limit)
            named = (
                sql.update(corrections)
                .where(unnamed, corrections.c.place.in_(some))
                .values(digest=_digest_in(connection))
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
        with self.connection() as connection:
            found = connection.execute(judged).all()
        return frozenset(label for label, value in found if feedback.labels.get(label, value) is not value)

    def sizes(self) -> Sizes:
        """Return the size of each caller's corrections."""
        query = sql.select(corrections.c.caller, sql.func.count(), sql.func.sum(_CHARACTERS))
        found: Counter[str] = Counter()
        with self.connection() as connection:
            for caller, count, characters in connection.execute(query.group_by(corrections.c.caller)):
                found[caller or ""] += int(count) * OVERHEAD_BYTES + int(characters)
        return found

    def page(self, *, after: int, limit: int) -> Sequence[tuple[int, Feedback]]:
        """Return at most `limit` corrections after a position, oldest first, each with its position."""
        with self.connection() as connection:
            return _read(connection, corrections.c.place > after, limit=limit)

    def labels(self) -> frozenset[LabelName]:
        """Return every label that a correction judges."""
        judged = sql.select(label_rows.c.label).where(label_rows.c.value.is_not(None)).distinct()
        with self.connection() as connection:
            return frozenset(connection.execute(judged).scalars())

    def judged(self, limit: int) -> Sequence[Judged]:
        """Return the latest corrections that have a version and a score, without their texts."""
        scored = sql.exists().where(label_rows.c.id == corrections.c.id, label_rows.c.score.is_not(None))
        columns = [corrections.c[name] for name in ("place", "id", "language", "model_version")]
        query = sql.select(*columns).where(corrections.c.model_version.is_not(None), scored)
        with self.connection() as connection:
            latest = query.order_by(corrections.c.place.desc()).limit(limit)
            rows = connection.execute(latest).mappings().all()
            figures = _figures(connection, rows)
        found = [(row, *figures[row["id"]]) for row in rows]
        return [Judged(row["model_version"], row["language"], said, scores) for row, said, scores in found]

    def secret(self) -> bytes:
        """Return the key of the callers' pseudonyms, which replicas share and exports don't contain."""
        with self.connection() as connection:
            return bytes(connection.execute(sql.select(secret_row.c.key)).scalar_one())

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def connection(self) -> Iterator[sql.Connection]:
        """Open a transaction."""
        try:
            self._prepare()
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise FeedbackUnavailableError(
                f"Corrections can't be stored or read now: {_reason(error)}."
            ) from error

    def _prepare(self) -> None:
        """Create the tables and migrate the old one, in one transaction, once per process."""
        with self._preparing:
            if self._prepared:
                return
            at_once = self._engine.execution_options(**{_AT_ONCE: True})
            with at_once.begin() as connection:
                if connection.dialect.name != SQLITE:
                    # Replicas that start together would both find no table, and one would fail.
                    connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCK)))
                metadata.create_all(connection)
                if connection.execute(sql.select(secret_row)).first() is None:
                    connection.execute(sql.insert(secret_row).values(key=token_bytes(32)))
                known = {column["name"] for column in sql.inspect(connection).get_columns("correction")}
                for column, kind in (("caller", "VARCHAR(256)"), ("digest", "VARCHAR(64)")):
                    if column not in known:
                        connection.execute(sql.text(f"ALTER TABLE correction ADD COLUMN {column} {kind}"))
                for index in (correction_digests, unnamed_corrections):
                    index.create(connection, checkfirst=True)
                if sql.inspect(connection).has_table(_OLD_TABLE):
                    _migrate(connection)
            self._prepared = True


def _digest_in(connection: sql.Connection) -> sql.ColumnElement[str]:
    """Return `digest_of` a correction's text, as the database computes it."""
    text = corrections.c.text
    if connection.dialect.name == SQLITE:
        return sql.func.toxic_digest(text)
    return sql.func.encode(sql.func.sha256(sql.func.convert_to(text, "UTF8")), "hex")


class _Removed(NamedTuple):
    """A correction that was removed, with its size and its text's digest."""

    caller: str
    size: int
    digest: str | None


def _remove(connection: sql.Connection, feedback_id: str) -> _Removed | None:
    """Remove a correction, if it is there."""
    connection.execute(sql.delete(label_rows).where(label_rows.c.id == feedback_id))
    digest = sql.func.coalesce(corrections.c.digest, _digest_in(connection)).label("digest")
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


def _migrate(connection: sql.Connection) -> None:
    """Move every correction of the old table, and drop it.

    A replica of an older release that starts later makes the old table again; the next start moves it too.
    """
    old = sql.Table(_OLD_TABLE, sql.MetaData(), autoload_with=connection)
    if missing := {*_OLD_COLUMNS, *(f"label_{label}" for label in _OLD_LABELS)} - set(old.c.keys()):
        raise ConfigurationError(
            f"The table {_OLD_TABLE} isn't this service's: it has no {', '.join(sorted(missing))}. "
            "Rename it, or set INFERENCE_FEEDBACK_URL to another database."
        )
    connection.execute(sql.delete(old).where(old.c.id.in_(sql.select(corrections.c.id))))
    kept = sql.select(*(old.c[column] for column in _OLD_COLUMNS)).order_by(old.c.place)
    connection.execute(sql.insert(corrections).from_select(list(_OLD_COLUMNS), kept))
    for label in _OLD_LABELS:
        value, score = old.c[f"label_{label}"], old.c[f"score_{label}"]
        said = sql.select(old.c.id, sql.literal(label), value, score).where(
            sql.or_(value.is_not(None), score.is_not(None))
        )
        connection.execute(sql.insert(label_rows).from_select(["id", "label", "value", "score"], said))
    old.drop(connection)


def _engine(url: URL) -> sql.Engine:
    if url.get_backend_name() != SQLITE:
        return sql.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": _BUSY_SECONDS})
    engine = sql.create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @sql.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        # The driver would begin a transaction at the first change of a row only, not at a change of a table.
        connection.isolation_level = None
        # A condition may be computed for rows without a text too.
        digest = lambda text: None if text is None else digest_of(text)  # noqa: E731
        connection.create_function("toxic_digest", 1, digest, deterministic=True)
        # With a write-ahead log, the default of `synchronous` would lose the last corrections to a power cut.
        # With secure_delete, a deletion overwrites the bytes.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sql.event.listens_for(engine, "begin")
    def begin(connection: sql.Connection) -> None:
        # A transaction that reads first and writes later fails if another process wrote in between.
        at_once = connection.get_execution_options().get(_AT_ONCE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if at_once else "BEGIN")

    return engine


def _reason(error: Exception) -> str:
    """Return the driver's message: SQLAlchemy's repeats the statement with its values, texts included."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
