"""Every route of the registry against hostile requests; MLflow has no OpenAPI document, but messages."""

import base64
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from mlflow.tracking import MlflowClient

from toxic_registry.server.surface import READS, WRITES, messages
from toxic_testing.fuzzing import HOSTILE_TEXTS, examples, is_long, spoilt
from toxic_testing.registry import RegistryProcess, Versions

pytestmark = [pytest.mark.slow, pytest.mark.fuzz, pytest.mark.hostile(31), pytest.mark.timeout(600)]

ROUTES = sorted({*READS, *WRITES, "GET /ledger", "GET /ledger/approved", "GET /metrics"})
OTHER_FIELDS = (
    "path", "run_id", "run_uuid", "metric_key", "max_results", "start_step", "end_step", "name", "version",
    "query", "variables", "operationName", "experiment_ids", "upload_id", "parts", "num_parts", "after",
    "limit", "model",
)  # fmt: skip
"""Parameters of the routes without a message."""
Known = dict[str, object]
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Known]]:
    """A registry with a run and a champion, and values that exist there."""
    state = tmp_path_factory.mktemp("registry")
    process = RegistryProcess({"REGISTRY_STATE_DIR": str(state)})
    process.wait_until_ready()
    client = MlflowClient(process.uri, process.uri)
    versions = Versions(client, "toxic", state / "bundles")
    versions.set_champion(versions.add())
    run = client.create_run("0").info
    yield process.uri, {
        "experiment_id": "0", "experiment_ids": ["0"], "run_id": run.run_id, "run_uuid": run.run_id,
        "name": "toxic", "version": "1", "alias": "champion", "stage": "Production", "key": "a",
        "value": "b", "max_results": 5, "order_by": ["name"], "path": "a", "source": run.artifact_uri,
    }  # fmt: skip
    process.kill()


def encoded(value: object) -> str:
    """Return a value as in a path or a query, half of a surrogate pair too."""
    return quote(str(value).encode(errors="surrogatepass"), safe="")


def page(token: str) -> str:
    """Return a page token with this JSON."""
    return base64.b64encode(token.encode()).decode()


SEARCH = {"experiment_ids": ["0"], "max_results": 5}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "runs/get", [1]),
        ("GET", "registered-models/search", "x"),
        ("HEAD", "experiments/search", 1),
        ("POST", "runs/search", SEARCH | {"page_token": page("[]")}),
        ("POST", "runs/search", SEARCH | {"page_token": page('{"offset": %s}' % ("9" * 30))}),
        ("POST", "experiments/search", {"max_results": 5, "page_token": "\u00e9"}),
        ("POST", "logged-models/search", SEARCH | {"page_token": page("[" * 9_000)}),
        ("POST", "logged-models/search", SEARCH | {"pageToken": page("[]")}),
        ("POST", "logged-models/search", SEARCH | {"filter": "run_id = 'a'"}),
        ("POST", "runs/search", SEARCH | {"filter": "attributes.start_time > " + "9" * 40}),
        ("GET", "artifacts/list?run_id=a&path=" + "a/" * 3_000, None),
        ("POST", "runs/search", {"experimentIds": ["9" * 40]}),
        ("POST", "runs/search", {"experiment_ids": ["-" + "9" * 40]}),
        ("DELETE", "model-versions/delete", {"name": "toxic", "version": "9" * 40}),
    ],
)
def test_what_only_mlflow_s_own_languages_refuse_is_an_error_too(
    attacked: tuple[str, Known], method: str, path: str, body: object
) -> None:
    """Page tokens, filters, numbers beyond the database's, and bodies of requests that need none."""
    uri = f"{attacked[0]}/api/2.0/mlflow/{path}"
    answer = requests.request(method, uri, data=json.dumps(body), headers=JSON, timeout=60)
    assert answer.status_code == 400, answer.text


ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.mark.parametrize("path", ["", "/a/b", "/a/b/file/c", "/" + "a/" * 3_000 + "b"])
def test_an_artifact_at_an_impossible_place_is_refused(attacked: tuple[str, Known], path: str) -> None:
    """At a folder's, below a file, or deeper than file systems go."""
    uri = f"{attacked[0]}{ARTIFACTS}/9/r/artifacts"
    assert requests.put(f"{uri}/a/b/file", data=b"content", timeout=60).status_code == 200
    assert requests.put(f"{uri}{path}", data=b"content", timeout=60).status_code == 400
    for method, address in (("GET", f"{uri}{path}"), ("GET", f"{attacked[0]}{ARTIFACTS}?path={path}")):
        assert requests.request(method, address, timeout=60).status_code < 500


@pytest.mark.parametrize(
    "name", ["caf\u00e9 \U0001f600.txt", "a+b&c=d;e.csv", "x" * 200, "'quoted' \"name\"", "a.b..c"]
)
def test_an_artifact_keeps_its_odd_name(attacked: tuple[str, Known], tmp_path: Path, name: str) -> None:
    """MLflow's client uploads, lists and downloads it."""
    uri, known = attacked
    run_id = str(known["run_id"])
    (tmp_path / name).write_text(name, encoding="utf-8")
    client = MlflowClient(uri, uri)
    client.log_artifact(run_id, str(tmp_path / name), "odd")
    assert f"odd/{name}" in [file.path for file in client.list_artifacts(run_id, "odd")]
    (tmp_path / "back").mkdir()
    back = client.download_artifacts(run_id, f"odd/{name}", str(tmp_path / "back"))
    assert Path(back).read_text(encoding="utf-8") == name


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(SEARCH),
        json.dumps(json.dumps(SEARCH)),
        '{"experimentIds": ["0"], "maxResults": "5", "runViewType": "ALL", "filter": null, "other": [{}]}',
        '{"experiment_ids": [0], "run_view_type": 3}',
        " \n",
        "null",
        "",
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_what_mlflow_reads_is_read(attacked: tuple[str, Known], body: str, kind: str) -> None:
    """Either spelling of a name, numbers as text, unknown fields, nulls, bodies encoded twice or missing."""
    uri, known = attacked
    answer = requests.post(
        f"{uri}/api/2.0/mlflow/runs/search", data=body, headers={"content-type": kind}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    found = [run["info"]["run_id"] for run in answer.json().get("runs", [])]
    assert (known["run_id"] in found) == ("0" in body)


def test_no_request_breaks_the_registry(attacked: tuple[str, Known]) -> None:
    """Wrong types, surrogates, NUL, huge numbers and deep nesting are errors of the request."""
    uri, known = attacked
    fields = {name: list(message.DESCRIPTOR.fields_by_name) for name, message in messages().items()}
    draw = random.Random(None if is_long() else 7)  # noqa: S311  not a secret
    failures: list[str] = []
    for route in ROUTES:
        method, path = route.split(" ")
        prefix = "/ajax-api" if re.match(r"/\d\.\d/", path) else ""
        names = fields.get(route) or OTHER_FIELDS
        usual = {name: known.get(name) for name in names}
        for _ in range(examples(6)):
            body = spoilt(usual, draw)
            address = uri + prefix + re.sub(r"\{\}", lambda _: encoded(draw.choice(HOSTILE_TEXTS)), path)
            if method == "GET" and isinstance(body, dict):
                address += "?" + "&".join(
                    f"{encoded(name)}={encoded(value)[:500]}" for name, value in body.items()
                )
            content = None if method == "GET" else json.dumps(body)
            answer = requests.request(method, address, data=content, headers=JSON, timeout=60)
            if answer.status_code >= 500 and answer.status_code != 501:  # of multipart uploads, for a folder
                failures.append(f"{route} {address[-100:]!r} {body!r:.300} {answer.text:.200}")
    assert not failures, "\n".join(failures)
