"""Every route of the registry against hostile requests; MLflow has no OpenAPI document, but messages."""

import json
import random
import re
from collections.abc import Iterator
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
