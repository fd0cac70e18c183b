import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from toxic_core.errors import ConfigurationError
from toxic_core.labels import Label
from toxic_inference.corrections.record import (
    Feedback,
    FeedbackConflictError,
    FeedbackSource,
    FeedbackUnavailableError,
    Judged,
    UnknownFeedbackError,
)
from toxic_inference.corrections.store import OVERHEAD_BYTES, DatabaseFeedbackStore
from toxic_inference.corrections.tables import digest_of

FEEDBACK = Feedback(
    id="1",
    text="you are kind 😀",
    language="en",
    labels={Label.TOXIC: False, Label.THREAT: True},
    scores={Label.TOXIC: 0.123456789},
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    model_version="3",
    source=FeedbackSource.NATIVE,
    actor="moderator",
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A file that isn't there yet."""
    return f"sqlite:///{tmp_path}/feedback.db"


@pytest.fixture
def store(url: str) -> Iterator[DatabaseFeedbackStore]:
    """A store on it."""
    store = DatabaseFeedbackStore(url)
    yield store
    store.close()


def test_what_comes_back_is_what_went_in(store: DatabaseFeedbackStore, url: str) -> None:
    """Through another process's eyes too."""
    assert store.add(FEEDBACK) == {}
    other = DatabaseFeedbackStore(url)
    assert [feedback for _, feedback in other.page(after=0, limit=5)] == [FEEDBACK]
    other.close()


def test_a_repetition_changes_nothing(store: DatabaseFeedbackStore) -> None:
    """Even at another time; another content is a conflict."""
    store.add(FEEDBACK)
    assert store.add(replace(FEEDBACK, created_at=datetime(2027, 1, 1, tzinfo=UTC))) is None
    with pytest.raises(FeedbackConflictError, match="'1'"):
        store.add(replace(FEEDBACK, text=None))
    assert len(store.page(after=0, limit=5)) == 1


def test_a_correction_can_replace_another_one(store: DatabaseFeedbackStore) -> None:
    """Also if many replace it at once: one is left, with all of its labels."""
    store.add(FEEDBACK)
    assert store.add(FEEDBACK, replace=True) is None
    others = [replace(FEEDBACK, text=f"text {number}") for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: store.add(each, replace=True), others))
    ((_, kept),) = store.page(after=0, limit=5)
    assert kept in others


def test_any_label_is_kept(store: DatabaseFeedbackStore) -> None:
    """A label that only one version has is stored, read back and listed like the others."""
    feedback = replace(FEEDBACK, labels={"spam": True, Label.TOXIC: False}, scores={"off_topic": 0.5})
    assert store.labels() == frozenset()
    store.add(feedback)
    ((_, found),) = store.page(after=0, limit=5)
    assert found == feedback
    assert store.labels() == {"spam", "toxic"}


OLD_LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def make_old_database(file: Path, *, without: str | None = None) -> None:
    """Write a database as releases up to 0.1 made it, with two corrections and a deleted one before them."""
    figures = [f"label_{label} BOOLEAN" for label in OLD_LABELS]
    figures += [f"score_{label} FLOAT" for label in OLD_LABELS]
    columns = ", ".join(column for column in figures if not without or without not in column)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "CREATE TABLE feedback (place INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "
            "id VARCHAR(128) NOT NULL UNIQUE, text TEXT, language VARCHAR(16), "
            f"{columns}, created_at DATETIME NOT NULL, model_version VARCHAR(250), "
            "source VARCHAR(16) NOT NULL, actor VARCHAR(256))"
        )
        connection.executemany(
            "INSERT INTO feedback (place, id, text, language, label_toxic, label_threat, score_toxic, "
            "created_at, model_version, source, actor) VALUES (?, ?, ?, 'en', 0, 1, 0.123456789, "
            "'2026-01-02 03:04:05.000678', '3', 'native', 'moderator')",
            [(7, "1", "you are kind 😀"), (9, "2", None)],
        )


def test_an_old_database_is_migrated(url: str, tmp_path: Path) -> None:
    """Corrections of a table with columns per label are all there, in order; later ones come after them."""
    make_old_database(tmp_path / "feedback.db")
    store = DatabaseFeedbackStore(url)
    assert [feedback for _, feedback in store.page(after=0, limit=5)] == [
        FEEDBACK, replace(FEEDBACK, id="2", text=None),
    ]  # fmt: skip
    assert store.add(FEEDBACK) is None
    assert store.add(replace(FEEDBACK, id="3")) == {}
    assert [feedback.id for _, feedback in store.page(after=0, limit=5)] == ["1", "2", "3"]
    store.close()
    with closing(sqlite3.connect(tmp_path / "feedback.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "feedback" not in tables


def test_an_old_table_that_comes_back_is_migrated_too(url: str, tmp_path: Path) -> None:
    """A replica of the older release may still write: the next start moves its corrections, once each."""
    store = DatabaseFeedbackStore(url)
    store.add(replace(FEEDBACK, actor="another"))
    store.close()
    make_old_database(tmp_path / "feedback.db")
    store = DatabaseFeedbackStore(url)
    found = [feedback for _, feedback in store.page(after=0, limit=5)]
    assert [(feedback.id, feedback.actor) for feedback in found] == [("1", "another"), ("2", "moderator")]
    store.close()


def test_a_migration_that_fails_changes_nothing(url: str, tmp_path: Path) -> None:
    """It is one transaction: a table of another shape stops the start and stays as it is."""
    make_old_database(tmp_path / "feedback.db", without="insult")
    with pytest.raises(ConfigurationError, match="label_insult"):
        DatabaseFeedbackStore(url)
    with closing(sqlite3.connect(tmp_path / "feedback.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        rows = connection.execute("SELECT count(*) FROM feedback").fetchone()
    assert tables.isdisjoint({"correction", "correction_label"})
    assert rows == (2,)


def test_pages_go_on_where_the_last_ended(store: DatabaseFeedbackStore) -> None:
    """Past a deletion, and a place is never given twice."""
    for name in "abcd":
        store.add(replace(FEEDBACK, id=name))
    place, last = store.page(after=0, limit=2)[-1]
    assert last.id == "b"
    store.delete("d")
    store.add(replace(FEEDBACK, id="e"))
    assert [feedback.id for _, feedback in store.page(after=place, limit=9)] == ["c", "e"]
    assert store.page(after=place, limit=9)[-1][0] == 5


def test_deleting_leaves_nothing(store: DatabaseFeedbackStore, tmp_path: Path) -> None:
    """Not even the bytes in the file, once it is folded into one."""
    store.add(FEEDBACK)
    store.delete("1")
    with pytest.raises(UnknownFeedbackError):
        store.delete("1")
    store.close()
    with sqlite3.connect(tmp_path / "feedback.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert b"you are kind" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_every_change_returns_whose_space_it_frees(store: DatabaseFeedbackStore) -> None:
    """By the stored caller, so that what is added, less what is freed, is what is stored."""

    def sized(text: str | None) -> int:
        return OVERHEAD_BYTES + len(text or "")

    for name, caller, text in (
        ("1", "a", "long 😀"),
        ("2", "b", "long 😀"),
        ("3", "b", None),
        ("4", None, "x"),
    ):
        assert store.add(replace(FEEDBACK, id=name, caller=caller, text=text)) == {}
    assert store.sizes() == {"a": sized("long 😀"), "b": sized("long 😀") + sized(None), "": sized("x")}
    other = replace(FEEDBACK, id="1", caller="c", text="y")
    assert store.add(other, replace=True) == {"a": sized("long 😀")}
    assert store.add(replace(other, id="2"), replace=True) == {"b": sized("long 😀")}
    assert store.add(replace(other, id="2"), replace=True) is None
    assert store.sizes() == {"b": sized(None), "c": 2 * sized("y"), "": sized("x")}
    assert store.delete("4") == {"": sized("x")}
    assert store.forget(digest_of("y")) == {"c": 2 * sized("y")}
    assert store.sizes() == {"b": sized(None)}


def test_two_at_once_leave_one_row(store: DatabaseFeedbackStore) -> None:
    """The second request reports that it exists."""
    barrier = threading.Barrier(4)
    created: list[bool] = []

    def add() -> None:
        barrier.wait()
        created.append(store.add(FEEDBACK) is not None)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [False, False, False, True]


def test_sqlite_writes_ahead_and_waits_for_the_disk(store: DatabaseFeedbackStore, tmp_path: Path) -> None:
    """Readers don't block writers, and a power cut loses no acknowledged correction."""
    store.add(FEEDBACK)
    connection = sqlite3.connect(tmp_path / "feedback.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://host/db", "sqlite://", "sqlite:////proc/nowhere/feedback.db"]
)
def test_an_address_that_can_t_be_used_stops_the_start(url: str) -> None:
    """With the setting's name in the message."""
    with pytest.raises(ConfigurationError, match="INFERENCE_FEEDBACK_URL"):
        DatabaseFeedbackStore(url)


def test_a_postgresql_that_doesn_t_answer_is_found_later() -> None:
    """The service starts; a correction is refused without its text in the message."""
    store = DatabaseFeedbackStore("postgresql://nobody:secret@127.0.0.1:9/feedback")
    with pytest.raises(FeedbackUnavailableError) as caught:
        store.add(FEEDBACK)
    assert "kind" not in str(caught.value)
    assert "secret" not in str(caught.value)
    store.close()


def test_a_broken_file_is_unavailable(store: DatabaseFeedbackStore, tmp_path: Path) -> None:
    """The message has the driver's reason."""
    store.add(FEEDBACK)
    store.close()
    for path in tmp_path.iterdir():
        path.write_bytes(b"not a database" * 100)
    with pytest.raises(FeedbackUnavailableError, match="not a database"):
        store.page(after=0, limit=1)


def test_the_latest_scored_corrections_are_read_without_their_texts(store: DatabaseFeedbackStore) -> None:
    """Newest first, up to the limit; one without scores or a version is left out."""
    for number in range(4):
        store.add(replace(FEEDBACK, id=f"{number}", model_version=f"{number}"))
    store.add(replace(FEEDBACK, id="unscored", scores={}))
    store.add(replace(FEEDBACK, id="unnamed", model_version=None))
    found = store.judged(limit=3)
    assert [judged.version for judged in found] == ["3", "2", "1"]
    assert found[0] == Judged("3", "en", FEEDBACK.labels, FEEDBACK.scores)
