"""The service as a process: what only shows when it really runs."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from toxic_testing.ports import free_port

pytestmark = pytest.mark.slow

BuildBundle = Callable[..., Path]

SERVICE = ("-m", "toxic_inference")
TEXT = "you are a stupid idiot"


@pytest.fixture
def port() -> int:
    """A port without a listener."""
    return free_port()


def start(start_server: Any, folder: Path, port: int, **settings: str) -> Any:
    """Start the service."""
    environment = {"INFERENCE_PORT": str(port), "INFERENCE_POLL_INTERVAL_SECONDS": "0.2"}
    environment |= {f"INFERENCE_{name.upper()}": value for name, value in settings.items()}
    return start_server(SERVICE, environment=environment, folder=folder)


def version_of(port: int) -> str:
    """Return which version scores a text now."""
    answer = httpx.post(f"http://127.0.0.1:{port}/predict", json={"texts": [TEXT]}, timeout=30)
    assert answer.status_code == 200, answer.text
    version: str = answer.json()["model_version"]
    return version


def finish_while_stopping(server: Any, port: int) -> None:
    """Send requests half, stop the service, send the rest; every one is answered whole."""
    body = json.dumps({"texts": [TEXT] * 50}).encode()
    head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue"
    with contextlib.ExitStack() as stack:
        accepted = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(8)
        ]
        for connection in accepted:
            connection.sendall(f"{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode())
            assert b"100 Continue" in connection.recv(1024)  # the request is being handled now
            connection.sendall(body[:10])
        server.process.terminate()
        server.logs.wait_for("Shutting down")
        for connection in accepted:
            connection.sendall(body[10:])
        for connection in accepted:
            answer = b"".join(iter(lambda c=connection: c.recv(65536), b""))  # type: ignore[misc]
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert answer.count(b'"truncated":false') == 50
    assert server.process.wait(timeout=60) == 0
    server.logs.wait_for("service.stopped")


def test_the_champion_of_a_registry_is_followed_and_outlives_it(
    start_server: Any, registered_model: Any, build_bundle: BuildBundle, tmp_path: Path, port: int
) -> None:
    """A switch, a broken champion, the registry's death, SIGTERM, and a restart from the cache."""
    good, better = build_bundle(tmp_path / "good"), build_bundle(tmp_path / "better", bias=1.0)
    broken = build_bundle(tmp_path / "broken", warmup_shift=0.1)
    one, two, three = (registered_model.register(path) for path in (good, better, broken))
    registered_model.set_alias("champion", one)
    settings = {
        "registry_uri": registered_model.registry.uri,
        "require_approval": "false",
        "model_name": registered_model.name,
        "cache_dir": str(tmp_path / "cache"),
    }
    server = start(start_server, tmp_path, port, **settings)
    server.logs.wait_for("route.moved")
    assert version_of(port) == one

    registered_model.set_alias("champion", two)
    server.logs.wait_for("route.moved")
    assert version_of(port) == two

    registered_model.set_alias("champion", three)
    server.logs.wait_for("servable.load_failed")
    assert version_of(port) == two
    address = f"http://127.0.0.1:{port}"
    status = httpx.get(f"{address}/v1/models/{registered_model.name}").json()["model_version_status"]
    states = {s["version"]: (s["state"], s["status"]["error_code"]) for s in status}
    assert states == {two: ("AVAILABLE", "OK"), three: ("END", "FAILED_PRECONDITION")}
    metrics = httpx.get(f"{address}/metrics").text
    assert 'toxic_inference_load_failures_total{reason="warmup"} 1.0' in metrics

    registered_model.registry.kill()
    server.logs.wait_for("source.unavailable")
    assert version_of(port) == two
    finish_while_stopping(server, port)
    assert TEXT not in "".join(server.logs.lines)

    server = start(start_server, tmp_path, port, **settings)
    server.logs.wait_for("route.moved")
    assert version_of(port) == two
    assert httpx.get(f"{address}/health/ready").status_code == 200
    assert server.terminate() == 0


def raw_score(port: int, model: str, which: str) -> float:
    """Return a version's answer about the text, by TensorFlow Serving's door."""
    address = f"http://127.0.0.1:{port}/v1/models/{model}{which}:predict"
    answer = httpx.post(address, json={"instances": [TEXT]}, timeout=30)
    assert answer.status_code == 200, answer.text
    score: float = answer.json()["predictions"][0][0]
    return score


def sample(port: int, name: str) -> float:
    """Return a metric's value; 0 if it is absent."""
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


def test_champion_challenger_and_a_pinned_version_are_served_side_by_side(
    start_server: Any, registered_model: Any, build_bundle: BuildBundle, tmp_path: Path, port: int
) -> None:
    """Each answers under its own name, and the challenger is compared with the champion on its traffic."""
    versions = [
        registered_model.register(build_bundle(tmp_path / str(bias), bias=bias)) for bias in (0.0, 0.5, 1.0)
    ]
    registered_model.set_alias("champion", versions[1])
    registered_model.set_alias("challenger", versions[2])
    server = start(
        start_server,
        tmp_path,
        port,
        registry_uri=registered_model.registry.uri,
        require_approval="false",
        model_name=registered_model.name,
        cache_dir=str(tmp_path / "cache"),
        pinned_versions=versions[0],
        shadow_fraction="1",
    )
    for _ in versions:
        server.logs.wait_for("servable.loaded")
    model = registered_model.name
    pinned = raw_score(port, model, f"/versions/{versions[0]}")
    assert pinned < raw_score(port, model, "") < raw_score(port, model, "/labels/challenger")
    assert version_of(port) == versions[1]
    name = 'toxic_inference_shadow_score_difference_ratio_count{label="toxic"}'
    assert any(sample(port, name) == 1.0 for _ in range(1_000)), "the comparison never came"
    assert server.terminate() == 0


def ends_with(start_server: Any, folder: Path, port: int, **settings: str) -> str:
    """Start the service where it can't run; return the one line it writes."""
    server = start(start_server, folder, port, **settings)
    with pytest.raises(AssertionError):
        server.logs.wait_for("this is never written")
    assert server.process.wait(timeout=60) == 1
    (line,) = [line for line in server.logs.lines if not line.startswith("{")]
    assert line.startswith("toxic-inference: ")
    written: str = line
    return written


@pytest.mark.parametrize("setting", ["PORT", "GRPC_PORT"])
def test_a_taken_port_is_one_clear_line(start_server: Any, tmp_path: Path, port: int, setting: str) -> None:
    """The line names the address, the reason and the setting."""
    taken = port if setting == "PORT" else free_port()
    with socket.create_server(("127.0.0.1", taken)):
        line = ends_with(start_server, tmp_path, port, grpc_port=str(taken))
    assert f"127.0.0.1:{taken}: Address already in use" in line
    assert f"INFERENCE_{setting}." in line


def test_a_cache_folder_that_can_t_be_written_is_one_clear_line(
    start_server: Any, tmp_path: Path, port: int
) -> None:
    """A file in place of the folder: one of many disks that refuse."""
    (tmp_path / "taken").write_text("a file")
    line = ends_with(start_server, tmp_path, port, cache_dir=str(tmp_path / "taken"))
    assert "can't be written" in line
    assert "INFERENCE_CACHE_DIR" in line


def test_a_model_folder_that_isn_t_there_is_one_clear_line(
    start_server: Any, tmp_path: Path, port: int
) -> None:
    """A misspelt folder must not look like one without versions."""
    line = ends_with(start_server, tmp_path, port, model_directory=str(tmp_path / "nowhere"))
    assert "isn't a folder" in line


def test_a_setting_that_can_t_be_used_is_one_clear_line(start_server: Any, tmp_path: Path, port: int) -> None:
    """The line names each setting at fault."""
    line = ends_with(start_server, tmp_path, port, queue_rows="many", log_level="LOUD")
    assert "INFERENCE_QUEUE_ROWS" in line
    assert "INFERENCE_LOG_LEVEL" in line


OFF = """
import sys
import toxic_inference.app
from toxic_inference.composition.otel import open_otel
from toxic_inference.otel.settings import OtelSettings

assert open_otel(OtelSettings()) is None
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_opentelemetry_is_imported_only_if_it_is_on(variables: dict[str, str]) -> None:
    """Without an endpoint, without a signal to send there, or disabled, whatever the other variables say."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    if variables:
        environment |= variables | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    command = [sys.executable, "-c", OFF]
    found = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert found.stdout == "[]\n"


def test_a_variable_that_cannot_be_used_ends_the_start() -> None:
    """With one line that names it."""
    environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}
    command = [sys.executable, "-m", "toxic_inference"]
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("toxic-inference: Settings can't be used: OTEL_EXPORTER_OTLP_ENDPOINT: ")
