"""Corrections in a database: SQLite where nothing else is said, PostgreSQL by its address.

Owns the table `feedback`. Each row has a place that only grows, so that an export reads pages without
holding a transaction open while a slow caller downloads.

Invariant: `add` returns once the row is on disk; two `add`s of one id leave one row.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from toxic_core.errors import ConfigurationError
from toxic_core.labels import LABELS, LabelName
from toxic_inference.corrections.record import (
    Feedback,
    FeedbackConflictError,
    FeedbackSource,
    FeedbackUnavailableError,
    UnknownFeedbackError,
)
from toxic_inference.monitoring.live import Judged

_SQLITE = "sqlite"
_DRIVERS = {_SQLITE: "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_BUSY_SECONDS = 5
_LOCK = 0x746F786963  # any number that nothing else in the database locks

_metadata = MetaData()
_table = Table(
    "feedback",
    _metadata,
    Column("place", BigInteger().with_variant(Integer, _SQLITE), primary_key=True, autoincrement=True),
    Column("id", String(128), nullable=False, unique=True),
    Column("text", Text),
    Column("language", String(16)),
    *(Column(f"label_{label}", Boolean) for label in LABELS),
    *(Column(f"score_{label}", Float) for label in LABELS),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("model_version", String(250)),
    Column("source", String(16), nullable=False),
    Column("actor", String(256)),
    # Without it SQLite gives the place of a deleted last row to the next one.
    sqlite_autoincrement=True,
)

_FIGURES = tuple(f"{kind}_{label}" for kind in ("label", "score") for label in LABELS)


class DatabaseFeedbackStore:
    """Implements `FeedbackStore` and `JudgedSource`.

    Args:
        url: `sqlite:///folder/file.db`, or `postgresql://user:password@host/database`.

    Raises:
        ConfigurationError: the address can't be used, or the SQLite file can't be written. A PostgreSQL
            that doesn't answer is no reason not to start: corrections wait, scoring doesn't.
    """

    def __init__(self, url: str) -> None:
        self._url = _parse(url)
        self._engine = _engine(self._url)
        self._prepared = False
        self._preparing = Lock()
        if self._url.get_backend_name() == _SQLITE:
            self._open_file(Path(self._url.database or ""))

    def add(self, feedback: Feedback) -> bool:
        """Keep a correction; see `FeedbackStore.add`."""
        with self._connection() as connection:
            try:
                with connection.begin_nested():
                    connection.execute(insert(_table).values(_row(feedback)))
            except IntegrityError:
                row = connection.execute(select(_table).where(_table.c.id == feedback.id)).mappings().first()
                if row is not None and feedback.repeats(_feedback(row)):
                    return False
                raise FeedbackConflictError(
                    f"The id {feedback.id!r} is that of another correction; send a new one, or delete that."
                ) from None
        return True

    def delete(self, feedback_id: str) -> None:
        """Remove a correction; see `FeedbackStore.delete`."""
        with self._connection() as connection:
            removed = connection.execute(delete(_table).where(_table.c.id == feedback_id)).rowcount
        if not removed:
            raise UnknownFeedbackError(f"There is no correction {feedback_id!r}.")

    def page(self, *, after: int, limit: int) -> Sequence[tuple[int, Feedback]]:
        """Return corrections in order; see `FeedbackStore.page`."""
        query = select(_table).where(_table.c.place > after).order_by(_table.c.place).limit(limit)
        with self._connection() as connection:
            return [(row["place"], _feedback(row)) for row in connection.execute(query).mappings()]

    def judged(self, *, limit: int) -> Sequence[Judged]:
        """Return the latest corrections with scores, without texts; see `JudgedSource.judged`."""
        columns = [_table.c[name] for name in ("place", "language", "model_version", *_FIGURES)]
        scored = or_(*(_table.c[f"score_{label}"].is_not(None) for label in LABELS))
        query = select(*columns).where(_table.c.model_version.is_not(None), scored)
        with self._connection() as connection:
            rows = connection.execute(query.order_by(_table.c.place.desc()).limit(limit)).mappings()
            return [
                Judged(row["model_version"], row["language"], _named(row, "label"), _named(row, "score"))
                for row in rows
            ]

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _open_file(self, file: Path) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._prepare()
        except (SQLAlchemyError, OSError) as error:
            raise ConfigurationError(
                f"The feedback file {file} can't be written: {_reason(error)}. Set INFERENCE_STATE_DIR to a "
                "folder that can, or INFERENCE_FEEDBACK_URL to another file or a PostgreSQL."
            ) from error

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            self._prepare()
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise FeedbackUnavailableError(
                f"Feedback can't be kept or read now: {_reason(error)}."
            ) from error

    def _prepare(self) -> None:
        with self._preparing:
            if self._prepared:
                return
            with self._engine.begin() as connection:
                if self._url.get_backend_name() != _SQLITE:
                    # Replicas that start together would both find no table, and one would fail to make it.
                    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
                _metadata.create_all(connection)
            self._prepared = True


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        driver = _DRIVERS[parsed.get_backend_name()]
    except (ArgumentError, KeyError) as error:
        raise ConfigurationError(
            "INFERENCE_FEEDBACK_URL must be sqlite:///folder/file.db or "
            "postgresql://user:password@host/database."
        ) from error
    if driver == _SQLITE and not parsed.database:
        raise ConfigurationError("INFERENCE_FEEDBACK_URL names no file; say sqlite:///folder/file.db.")
    return parsed.set(drivername=driver)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != _SQLITE:
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": _BUSY_SECONDS})
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # SQLAlchemy hands over what the driver made
    cursor.execute("PRAGMA journal_mode=WAL")
    # With a write-ahead log, the default would lose the last corrections to a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    # What is deleted is overwritten, and not only forgotten.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _reason(error: Exception) -> str:
    """Return the driver's words: SQLAlchemy's own repeat the statement with its values, texts included."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]


def _row(feedback: Feedback) -> dict[str, object]:
    return {
        "id": feedback.id,
        "text": feedback.text,
        "language": feedback.language,
        **{f"label_{label}": feedback.labels.get(label) for label in LABELS},
        **{f"score_{label}": feedback.scores.get(label) for label in LABELS},
        "created_at": feedback.created_at,
        "model_version": feedback.model_version,
        "source": feedback.source.value,
        "actor": feedback.actor,
    }


def _feedback(row: RowMapping) -> Feedback:
    return Feedback(
        id=row["id"],
        text=row["text"],
        language=row["language"],
        labels=_named(row, "label"),
        scores=_named(row, "score"),
        created_at=_aware(row["created_at"]),
        model_version=row["model_version"],
        source=FeedbackSource(row["source"]),
        actor=row["actor"],
    )


def _named(row: RowMapping, kind: str) -> Mapping[LabelName, Any]:
    return {label: row[f"{kind}_{label}"] for label in LABELS if row[f"{kind}_{label}"] is not None}


def _aware(moment: datetime) -> datetime:
    """Return a moment with its zone, which SQLite drops: all are written in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
