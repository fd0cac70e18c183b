"""The registry's own read-only routes: `/ledger`, `/ledger/approved`, `/health`, `/metrics`."""

from html import escape
from http import HTTPStatus
from importlib.resources import files
from string import Template
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from toxic_registry.ledger.entries import ENTRY, Entry
from toxic_registry.ledger.head import HeadFile
from toxic_registry.server.database import DatabaseProbe
from toxic_registry.server.gated_store import GatedStore
from toxic_registry.server.metrics import CONTENT_TYPE, Metrics

_PAGE_SIZE = 1000
_LAST = 2**31 - 1
"""The largest number of a row that every database takes."""
_COLUMNS = ("sequence", "time", "actor", "model", "alias", "from", "to", "outcome", "reason")
_PAGE = Template((files("toxic_registry.server") / "ledger.html").read_text(encoding="utf-8"))


def make_router(store: GatedStore, metrics: Metrics, head: HeadFile) -> APIRouter:
    """Return the routes, which read from the arguments."""
    router = APIRouter()
    database = DatabaseProbe(store.engine)

    @router.get("/ledger")
    def ledger(
        after: Annotated[int, Query(ge=0, le=_LAST)] = 0,
        limit: Annotated[int, Query(ge=1, le=_PAGE_SIZE)] = _PAGE_SIZE,
        accept: Annotated[str, Header()] = "",
    ) -> Response:
        """Return entries of the ledger, the oldest first: as HTML to a browser, else as JSON."""
        anchor = head.head  # before the entries, which may become more meanwhile
        entries, aliases = store.ledger_page(after=after, limit=limit)
        following = entries[-1].sequence if len(entries) == limit else None
        if "text/html" in accept:
            return HTMLResponse(_html(entries, following))
        content = {
            "rows": [ENTRY.dump_python(entry, by_alias=True) for entry in entries],
            "next": following,
            "head": anchor and anchor.model_dump(),
            "key": head.key,
            "aliases": [
                {"model": model, "alias": alias, "version": version}
                for (model, alias), version in sorted(aliases.items())
            ],
        }
        return JSONResponse(content)

    @router.get("/ledger/approved")
    def approved(model: Annotated[str, Query(pattern=r"^[^\x00]*$")]) -> Response:
        """Return the version and the digest that the ledger approves, per alias; and digests per version."""
        entries, digests = store.approvals(model)
        aliases = [
            {"alias": e.alias, "version": e.after, "digest": e.evidence_digest, "outcome": e.outcome}
            for e in entries
        ]
        versions = [{"version": version, "digest": digest} for version, digest in digests.items()]
        return JSONResponse({"aliases": aliases, "versions": versions})

    @router.get("/health")
    def live() -> Response:
        """Return 200 while the process answers, so that a restart doesn't follow from a lost database."""
        return PlainTextResponse(database.fault() or "OK")

    @router.get("/health/ready")
    def ready() -> Response:
        """Return 200 if the database answers too; else 503 with the reason."""
        fault = database.fault()
        return PlainTextResponse(fault or "OK", HTTPStatus.SERVICE_UNAVAILABLE if fault else HTTPStatus.OK)

    @router.get("/metrics")
    def read_metrics() -> Response:
        """Return the metrics in Prometheus's text format."""
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return router


def _html(entries: tuple[Entry, ...], following: int | None) -> str:
    rows = []
    for entry in reversed(entries):
        record = ENTRY.dump_python(entry, by_alias=True)
        values = ("–" if record[column] is None else escape(str(record[column])) for column in _COLUMNS)
        cells = "".join(f"<td>{value}</td>" for value in values)
        rows.append(f'<tr class="{entry.outcome.value}">{cells}</tr>')
    return _PAGE.substitute(
        head="".join(f"<th>{column}</th>" for column in _COLUMNS),
        rows="\n".join(rows),
        more="" if following is None else f'<p><a href="?after={following}">Later entries</a></p>',
    )
