import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from structlog.testing import capture_logs

from toxic_core.contract import open_bundle
from toxic_core.errors import ContractError, RegistryUnavailableError
from toxic_inference.adapters.mlflow_source import MlflowRegistry
from toxic_inference.otel.exporting import Otel
from toxic_inference.otel.settings import OtelSettings
from toxic_inference.serving.interfaces import ServableId
from toxic_testing.inference.collector import running_collector

pytestmark = pytest.mark.slow

MAX_BYTES = 10_000


@pytest.fixture
def model(registered_model: Any) -> Any:
    """A registered model on a real MLflow server."""
    return registered_model


@pytest.fixture
def source(model: Any) -> MlflowRegistry:
    """What is tested."""
    return MlflowRegistry(
        model.registry.uri, model_name=model.name, aliases=("champion", "challenger"), max_bytes=MAX_BYTES
    )


def test_a_real_registry_s_aliases_are_followed(
    model: Any, source: MlflowRegistry, plain_bundle: Any, tmp_path: Path
) -> None:
    """No model, no alias, a champion, a switch, a second alias, and an alias taken away."""
    assert source.aspired() == ()
    one = model.register(plain_bundle(tmp_path / "one", b"one"))
    two = model.register(plain_bundle(tmp_path / "two", b"two"))
    assert source.aspired() == ()
    model.set_alias("champion", one)
    (first,) = source.aspired()
    assert (first.id.version, set(first.aliases)) == (one, {"champion"})
    assert source.aspired() == (first,)
    model.set_alias("champion", two)
    model.set_alias("challenger", one)
    assert [(a.id.version, set(a.aliases)) for a in source.aspired()] == [
        (two, {"champion"}),
        (one, {"challenger"}),
    ]
    model.set_alias("challenger", two)
    assert [set(a.aliases) for a in source.aspired()] == [{"champion", "challenger"}]
    model.delete_alias("champion")
    assert [set(a.aliases) for a in source.aspired()] == [{"challenger"}]


def test_a_poll_without_a_new_version_is_one_request(
    model: Any, source: MlflowRegistry, plain_bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version's facts don't change: they are asked for once, however often the aliases move."""
    one, two = (model.register(plain_bundle(tmp_path / name, name.encode())) for name in ("one", "two"))
    model.set_alias("champion", one)
    model.set_alias("challenger", two)
    asked: list[str] = []
    ask = MlflowClient.get_model_version

    def counting(client: MlflowClient, name: str, version: str) -> object:
        asked.append(version)
        return ask(client, name, version)

    monkeypatch.setattr(MlflowClient, "get_model_version", counting)
    ids = {aspired.id for aspired in source.aspired()}
    model.set_alias("champion", two)
    model.set_alias("challenger", one)
    assert {aspired.id for aspired in source.aspired()} == ids
    assert asked == [one, two]
    three = model.register(plain_bundle(tmp_path / "three", b"three"))
    model.set_alias("champion", three)
    assert three in {aspired.id.version for aspired in source.aspired()}


def test_a_model_made_anew_has_other_versions(
    model: Any, source: MlflowRegistry, plain_bundle: Any, tmp_path: Path
) -> None:
    """The same name, alias and number, and yet not what was served."""
    found = []
    for content in (b"before", b"after"):
        version = model.register(plain_bundle(tmp_path / content.decode(), content))
        model.set_alias("champion", version)
        found.append(source.aspired()[0].id)
        MlflowClient(model.registry.uri, model.registry.uri).delete_registered_model(model.name)
    before, after = found
    assert before.version == after.version
    assert before != after


def test_pinned_versions_are_served_beside_the_aliases(model: Any, plain_bundle: Any, tmp_path: Path) -> None:
    """Each once, without an alias of its own; what the registry doesn't have is left out."""
    one, two = (model.register(plain_bundle(tmp_path / name, name.encode())) for name in ("one", "two"))
    model.set_alias("champion", two)
    source = MlflowRegistry(
        model.registry.uri,
        model_name=model.name,
        aliases=("champion",),
        max_bytes=MAX_BYTES,
        pinned=(two, one, "999", "latest"),
    )
    assert [(a.id.version, set(a.aliases)) for a in source.aspired()] == [(two, {"champion"}), (one, set())]


def test_a_version_s_bundle_is_downloaded_through_the_registry(
    model: Any, source: MlflowRegistry, plain_bundle: Any, tmp_path: Path
) -> None:
    """What arrives is the sealed bundle, file for file."""
    version = model.register(plain_bundle(tmp_path / "bundle", b"weights"))
    model.set_alias("champion", version)
    servable_id = source.aspired()[0].id
    bundle = open_bundle(source.download(servable_id, tmp_path / "download"))
    assert (bundle.saved_model / "saved_model.pb").read_bytes() == b"weights"


def test_a_version_that_isn_t_the_one_aspired_is_not_downloaded(
    model: Any, source: MlflowRegistry, plain_bundle: Any, tmp_path: Path
) -> None:
    """The same number in a registry made anew is another version."""
    version = model.register(plain_bundle(tmp_path / "bundle"))
    with pytest.raises(ContractError, match="replaced"):
        source.download(ServableId(version, "another"), tmp_path / "download")


def test_a_version_that_is_too_large_isn_t_fetched(
    model: Any, source: MlflowRegistry, plain_bundle: Any, tmp_path: Path
) -> None:
    """Not a byte of it reaches the disk."""
    version = model.register(plain_bundle(tmp_path / "bundle", bytes(MAX_BYTES)))
    model.set_alias("champion", version)
    (tmp_path / "download").mkdir()
    with pytest.raises(ContractError, match="larger than 10,000 bytes"):
        source.download(source.aspired()[0].id, tmp_path / "download")
    assert not list((tmp_path / "download").iterdir())


@pytest.mark.hostile(35)
def test_a_version_that_the_disk_has_no_room_for_isn_t_fetched(
    model: Any, plain_bundle: Any, tmp_path: Path
) -> None:
    """It is the disk's error, not the registry's."""
    version = model.register(plain_bundle(tmp_path / "bundle"))
    model.set_alias("champion", version)
    for weights in (model.registry._folder / "artifacts").rglob("saved_model.pb"):
        os.truncate(weights, 10**13)
    source = MlflowRegistry(
        model.registry.uri, model_name=model.name, aliases=("champion",), max_bytes=10**15
    )
    (tmp_path / "download").mkdir()
    with pytest.raises(OSError, match="are free") as failure:
        source.download(source.aspired()[0].id, tmp_path / "download")
    assert failure.value.errno == errno.ENOSPC
    assert not list((tmp_path / "download").iterdir())


@pytest.mark.hostile(35)
def test_a_disk_that_fills_up_is_no_registry_that_doesn_t_answer(source: MlflowRegistry) -> None:
    """MLflow puts the texts of all failures into one message."""
    with pytest.raises(OSError, match="No space left") as failure, source._unavailable_unless_answered():
        raise MlflowException("The following failures occurred: [Errno 28] No space left on device: '/x'")
    assert failure.value.errno == errno.ENOSPC


def test_a_version_without_a_bundle_is_an_error_that_says_so(
    model: Any, source: MlflowRegistry, tmp_path: Path
) -> None:
    """A model registered by other means can't be served here."""
    (tmp_path / "empty").mkdir()
    version = model.register(tmp_path / "empty")
    model.set_alias("champion", version)
    with pytest.raises((ContractError, RegistryUnavailableError), match=r"bundle|artifacts"):
        source.download(source.aspired()[0].id, tmp_path / "download")


def test_a_registry_that_doesn_t_answer_is_an_error_and_no_empty_set(tmp_path: Path) -> None:
    """Neither asking nor downloading takes silence for an answer."""
    source = MlflowRegistry(
        "http://127.0.0.1:9", model_name="toxic-comments", aliases=("champion",), max_bytes=MAX_BYTES
    )
    with pytest.raises(RegistryUnavailableError, match=r"http://127\.0\.0\.1:9 .*refused"):
        source.aspired()
    with pytest.raises(RegistryUnavailableError):
        source.download(ServableId("1", "f"), tmp_path)


@contextmanager
def empty_registry(contexts: list[str]) -> Iterator[str]:
    """Run a registry without models, which keeps the trace context of each request; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            contexts.append(self.headers.get("traceparent", ""))
            body = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "There is none."}'
            self.send_response(404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            """Keep the test's output clean."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_poll_sends_its_trace_context() -> None:
    """A failed one has the error's type, and no message."""
    contexts: list[str] = []
    with running_collector() as collector, empty_registry(contexts) as uri:
        otel = Otel(OtelSettings(exporter_otlp_endpoint=collector.url))
        source = MlflowRegistry(
            uri, model_name="m", aliases=("champion",), max_bytes=MAX_BYTES, tracing=otel.tracing
        )
        assert source.aspired() == ()
        unready = ServableId("1", "f")
        with pytest.raises(RegistryUnavailableError):
            source.download(unready, Path("unused"))
        otel.close()
    poll, download = collector.spans
    assert [poll.name, download.name] == ["registry.poll", "registry.download"]
    assert [context.split("-")[1:3] for context in contexts] == [
        [span.trace_id.hex(), span.span_id.hex()] for span in (poll, download)
    ]
    assert poll.kind == poll.SPAN_KIND_CLIENT
    assert {each.key: each.value.string_value for each in download.attributes} == {
        "error.type": "RegistryUnavailableError"
    }
    assert not download.events


def test_another_mlflow_costs_the_trace_context_and_no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What adds the header isn't public; versions are still found without it."""
    module = "mlflow.tracking.request_header.abstract_request_header_provider"
    monkeypatch.setitem(sys.modules, module, None)
    contexts: list[str] = []
    with running_collector() as collector, empty_registry(contexts) as uri:
        otel = Otel(OtelSettings(exporter_otlp_endpoint=collector.url))
        source = MlflowRegistry(
            uri, model_name="m", aliases=("champion",), max_bytes=MAX_BYTES, tracing=otel.tracing
        )
        with capture_logs() as lines:
            assert source.aspired() == ()
        otel.close()
    assert [line["event"] for line in lines] == ["otel.no_context_for_registry"]
