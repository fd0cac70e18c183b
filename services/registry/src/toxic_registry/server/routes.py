"""The registry's own routes beside MLflow's: the ledger and the metrics.

Invariant: they only read.
"""

from html import escape
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response

from toxic_registry.gate.rules import Aliases
from toxic_registry.ledger.rows import Entry, as_record
from toxic_registry.server.metrics import CONTENT_TYPE, Metrics
from toxic_registry.server.store import GatedStore

_PAGE_ROWS = 1000
_COLUMNS = ("sequence", "time", "actor", "model", "alias", "from", "to", "outcome", "reason")


def make_router(store: GatedStore, metrics: Metrics) -> APIRouter:
    """Return the routes, which answer from `store` and `metrics`."""
    router = APIRouter()

    @router.get("/ledger")
    def ledger(
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=_PAGE_ROWS)] = _PAGE_ROWS,
        accept: Annotated[str, Header()] = "",
    ) -> Response:
        """Give rows of the ledger, the oldest first: as a page to a browser, else as JSON."""
        entries, aliases = store.ledger_page(after=after, limit=limit)
        if "text/html" in accept:
            return HTMLResponse(_page(entries, full=len(entries) == limit))
        return JSONResponse(_answer(entries, aliases, full=len(entries) == limit))

    @router.get("/metrics")
    def read_metrics() -> Response:
        """Give the metrics in Prometheus's text form."""
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return router


def _answer(entries: tuple[Entry, ...], aliases: Aliases, *, full: bool) -> dict[str, object]:
    return {
        "rows": [as_record(entry) for entry in entries],
        "next": entries[-1].sequence if full else None,
        "aliases": [
            {"model": model, "alias": alias, "version": version}
            for (model, alias), version in sorted(aliases.items())
        ],
    }


def _page(entries: tuple[Entry, ...], *, full: bool) -> str:
    head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    rows = "\n".join(_table_row(entry) for entry in reversed(entries))
    more = f'<p><a href="?after={entries[-1].sequence}">Later rows</a></p>' if full else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Ledger</title><style>
:root {{ color-scheme: light dark }} body {{ font: 14px/1.5 system-ui, sans-serif; margin: 2rem }}
table {{ border-collapse: collapse }} th, td {{ text-align: left; padding: .2rem .8rem; vertical-align: top;
border-bottom: 1px solid #8884 }} .refused td {{ color: #c33 }} .overridden td {{ color: #b70 }}
</style></head><body><h1>Ledger of alias changes</h1>
<p>The newest first. <code>toxic-registry verify</code> checks the chain of hashes.</p>
<table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table>{more}</body></html>
"""


def _table_row(entry: Entry) -> str:
    record = as_record(entry)
    cells = (record[column] for column in _COLUMNS)
    shown = "".join(f"<td>{'–' if cell is None else escape(str(cell))}</td>" for cell in cells)
    return f'<tr class="{entry.change.outcome.value}">{shown}</tr>'
