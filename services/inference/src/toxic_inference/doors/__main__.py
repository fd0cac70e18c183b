"""`python -m toxic_inference.doors`: write docs/doors.md, the table of doors, to standard output."""

import sys
from collections.abc import Sequence

from toxic_inference.doors.listing import DOORS, GRPC_DOORS
from toxic_inference.http.door import Access, Door

_HEAD = """# Doors

A door is a protocol that the service speaks. `make doors` writes this page from the declarations in
`services/inference/src/toxic_inference/doors`; `/docs` on the running service has every operation with its
messages.

- **Door** is the value of the metric label `door`.
- **Scores**: admission control and the latency objective apply to these routes.
- **No key**: these routes answer without an API key. **Operators**: with keys, these need an operator's.
- **Changes state**: pages of other origins can't call these routes, unless `INFERENCE_CORS_ORIGINS` lists
  them.

Doors with a name in `_grpc` are on the port `INFERENCE_GRPC_PORT`, with `grpc.health.v1.Health` and server
reflection, which need no key. There:

- A key is metadata: `authorization: Bearer KEY` or `x-api-key: KEY`.
- A text isn't computed if its call is cancelled, or its deadline passes, before that has begun.
- An error is a status of gRPC. In overload it is `RESOURCE_EXHAUSTED`, with the time to wait: as
  `google.rpc.RetryInfo` in `grpc-status-details-bin`, and as `grpc-retry-pushback-ms`. The metric label
  `status` has the HTTP status.
- The metadata `x-policy: NAME` names a policy; `do-not-store: true` keeps texts and scores from being stored.
- The trailing metadata `x-request-id`, `x-model-version`, `x-truncated-texts`, `x-low-confidence-texts`,
  `x-unevaluated-languages`, `x-policy` and `x-policy-decided-by` are HTTP's headers.

| Door | Paths | Used by | Errors | Scores | No key | Operators | Changes state |
|---|---|---|---|---|---|---|---|
"""


def table_of_doors(doors: Sequence[Door]) -> str:
    """Return the page."""
    rows: list[str] = []
    for door in doors:
        paths = [f"`{prefix}…`" if prefix.endswith("/") else f"`{prefix}`" for prefix in door.prefixes]
        by_access = {
            access: [
                f"`{operation.method} {operation.path}`"
                for operation in door.operations
                if operation.access is access
            ]
            for access in Access
        }
        scoring = [
            f"`{operation.method} {operation.path}`" for operation in door.operations if operation.scores
        ]
        changing = [
            f"`{operation.method} {operation.path}`"
            for operation in door.operations
            if operation.changes_state
        ]
        cells = (
            f"`{door.name}`",
            ", ".join(paths),
            door.clients,
            door.errors.name,
            "<br>".join(scoring),
            "<br>".join(by_access[Access.OPEN]),
            "<br>".join(by_access[Access.OPERATOR]),
            "<br>".join(changing),
        )
        rows.append(f"| {' | '.join(cells)} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table_of_doors((*DOORS, *GRPC_DOORS)))
