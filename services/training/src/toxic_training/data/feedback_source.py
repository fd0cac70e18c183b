"""Where corrections come from: the inference service's export, its database, or a downloaded file.

The service also counts its traffic, which no other place does.

Invariant: corrections are yielded one by one, in the order in which they were filed; memory doesn't grow with
their number.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import requests
import sqlalchemy as sql
from pydantic import ValidationError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from toxic_core.contract.reference import RecentTraffic
from toxic_core.errors import ConfigurationError, MissingDataError
from toxic_core.tables import open_table, text_column
from toxic_training.data.comments import LABEL_COLUMNS

logger = logging.getLogger(__name__)

URL_VARIABLE = "TRAINING_FEEDBACK_URL"
"""Environment variable: the inference service's address, or its database's, `INFERENCE_FEEDBACK_URL`."""

KEY_VARIABLE = "TRAINING_FEEDBACK_KEY"
"""Environment variable: an operator's API key of the inference service."""

FILE_ACTOR = "feedback.csv"
"""The actor of corrections in a downloaded export that names no callers."""

EARLIER_ACTOR = "unknown"
"""The actor of corrections that were filed before the service stored callers."""

SOURCES = frozenset({"native", "page", "perspective", "review", "unknown"})
"""The service's doors for corrections. Others are `other`, since sources name figures and tags."""

_ADDRESSES = (
    f"{URL_VARIABLE} must be the address of the inference service, such as http://127.0.0.1:8001, or of "
    "its database, such as sqlite:///var/state/feedback.db or postgresql://user:password@host/database."
)
_SERVICE = frozenset({"http", "https"})
_ATTEMPTS = 3
_TIMEOUT_SECONDS = 60
_PAGE_ROWS = 1_000
_LABEL_VALUES = {"0": False, "1": True}


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction.

    Attributes:
        place: its position; later ones are larger.
        text: None if its sender didn't consent to its storage.
        labels: judgements of the labels that models are trained on; one that is missing wasn't judged.
        source: the door that it came through.
        actor: the API key or the peer that sent it, as the service names it; never a name that a caller
            gives.
    """

    place: int
    id: str
    text: str | None
    language: str
    labels: Mapping[str, bool]
    source: str
    actor: str


def read_corrections(url: str, key: str = "") -> Iterator[Correction]:
    """Yield every correction that a service or a database holds now.

    Raises:
        ConfigurationError: the address can't be used, or the key isn't an operator's.
        MissingDataError: it can't be reached.
    """
    scheme = _scheme(url)
    if scheme in _SERVICE:
        return _from_service(url, key)
    if scheme in {"sqlite", "postgres", "postgresql"}:
        return _from_database(url)
    raise ConfigurationError(_ADDRESSES)


def read_traffic(url: str, key: str = "") -> RecentTraffic | None:
    """Return what the service's champion saw lately, as counts; None if that can't be known, which is logged.

    A database doesn't count the traffic.
    """
    if _scheme(url) not in _SERVICE:
        return None
    try:
        answer = requests.get(
            f"{url.rstrip('/')}/traffic", headers=_authorization(key), timeout=_TIMEOUT_SECONDS
        )
        answer.raise_for_status()
        if answer.status_code == HTTPStatus.NO_CONTENT:
            logger.info("%s has scored too few texts lately to describe its traffic", url)
            return None
        return RecentTraffic.model_validate_json(answer.content)
    except (requests.RequestException, ValidationError) as error:
        logger.warning("The traffic of %s is unknown: %s", url, type(error).__name__)
        return None


def read_file(path: Path) -> Iterator[Correction]:
    """Yield the corrections of a downloaded export; rows that can't be read are left out."""
    with path.open("rb") as stream:
        table = open_table(stream)
        text = table.header[text_column(table.header)]
        for place, row in enumerate(table.rows(), start=1):
            if row.problem is None:
                cells = dict(zip(table.header, row.cells, strict=True))
                facts = {"caller": cells.get("caller") or FILE_ACTOR, "text": cells[text] or None}
                yield _correction({**cells, **facts, "place": place})


def _from_service(url: str, key: str) -> Iterator[Correction]:
    """Read the export; one that breaks off continues after the last correction that arrived."""
    after, attempt = 0, 0
    while True:
        try:
            with requests.get(
                f"{url.rstrip('/')}/feedback?format=ndjson&after={after}",
                headers=_authorization(key),
                stream=True,
                timeout=_TIMEOUT_SECONDS,
            ) as answer:
                if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                    raise ConfigurationError(
                        f"{url} refuses the key: set {KEY_VARIABLE} to an operator's API key."
                    )
                if not answer.ok:
                    raise MissingDataError(
                        f"Corrections can't be read from {url}: HTTP {answer.status_code}."
                    )
                # Raises if the answer was cut off, and then doesn't yield the half line.
                for line in answer.iter_lines():
                    correction = _correction(json.loads(line))
                    after, attempt = correction.place, 0
                    yield correction
                return
        except (requests.RequestException, ValueError) as error:
            attempt += 1
            if attempt == _ATTEMPTS:
                raise MissingDataError(
                    f"Corrections can't be read from {url}: {error}. Check {URL_VARIABLE}."
                ) from error


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _authorization(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def _from_database(url: str) -> Iterator[Correction]:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(_ADDRESSES) from error
    if not parsed.drivername.startswith("sqlite"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    elif not Path(parsed.database or "").is_file():
        # SQLite would make an empty one.
        raise MissingDataError(f"There is no database {parsed.database}. Check {URL_VARIABLE}.")
    engine, found = sql.create_engine(parsed), sql.MetaData()
    try:
        if not _has_corrections(engine):
            return
        facts = sql.Table("correction", found, autoload_with=engine)
        judged = sql.Table("correction_label", found, autoload_with=engine)
        after = 0
        with engine.connect() as connection:
            while True:
                page = (
                    sql.select(facts).where(facts.c.place > after).order_by(facts.c.place).limit(_PAGE_ROWS)
                )
                rows = connection.execute(page).mappings().all()
                if not rows:
                    return
                places = facts.c.place.between(rows[0]["place"], rows[-1]["place"])
                labels: dict[str, dict[str, object]] = defaultdict(dict)
                values = sql.select(judged.c.id, judged.c.label, judged.c.value).join_from(
                    judged, facts, judged.c.id == facts.c.id
                )
                for identity, label, value in connection.execute(values.where(places)):
                    labels[identity][label] = value
                for row in rows:
                    yield _correction({**row, **labels[row["id"]]})
                after = rows[-1]["place"]
    except SQLAlchemyError as error:
        # SQLAlchemy's own message repeats the address, with its password.
        reason = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
        raise MissingDataError(
            f"Corrections can't be read from the database: {reason}. Check {URL_VARIABLE}."
        ) from error
    finally:
        engine.dispose()


def _has_corrections(engine: sql.Engine) -> bool:
    tables = set(sql.inspect(engine).get_table_names())
    if "correction" not in tables and "feedback" in tables:
        raise MissingDataError(
            "The corrections in the database are in the form of release 0.1. Start this release's inference "
            f"service once with the database of {URL_VARIABLE}: it migrates them."
        )
    return "correction" in tables


def _correction(row: Mapping[str, object]) -> Correction:
    labels = {}
    for label in LABEL_COLUMNS:
        value = row.get(label)
        said = value if isinstance(value, bool) else _LABEL_VALUES.get(str(value).strip())
        if said is not None:
            labels[label] = said
    place, text, caller = row.get("place"), row.get("text"), row.get("caller")
    source = str(row.get("source") or "unknown")
    return Correction(
        place=place if isinstance(place, int) else 0,
        id=str(row.get("id") or ""),
        text=text if isinstance(text, str) and text else None,
        language=str(row.get("language") or ""),
        labels=labels,
        source=source if source in SOURCES else "other",
        actor=EARLIER_ACTOR if caller is None else str(caller) or "unnamed",
    )
