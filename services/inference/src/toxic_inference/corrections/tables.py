"""The tables of corrections and of their review, for SQLite and PostgreSQL.

Invariant: an opinion has an item; both are removed together.
"""

from hashlib import sha256
from typing import Final

import sqlalchemy as sql

SQLITE: Final = "sqlite"

metadata = sql.MetaData()

_GROWING = sql.BigInteger().with_variant(sql.Integer, SQLITE)

corrections = sql.Table(
    "correction",
    metadata,
    sql.Column("place", _GROWING, primary_key=True, autoincrement=True),
    sql.Column("id", sql.String(128), nullable=False, unique=True),
    sql.Column("text", sql.Text),
    sql.Column("language", sql.String(16)),
    sql.Column("created_at", sql.DateTime(timezone=True), nullable=False),
    sql.Column("model_version", sql.String(250)),
    sql.Column("source", sql.String(16), nullable=False),
    sql.Column("actor", sql.String(256)),
    sql.Column("caller", sql.String(256)),
    sql.Column("digest", sql.String(64)),
    # Without it SQLite gives the place of a deleted last row to the next one.
    sqlite_autoincrement=True,
)
correction_digests = sql.Index("correction_digest", corrections.c.digest)
unnamed = corrections.c.digest.is_(None) & corrections.c.text.is_not(None)
"""Which corrections have a text without its digest: those of an older release, at first."""
unnamed_corrections = sql.Index(
    "correction_unnamed", corrections.c.place, sqlite_where=unnamed, postgresql_where=unnamed
)
label_rows = sql.Table(
    "correction_label",
    metadata,
    sql.Column("id", sql.String(128), sql.ForeignKey(corrections.c.id), primary_key=True),
    sql.Column("label", sql.String(64), primary_key=True),
    sql.Column("value", sql.Boolean),
    sql.Column("score", sql.Float),
)
secret_row = sql.Table("correction_secret", metadata, sql.Column("key", sql.LargeBinary, nullable=False))

review_items = sql.Table(
    "review_item",
    metadata,
    sql.Column("place", _GROWING, primary_key=True, autoincrement=True),
    sql.Column("digest", sql.String(64), nullable=False, unique=True),
    # None once it is decided: the text is part of the corrections then.
    sql.Column("text", sql.Text),
    sql.Column("language", sql.String(16)),
    sql.Column("created_at", sql.DateTime(timezone=True), nullable=False),
    sql.Column("model_version", sql.String(250)),
    sql.Column("reason", sql.String(16), nullable=False),
    sql.Column("priority", sql.Integer, nullable=False),
    sql.Column("labels", sql.JSON, nullable=False),
    sql.Index("review_item_order", "priority", "place"),
    sqlite_autoincrement=True,
)
"""Texts to review, the most urgent first; `labels` has the score and decision per label, or None."""
review_opinions = sql.Table(
    "review_opinion",
    metadata,
    sql.Column("item", _GROWING, sql.ForeignKey(review_items.c.place), primary_key=True),
    sql.Column("reviewer", sql.String(512), primary_key=True),
    sql.Column("caller", sql.String(256), nullable=False),
    sql.Column("created_at", sql.DateTime(timezone=True), nullable=False),
    sql.Column("labels", sql.JSON, nullable=False),
)


def storable(text: str) -> str:
    """Return a caller's text as both databases can hold it: PostgreSQL's have every character except NUL."""
    return text.replace("\0", "\ufffd")


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8, in hexadecimal: the name of a text."""
    return sha256(text.encode("utf-8", errors="replace")).hexdigest()


def drop_items(connection: sql.Connection, which: sql.ColumnElement[bool]) -> int:
    """Remove texts from the review with their opinions; return how many there were."""
    # Locks the texts, so that no opinion comes between the two removals.
    connection.execute(sql.update(review_items).where(which).values(digest=review_items.c.digest))
    places = sql.select(review_items.c.place).where(which)
    connection.execute(sql.delete(review_opinions).where(review_opinions.c.item.in_(places)))
    return connection.execute(sql.delete(review_items).where(review_items.c.place.in_(places))).rowcount
