"""Importing MLflow's server takes seconds, so that its routes are listed in a process of their own."""

import json
import subprocess
import sys

import pytest
from fastapi import FastAPI
from flask import Flask

from toxic_registry.server.surface import READS, WRITES, close_other_routes, route_name

OFF = (
    "/gateway/", "/v1/traces", "/3.0/jobs", "/3.0/mlflow/jobs/", "/3.0/mlflow/assistant/",
    "/3.0/mlflow/mcp-servers", "/3.0/mlflow/gateway/", "/2.0/mlflow/gateway-proxy", "/2.0/mlflow/webhooks",
    "/3.0/mlflow/prompt-optimization/", "/3.0/mlflow/workspaces", "/3.0/mlflow/issues", "/3.0/mlflow/scorer",
    "/3.0/mlflow/genai/", "/3.0/mlflow/demo/", "/3.0/mlflow/datasets", "/3.0/mlflow/label-schemas/",
    "/3.0/mlflow/review-queues/", "/2.0/mlflow/traces", "/3.0/mlflow/traces", "/2.0/mlflow/unified-traces",
    "/2.0/mlflow/get-trace-artifact", "/3.0/mlflow/get-trace-artifact",
    "/2.0/mlflow/get-online-trace-details", "/2.0/mlflow/runs/create-promptlab-run",
    "/2.0/mlflow/upload-artifact", "/2.0/mlflow/artifacts/presigned-upload-url",
)  # fmt: skip
"""How the paths begin of what MLflow routes and this registry doesn't."""

OFF_METHODS = {
    "GET /graphql",
    "POST /3.0/mlflow/ui-telemetry",
    "POST /2.0mlflow/experiments/search-datasets",
}

LIST = """
import json
from mlflow.server import app
from mlflow.server.fastapi_app import create_fastapi_app
from toxic_registry.server.surface import route_name, routes_of
found = {name for route in create_fastapi_app(app).router.routes for name in routes_of(route)}
for rule in app.url_map.iter_rules():
    found |= {route_name(method, rule.rule) for method in rule.methods - {"HEAD", "OPTIONS"}}
print(json.dumps(sorted(found)))
"""


@pytest.fixture(scope="module")
def routes() -> set[str]:
    """Every route of MLflow's server."""
    listed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIST], capture_output=True, text=True, check=True
    )
    return set(json.loads(listed.stdout.splitlines()[-1]))


@pytest.mark.hostile(15)
def test_every_route_of_the_server_is_known(routes: set[str]) -> None:
    """A route that a later MLflow adds must be sorted into one that is needed or one that is off."""
    unknown = {
        name for name in routes - READS - WRITES - OFF_METHODS if not name.partition(" ")[2].startswith(OFF)
    }
    assert unknown == set()


def test_every_listed_route_exists(routes: set[str]) -> None:
    """A misspelt route would be off without an error."""
    assert READS - routes == set()
    assert WRITES - routes == set()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/ajax-api/2.0/mlflow/logged-models/<id>/tags/<key>", "GET /2.0/mlflow/logged-models/{}/tags/{}"),
        ("/api/2.0/mlflow-artifacts/artifacts/{p:path}", "GET /2.0/mlflow-artifacts/artifacts/{}"),
        ("/apis/x", "GET /apis/x"),
    ],
)  # fmt: skip
def test_route_has_one_name_in_both_frameworks(path: str, name: str) -> None:
    """Under both prefixes."""
    assert route_name("GET", path) == name


def test_unlisted_routes_are_off_in_both_frameworks() -> None:
    """FastAPI loses the route; Flask answers 404 before its handler runs."""
    app, flask_app = FastAPI(), Flask(__name__)
    app.add_api_route("/ajax-api/3.0/mlflow/assistant/message", lambda: None, methods=["POST"])
    app.add_api_route("/api/3.0/mlflow/server-info", lambda: None)
    for path in ("/api/2.0/mlflow/runs/get", "/api/2.0/mlflow/webhooks"):
        flask_app.add_url_rule(path, path, lambda: "handled")
    close_other_routes(app, flask_app)
    paths = [getattr(route, "path", "") for route in app.router.routes]
    assert "/api/3.0/mlflow/server-info" in paths
    assert "/ajax-api/3.0/mlflow/assistant/message" not in paths
    client = flask_app.test_client()
    assert client.get("/api/2.0/mlflow/runs/get").text == "handled"
    refused = client.get("/api/2.0/mlflow/webhooks")
    assert (refused.status_code, refused.json["error_code"]) == (404, "ENDPOINT_NOT_FOUND")  # type: ignore[index]
