"""Doors: the HTTP protocols that the service speaks, each declared as one object.

A `Door` lists its operations, the shape of its errors and the paths that belong to it. Admission control,
API keys, error bodies, metric labels, the OpenAPI document and `docs/doors.md` derive from these objects.

Invariant: an operation requires an API key unless its declaration says that it is open.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import IntEnum
from http import HTTPStatus
from operator import attrgetter

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from toxic_inference.http.backend import Backend, Limits
from toxic_inference.http.errors import Problem

JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"
NDJSON_TYPE = "application/x-ndjson"
SYNONYMS = {
    **dict.fromkeys(
        (
            "application/csv",
            "application/vnd.ms-excel",  # what Windows calls a CSV file where Excel is installed
            "text/comma-separated-values",
            "application/x-csv",
            "text/tab-separated-values",
            "text/tsv",
            "text/x-csv",
            # The format of a table is found in its bytes.
            "application/gzip",
            "application/vnd.apache.parquet",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/x-gzip",
            "application/x-zip-compressed",
            "application/zip",
        ),
        CSV_TYPE,
    ),
    **dict.fromkeys(
        (
            "application/jsonl",
            "application/jsonlines",
            "application/ndjson",
            "application/x-jsonl",
            "application/x-jsonlines",
        ),
        NDJSON_TYPE,
    ),
    "text/json": JSON_TYPE,
}
"""Media types that clients send for one that the doors read."""
FILE_TYPES = frozenset({"multipart/form-data", CSV_TYPE, NDJSON_TYPE})
"""Media types of bodies that are files, for operations that read files."""


def media_type_of(scope: Scope) -> str:
    """Return the body's media type in lower case, without parameters; a synonym's is what it means."""
    given = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    found = given.decode("latin-1").partition(";")[0].strip().lower()
    return SYNONYMS.get(found, found)


Handler = Callable[[Request, Backend], Awaitable[Response]]
Content = type[BaseModel] | str | Mapping[str, object]
"""A documented body: a model with an example in the `examples.json` of its package, or an example alone."""
Contents = type[BaseModel] | Mapping[str, Content]
"""Documented bodies by media type; a model alone is JSON."""


class Access(IntEnum):
    """Who may call an operation, from the most open to the strictest."""

    OPEN = 0
    """Anyone."""
    CLIENT = 1
    """Callers with an API key, if the service has keys."""
    OPERATOR = 2
    """Callers with an operator's key; without keys, callers from this machine only."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        method: HTTP method.
        path: Starlette's path template, such as `/jobs/{job_id}`.
        handler: answers a request; its docstring is the summary and description in the OpenAPI document.
        body: the request's body.
        query: descriptions of the query parameters.
        answers: bodies of the successful answers, by status; None for an empty one.
        errors: meaning of the expected error statuses; their bodies have the door's error shape.
        access: who may call it.
        files: whether it reads bodies of `FILE_TYPES` as files, which may be large and wait for capacity.
        body_bytes: largest body; None for the service's limit.
        scores: whether it scores texts: admission control and the latency objective apply.
        changes_state: whether it stores or deletes something: pages of other origins may not call it.
        probe: whether health checks and scrapes call it: under any host name, and logged at debug level only.
        slashes: whether its last parameter may contain slashes.
        documented: whether the OpenAPI document lists it.
    """

    method: str
    path: str
    handler: Handler
    _: KW_ONLY
    body: Contents | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[int, Contents | None] = field(default_factory=dict)
    errors: Mapping[int, str] = field(default_factory=dict)
    access: Access = Access.CLIENT
    files: bool = False
    body_bytes: int | None = None
    scores: bool = False
    changes_state: bool = False
    probe: bool = False
    slashes: bool = False
    documented: bool = True


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """How a protocol writes errors.

    Attributes:
        name: for the documentation.
        model: the body's schema, with an example.
        body: returns the JSON value for an error.
        status: returns the protocol's HTTP status for an error.
    """

    name: str
    model: type[BaseModel]
    body: Callable[[Problem], object]
    status: Callable[[Problem], int] = attrgetter("status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A protocol over HTTP.

    Attributes:
        name: value of the metric label `door`.
        title: the group in the OpenAPI document.
        clients: who uses it, for `docs/doors.md`.
        prefixes: path prefixes that belong to the door, also for paths without an operation.
        errors: the shape of its errors.
        operations: what it answers.
        strict_query: whether query parameters that an operation doesn't declare are errors.
    """

    name: str
    title: str
    clients: str
    prefixes: tuple[str, ...]
    errors: ErrorShape
    operations: tuple[Operation, ...]
    strict_query: bool = False


class Doors:
    """The registered doors, with what is derived from them for requests that are not routed yet.

    Args:
        registered: every door, in the order in which paths are matched.
        fallback: the error shape for paths that belong to no door.
    """

    def __init__(self, registered: Sequence[Door], *, fallback: ErrorShape) -> None:
        self.registered = tuple(registered)
        self._fallback = fallback
        by_prefix = [(prefix, door) for door in registered for prefix in door.prefixes]
        self._by_prefix = sorted(by_prefix, key=lambda item: len(item[0]), reverse=True)
        self._access: dict[str, dict[str, Access]] = {}
        self._changing: set[tuple[str, str | None]] = set()
        self.probes = frozenset(operation.path for operation in self.operations() if operation.probe)
        """Paths of health checks and scrapes."""
        parameterised: set[str] = set()
        for operation in self.operations():
            literal, brace, _ = operation.path.partition("{")
            methods = self._access.setdefault(literal + brace, {})
            # Operations that can't be told apart before routing get the strictest access of them.
            methods[operation.method] = max(operation.access, methods.get(operation.method, Access.OPEN))
            if operation.changes_state:
                self._changing.add((operation.method, literal + brace))
            if brace:
                parameterised.add(literal)
        self._parameterised = sorted(parameterised, key=len, reverse=True)
        self.scoring_prefixes = tuple(
            operation.path.partition("{")[0] for operation in self.operations() if operation.scores
        )
        """Literal beginnings of the paths that score texts."""
        self._bounded = {
            operation.path: operation
            for operation in self.operations()
            if operation.files or operation.body_bytes
        }

    def operations(self) -> Iterator[Operation]:
        """Yield the operations of all doors."""
        for door in self.registered:
            yield from door.operations

    def of(self, path: str) -> Door | None:
        """Return the door that a path belongs to, or None."""
        return next((door for prefix, door in self._by_prefix if path.startswith(prefix)), None)

    def reads_file(self, scope: Scope) -> bool:
        """Return whether a request's body is read as a file, by its route and then its media type."""
        operation = self._bounded.get(scope["path"])
        return operation is not None and operation.files and media_type_of(scope) in FILE_TYPES

    def body_limit(self, scope: Scope, limits: Limits) -> int:
        """Return the size in bytes of the largest body that a request may have."""
        if self.reads_file(scope):
            return limits.upload_bytes
        operation = self._bounded.get(scope["path"])
        return (operation and operation.body_bytes) or limits.body_bytes

    def access(self, method: str, path: str) -> Access:
        """Return who may call a method of a path; a method that isn't declared is as strict as any other."""
        declared = self._declared(path)
        if declared is None:
            return Access.CLIENT
        methods = self._access[declared]
        found = methods.get(method)
        return max(methods.values()) if found is None else found

    def changes_state(self, method: str, path: str) -> bool:
        """Return whether a method of a path stores or deletes something."""
        return (method, self._declared(path)) in self._changing

    def _declared(self, path: str) -> str | None:
        """Return the literal beginning of the declared path that a path belongs to, or None."""
        if path in self._access:
            return path
        return next((f"{each}{{" for each in self._parameterised if path.startswith(each)), None)

    def render(self, problem: Problem, *, path: str) -> Response:
        """Return an error in the shape of the door that `path` belongs to."""
        door = self.of(path)
        shape = self._fallback if door is None else door.errors
        status, headers = shape.status(problem), dict(problem.headers or {})
        if status != HTTPStatus.UNAUTHORIZED:
            headers.pop("WWW-Authenticate", None)
        return Response(
            orjson.dumps(shape.body(problem)), status_code=status, media_type=JSON_TYPE, headers=headers
        )


def json_response(
    answer: BaseModel, status: HTTPStatus = HTTPStatus.OK, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a model as a JSON answer, without members that are None."""
    body = answer.model_dump_json(by_alias=True, exclude_none=True)
    return Response(body, status_code=status, media_type=JSON_TYPE, headers=headers)
