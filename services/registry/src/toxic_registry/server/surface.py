"""Which routes of MLflow's server answer: those that training, promoting and the page need.

MLflow also routes an assistant that runs programs, a gateway, jobs, webhooks, MCP servers, traces and more;
no one here needs them, and each can be attacked. The check is in MLflow's own routing, so no spelling of a
path gets around it.

Invariant: a route that isn't listed is off, also one that a later MLflow adds. Readers reach only `READS`. A
handler of MLflow gets only what fits its route's message: its own checks fail at wrong types, with a 500.
"""

import json
import re
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

import structlog
from fastapi import FastAPI
from flask import Flask, Response, jsonify, request
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.routing import BaseRoute, Mount

from toxic_registry.caller import Role
from toxic_registry.server.middleware import current_caller, fits

_log = structlog.stdlib.get_logger(__name__)

_ARTIFACTS = "/2.0/mlflow-artifacts"
_MLFLOW = "/2.0/mlflow"

READS = frozenset(
    {
        "GET /", "GET /build/{}", "GET /static-files/{}", "GET /health", "GET /version", "POST /graphql",
        "GET /get-artifact", "GET /model-versions/get-artifact", "GET /3.0/mlflow/server-info",
        "GET /3.0/mlflow/ui-telemetry", "POST /3.0/mlflow/traces/search",
        f"GET {_ARTIFACTS}/artifacts", f"GET {_ARTIFACTS}/artifacts/{{}}", f"GET {_ARTIFACTS}/presigned/{{}}",
        f"GET {_MLFLOW}/artifacts/list", f"POST {_MLFLOW}/artifacts/presigned-download-url",
        f"GET {_MLFLOW}/experiments/get", f"GET {_MLFLOW}/experiments/get-by-name",
        f"GET {_MLFLOW}/experiments/search", f"POST {_MLFLOW}/experiments/search",
        f"POST {_MLFLOW}/experiments/search-datasets",
        f"GET {_MLFLOW}/logged-models/{{}}", f"POST {_MLFLOW}/logged-models/search",
        f"GET {_MLFLOW}/logged-models/{{}}/artifacts/directories",
        f"GET {_MLFLOW}/logged-models/{{}}/artifacts/files",
        f"GET {_MLFLOW}/metrics/get-history", f"GET {_MLFLOW}/metrics/get-history-bulk",
        f"GET {_MLFLOW}/metrics/get-history-bulk-interval",
        f"GET {_MLFLOW}/model-versions/get", f"GET {_MLFLOW}/model-versions/get-download-uri",
        f"GET {_MLFLOW}/model-versions/search",
        f"GET {_MLFLOW}/registered-models/alias", f"GET {_MLFLOW}/registered-models/get",
        f"GET {_MLFLOW}/registered-models/get-latest-versions", f"GET {_MLFLOW}/registered-models/search",
        f"POST {_MLFLOW}/registered-models/get-latest-versions",
        f"GET {_MLFLOW}/runs/get", f"POST {_MLFLOW}/runs/search",
    }
)  # fmt: skip
"""Method and path of the routes that change nothing, without `/api` or `/ajax-api`; `{}` is a parameter."""

WRITES = frozenset(
    {
        f"PUT {_ARTIFACTS}/artifacts/{{}}", f"DELETE {_ARTIFACTS}/artifacts/{{}}",
        f"POST {_ARTIFACTS}/mpu/create/{{}}", f"POST {_ARTIFACTS}/mpu/complete/{{}}",
        f"POST {_ARTIFACTS}/mpu/abort/{{}}",
        f"POST {_MLFLOW}/logged-models", f"PATCH {_MLFLOW}/logged-models/{{}}",
        f"DELETE {_MLFLOW}/logged-models/{{}}", f"POST {_MLFLOW}/logged-models/{{}}/params",
        f"PATCH {_MLFLOW}/logged-models/{{}}/tags", f"DELETE {_MLFLOW}/logged-models/{{}}/tags/{{}}",
        f"POST {_MLFLOW}/registered-models/alias", f"DELETE {_MLFLOW}/registered-models/alias",
        f"DELETE {_MLFLOW}/registered-models/delete", f"DELETE {_MLFLOW}/registered-models/delete-tag",
        f"PATCH {_MLFLOW}/registered-models/update",
        f"DELETE {_MLFLOW}/model-versions/delete", f"DELETE {_MLFLOW}/model-versions/delete-tag",
        f"PATCH {_MLFLOW}/model-versions/update",
    }
    | {
        f"POST {_MLFLOW}/{path}"
        for path in (
            "experiments/create", "experiments/delete", "experiments/restore", "experiments/update",
            "experiments/set-experiment-tag", "experiments/delete-experiment-tag",
            "runs/create", "runs/delete", "runs/restore", "runs/update", "runs/set-tag", "runs/delete-tag",
            "runs/log-batch", "runs/log-inputs", "runs/log-metric", "runs/log-model", "runs/log-parameter",
            "runs/outputs", "registered-models/create", "registered-models/rename",
            "registered-models/set-tag", "model-versions/create", "model-versions/set-tag",
            "model-versions/transition-stage",
        )
    }
)  # fmt: skip
"""The routes that change something, in the form of `READS`."""

_OWN_METHODS = frozenset({"HEAD", "OPTIONS"})
_FILE = "PUT"
"""The method whose body is a file; all others have JSON, or nothing."""
_SEARCHES = frozenset({"filter", "order_by", "orderBy", "page_token", "pageToken"})
"""Fields that MLflow parses with its own languages."""
_QUERY = "POST /graphql"
_INTEGERS = frozenset({"max_results", "start_step", "end_step"})
"""Parameters that MLflow converts without a check."""
_NUMBERS = frozenset({"experiment_id", "experiment_ids", "experimentId", "experimentIds", "version"})
"""Fields whose text is a number in the database, of at most `_MOST`."""
_MOST = 2**31 - 1
_PATHS = frozenset({"path", "artifact_path"})


def close_other_routes(app: FastAPI, flask_app: Flask) -> None:
    """Take the routes off MLflow's two apps that aren't listed, and keep readers from writing."""
    app.router.routes[:] = [route for route in app.router.routes if _is_listed(route)]
    flask_app.before_request(_refuse)
    flask_app.before_request(partial(_refuse_unreadable, messages()))
    flask_app.after_request(_answer_failed_search)


def messages() -> dict[str, type[Message]]:
    """Return the message of each route that has one, by the route's name."""
    from mlflow.protos import (  # noqa: PLC0415  after its settings
        databricks_pb2,
        mlflow_artifacts_pb2,
        model_registry_pb2,
        service_pb2,
    )

    found = {}
    for module in (service_pb2, model_registry_pb2, mlflow_artifacts_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                for each in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                    name = route_name(each.method, f"/{each.since.major}.{each.since.minor}{each.path}")
                    found[name] = GetMessageClass(method.input_type)
    return found


def routes_of(route: BaseRoute, *, prefix: str = "") -> set[str]:
    """Return the routes of a route of MLflow's FastAPI app or of a router in it, in the form of `READS`."""
    router = getattr(route, "original_router", None)
    if router is not None:
        prefix += str(getattr(route, "include_context").prefix)  # noqa: B009  FastAPI's own, without a type
        return {name for inner in router.routes for name in routes_of(inner, prefix=prefix)}
    path, methods = prefix + getattr(route, "path", ""), getattr(route, "methods", None) or ()
    return {route_name(method, path) for method in methods if method not in _OWN_METHODS}


def route_name(method: str, path: str) -> str:
    """Return the name of a route; parameters are in braces (FastAPI) or angle brackets (Flask)."""
    plain = re.sub(r"\{[^}]*\}|<[^>]*>", "{}", path)
    return f"{method} {re.sub('^/(ajax-)?api(?=/)', '', plain)}"


def _is_listed(route: BaseRoute) -> bool:
    names = routes_of(route)
    # Flask's routes are below the mount at the root, and have a check of their own.
    return (isinstance(route, Mount) and not route.path) or (bool(names) and names <= READS | WRITES)


def _refuse() -> tuple[Response, HTTPStatus] | None:
    """Answer a request to a route of Flask that isn't for its caller; None lets it pass."""
    if request.url_rule is None:
        return None
    method = "GET" if request.method in _OWN_METHODS else request.method
    name = route_name(method, request.url_rule.rule)
    if name in READS or (name in WRITES and current_caller().role >= Role.WRITER):
        return None
    if name in WRITES:
        message = f"{current_caller().actor} has the role reader, which can only read; ask for another one."
        return jsonify(error_code="PERMISSION_DENIED", message=message), HTTPStatus.FORBIDDEN
    message = "This registry doesn't offer this part of MLflow."
    return jsonify(error_code="ENDPOINT_NOT_FOUND", message=message), HTTPStatus.NOT_FOUND


def _refuse_unreadable(known: Mapping[str, type[Message]]) -> tuple[Response, HTTPStatus] | None:
    """Answer a request that no handler can read; None lets it pass, with its nulls left out."""
    if request.url_rule is None:
        return None
    name = route_name(request.method, request.url_rule.rule)
    try:
        for parameter, value in (*request.args.items(multi=True), *(request.view_args or {}).items()):
            _readable(value, parameter)
        if request.method != _FILE:  # MLflow reads the body of a GET without a query, too
            content = request.get_data()
            body = _readable(json.loads(content if content.strip() else b"{}"))
            if isinstance(body, str):  # old clients encode it twice
                body = _readable(json.loads(body))
            body = {} if body is None else body
            if not isinstance(body, dict):
                raise TypeError("the body isn't a JSON object")  # noqa: TRY301  the handler below is its answer
            if name in known:
                ParseDict(body, known[name](), ignore_unknown_fields=True)
            if name == _QUERY and not (
                isinstance(body.get("query"), str) and isinstance(body.get("variables", {}), dict)
            ):
                raise TypeError("query must be text, and variables an object")  # noqa: TRY301
            request._cached_json = (body, body)  # noqa: SLF001  of `get_json`
    # SystemError is protobuf's for a name with half of a surrogate pair.
    except (ParseError, ValueError, TypeError, OverflowError, SystemError, RecursionError) as error:
        message = f"The request can't be read: {error}"[:500]
        return jsonify(error_code="INVALID_PARAMETER_VALUE", message=message), HTTPStatus.BAD_REQUEST
    return None


def _answer_failed_search(answer: Response) -> Response:
    """Replace a 500 of MLflow's if it parsed a filter, an order or a page token and then couldn't use it.

    A database that can't be reached is a 503; the log has what failed.
    """
    if answer.status_code != HTTPStatus.INTERNAL_SERVER_ERROR or request.method == _FILE:
        return answer
    if not _SEARCHES & {*request.args, *request.get_json(force=True)}:
        return answer
    _log.warning("registry.search_failed", path=request.path, answer=answer.get_data(as_text=True)[:500])
    refusal = jsonify(
        error_code="INVALID_PARAMETER_VALUE", message="MLflow can't use this filter, order_by or page_token."
    )
    refusal.status_code = HTTPStatus.BAD_REQUEST
    return refusal


def _readable(value: object, name: str = "") -> object:
    """Return a JSON value without nulls; `_NUMBERS` are text, as old clients send numbers.

    Raises:
        ValueError: a text isn't Unicode or has a NUL, or the value of the field `name` is out of range.
    """
    match value:
        case dict():
            return {
                _readable(key): _readable(each, str(key)) for key, each in value.items() if each is not None
            }
        case list():
            return [_readable(each, name) for each in value]
        case bool():
            return value
        case int() if name in _NUMBERS:
            return _readable(str(value), name)
        case str():
            if b"\0" in value.encode():
                raise ValueError("a text has a NUL")
            if name in _INTEGERS:
                int(value)
            if name in _NUMBERS and value and abs(int(value)) > _MOST:
                raise ValueError(f"{name} is larger than {_MOST}")
            if name in _PATHS and not fits(value):
                raise ValueError(f"{name}, or a name in it, is too long")
    return value
