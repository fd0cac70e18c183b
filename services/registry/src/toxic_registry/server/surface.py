"""Which routes of MLflow's server answer: those that training, promoting and the page need.

MLflow also routes an assistant that runs programs, a gateway, jobs, webhooks, MCP servers, traces and more;
no one here needs them, and each can be attacked. The check is in MLflow's own routing, so no spelling of a
path gets around it.

Invariant: a route that isn't listed is off, also one that a later MLflow adds. Readers reach only `READS`.
"""

import re
from http import HTTPStatus

from fastapi import FastAPI
from flask import Flask, Response, jsonify, request
from starlette.routing import BaseRoute, Mount

from toxic_registry.caller import Role
from toxic_registry.server.middleware import current_caller

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


def close_other_routes(app: FastAPI, flask_app: Flask) -> None:
    """Take the routes off MLflow's two apps that aren't listed, and keep readers from writing."""
    app.router.routes[:] = [route for route in app.router.routes if _is_listed(route)]
    flask_app.before_request(_refuse)


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
