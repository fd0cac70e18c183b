"""Several processes behind one address: one of them owns the jobs, and each answers for all of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from toxic_testing.ports import free_port

pytestmark = pytest.mark.slow

FILE = b"content\n" + b"you are kind\n" * 300


class Replica:
    """A service as a process, with a state folder of its own unless the settings name another."""

    def __init__(self, start_server: Any, folder: Path, **settings: str) -> None:
        self.port = int(settings.get("port", free_port()))
        folder.mkdir(exist_ok=True)
        models = folder / "models"
        models.mkdir(exist_ok=True)
        given = {"port": str(self.port), "state_dir": str(folder / "state"), "model_directory": str(models)}
        environment = {f"INFERENCE_{name.upper()}": value for name, value in (given | settings).items()}
        self.server = start_server(("-m", "toxic_inference"), environment=environment, folder=folder)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def wait(self) -> "Replica":
        """Wait until it has started."""
        self.server.logs.wait_for("Application startup complete")
        return self


@pytest.fixture
def start(start_server: Any) -> Iterator[Callable[..., Replica]]:
    """Return the function that starts replicas; they end with the test."""
    started: list[Replica] = []

    def make(folder: Path, **settings: str) -> Replica:
        started.append(Replica(start_server, folder, **settings))
        return started[-1]

    yield make
    for replica in started:
        replica.client.close()
        if replica.server.process.poll() is None:
            replica.server.terminate()


@pytest.mark.hostile(25)
def test_every_replica_answers_for_every_job(
    start: Callable[..., Replica], build_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    """Upload at one, result at another; the owner's absence is a 503, and its jobs outlive it."""
    build_bundle(tmp_path / "owner" / "models" / "1")
    owner = start(tmp_path / "owner").wait()
    settings = {"jobs_url": f"http://127.0.0.1:{owner.port}"}
    one, two = (start(tmp_path / name, **settings).wait() for name in ("one", "two"))
    form = {"file": ("comments.csv", FILE)}
    uploaded = one.client.post("/jobs", files=form, params={"text_column": ""})
    assert uploaded.status_code == 202, uploaded.text
    address = uploaded.headers["location"]
    owner.server.logs.wait_for("job.ended")
    job = two.client.get(address).json()
    assert (job["state"], job["scored"]) == ("done", 300)
    result = one.client.get(f"{address}/result")
    assert result.headers["content-type"] == "text/csv; charset=utf-8"
    assert result.headers["x-model-version"] == "1"
    assert result.text.count("\n") == 301
    rest = two.client.get(
        f"{address}/result", headers={"range": "bytes=1000-", "if-range": result.headers["etag"]}
    )
    assert (rest.status_code, rest.content) == (206, result.content[1000:])
    assert (
        two.client.post("/jobs", content=b"a,b\n1,2\n", headers={"content-type": "text/csv"}).status_code
        == 422
    )
    unknown = one.client.post("/jobs", files=form, headers={"x-policy": "forum"})
    assert (unknown.status_code, "There is no policy" in unknown.text) == (422, True)

    assert owner.server.terminate() == 0
    away = two.client.get(address)
    assert (away.status_code, away.json()["error"]["code"]) == (503, "jobs_unavailable")
    assert away.headers["retry-after"]
    owner = start(tmp_path / "owner", port=str(owner.port)).wait()
    assert one.client.get(address).json() == job

    circle = start(tmp_path / "circle", jobs_url=f"http://127.0.0.1:{one.port}").wait()
    refused = circle.client.get(address)
    assert (refused.status_code, "INFERENCE_JOBS_URL" in refused.text) == (503, True)

    assert one.client.delete(address).status_code == 204
    assert two.client.get(address).json()["error"]["code"] == "unknown_job"


@pytest.mark.hostile(24)
def test_two_services_dont_share_a_state_folder(start: Callable[..., Replica], tmp_path: Path) -> None:
    """The second ends at its start, and touches nothing of the first."""
    first = start(tmp_path / "first").wait()
    partial = tmp_path / "first" / "state" / "jobs" / ".partial-upload"
    partial.mkdir()
    second = start(tmp_path / "second", state_dir=str(tmp_path / "first" / "state"))
    second.server.logs.wait_for("INFERENCE_STATE_DIR")
    assert second.server.process.wait(timeout=60) != 0
    assert partial.is_dir()
    assert first.server.terminate() == 0
