import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from fastapi import FastAPI
from kedro.server.models import RunRequest
from pydantic import SecretStr
from structlog.testing import capture_logs

from toxic_core.errors import ConfigurationError
from toxic_testing.training.runs import FakeLauncher
from toxic_training.retraining.alerts import Notification
from toxic_training.retraining.history import KEEP_STARTS, History
from toxic_training.retraining.policy import Outcome, Refusal, Start
from toxic_training.retraining.trigger import Retraining
from toxic_training.server.app import add_routes
from toxic_training.server.composition import compose
from toxic_training.server.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOKEN = "of these tests alone"
Body = dict[str, object]


def _notification(*fingerprints: str, status: str = "firing", action: str = "retrain") -> Body:
    """Return Alertmanager's notification of a group of alerts."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="ScoreDrift"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "training",
        "groupLabels": {"alertname": "ScoreDrift"},
        "commonLabels": {"alertname": "ScoreDrift", "action": action},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": "ScoreDrift", "action": action, "label": "toxic"},
                "annotations": {"summary": "Scores have moved."},
                "startsAt": "2026-11-23T11:00:00.123456789Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus.example:9090/graph",
                "fingerprint": fingerprint,
            }
            for fingerprint in fingerprints
        ],
    }


class Server:
    """The server's objects and routes without Kedro, on a folder that outlives them."""

    def __init__(
        self, folder: Path, *, alert_token: str = TOKEN, retrain_request: RunRequest | None = None
    ) -> None:
        self.now = NOW
        self.launcher = FakeLauncher()
        settings = Settings(
            state_dir=folder,
            keep_runs=5,
            alert_token=SecretStr(alert_token),
            retrain_request=retrain_request or RunRequest(),
            mlflow_page="http://mlflow.example",
        )
        self.has_data = True
        parts = compose(settings, self.launcher.launch, has_data=lambda: self.has_data, now=lambda: self.now)
        self.runs, self.retraining = parts.runs, parts.retraining
        self.app = FastAPI()
        add_routes(self.app, settings, parts)

    async def take(self, *fingerprints: str) -> Retraining:
        """Pass one firing notification to the trigger."""
        return await self.retraining.take(Notification.model_validate(_notification(*fingerprints)).alerts)

    async def post(self, body: object, *, token: str = TOKEN) -> httpx.Response:
        """Send a notification as Alertmanager does."""
        async with self._client() as client:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            return await client.post("/alerts", json=body, headers=headers)

    async def scrape(self) -> str:
        """Return the metrics."""
        async with self._client() as client:
            return (await client.get("/metrics")).raise_for_status().text

    async def end_run(self, status: int = 0) -> None:
        """Let the run under way end."""
        run = self.runs.all()[0]
        self.launcher.started[-1].end(status)
        await self.runs.wait(run.run_id)

    def _client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://training.example", trust_env=False)


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


class StartServer(Protocol):
    """Starts servers, one after another, on the same folder."""

    def __call__(self, *, alert_token: str = TOKEN, retrain_request: RunRequest | None = None) -> Server:
        """Start one."""
        ...


@pytest.fixture
def start(tmp_path: Path) -> StartServer:
    """Start servers, one after another, on the same folder."""
    return partial(Server, tmp_path / "state")


async def test_no_alert_starts_a_run_before_there_is_data(start: StartServer) -> None:
    """A fresh stack's run would fail and alert; the next notification after the data came starts it."""
    server = start()
    server.has_data = False
    assert (await server.take("a1")).decision.refusal is Refusal.NO_DATA
    assert not server.launcher.started
    assert 'toxic_training_retraining_refused_total{reason="no_data"} 1.0' in await server.scrape()
    server.has_data = True
    assert (await server.take("a1")).run_id is not None


async def test_an_alert_starts_the_configured_run(start: StartServer) -> None:
    """The request is the configured one plus the cause."""
    server = start(
        retrain_request=RunRequest(pipeline_names=["modelling"], params={"modelling": {"epochs": 1}})
    )
    answer = (await server.post(_notification("a1"))).raise_for_status().json()
    assert answer["started"] is True
    assert answer["run"]["trigger"] == "alert"
    assert answer["run"]["pipelines"] == ["modelling"]
    params = json.loads(server.launcher.requests[0])["params"]
    assert params["modelling"] == {"epochs": 1}
    assert params["cause"] == {
        "trigger": "alert",
        "alerts": "ScoreDrift",
        "fingerprints": "a1",
        "since": "2026-11-23T11:00:00.123456+00:00",
        "summary": "Scores have moved.",
    }
    await server.runs.close()


@pytest.mark.parametrize("token", ["", "another", TOKEN.upper()])
async def test_without_the_token_nothing_starts(start: StartServer, token: str) -> None:
    """The refusal names the setting that must be the same."""
    server = start()
    answer = await server.post(_notification("a1"), token=token)
    assert answer.status_code == 401
    assert "TRAINING_ALERT_TOKEN" in answer.json()["error"]["message"]
    assert not server.launcher.started


async def test_without_a_configured_token_the_route_is_disabled(start: StartServer) -> None:
    """An empty token doesn't enable it either."""
    server = start(alert_token="")
    answer = await server.post(_notification("a1"), token="")
    assert answer.status_code == 404
    assert "set TRAINING_ALERT_TOKEN" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "broken",
    [{}, {"version": "3", "alerts": []}, _notification("not hexadecimal"), {"version": "4", "alerts": [{}]}],
)
async def test_a_body_that_is_not_alertmanagers_is_refused(start: StartServer, broken: Body) -> None:
    """The body is validated before any decision."""
    server = start()
    assert (await server.post(broken)).status_code == 422
    assert not server.launcher.started


async def test_a_refusal_is_an_answer_and_is_counted_and_logged(start: StartServer) -> None:
    """Alertmanager doesn't resend it; log and metrics contain the reason."""
    server = start()
    with capture_logs() as logs:
        answer = await server.post(_notification("a1", status="resolved"))
    assert answer.status_code == 200
    assert answer.json()["refusal"] == "resolved"
    assert logs[0]["event"] == "retraining.refused"
    assert logs[0]["reason"] == "resolved"
    assert 'toxic_training_retraining_refused_total{reason="resolved"} 1.0' in await server.scrape()


async def test_of_notifications_at_once_one_starts_a_run(start: StartServer) -> None:
    """Concurrent notifications are decided one after another."""
    server = start()
    taken = await asyncio.gather(*(server.take(fingerprint) for fingerprint in ("a1", "b2", "c3")))
    assert [retraining.decision.refusal for retraining in taken] == [None, *[Refusal.COOL_DOWN] * 2]
    assert len(server.launcher.started) == 1
    await server.runs.close()


async def test_a_run_under_way_refuses_and_costs_no_cool_down(start: StartServer) -> None:
    """During a manual training the alert is refused; its next notification afterwards starts a run."""
    server = start()
    await server.runs.start("{}", pipelines=("modelling",))
    assert (await server.take("a1")).decision.refusal is Refusal.RUN_IN_PROGRESS
    await server.end_run()
    assert (await server.take("a1")).run_id is not None
    await server.runs.close()


async def test_limits_survive_a_restart(start: StartServer) -> None:
    """Cool-down, daily cap and handled episodes are on disk."""
    before = start()
    await before.take("a1")
    await before.end_run()
    after = start()
    assert (await after.take("a1")).decision.refusal is Refusal.DUPLICATE
    assert (await after.take("b2")).decision.refusal is Refusal.COOL_DOWN
    after.now += timedelta(hours=7)
    assert (await after.take("b2")).run_id is not None
    await after.end_run()
    again = start()
    again.now = NOW + timedelta(hours=14)
    assert (await again.take("c3")).decision.refusal is Refusal.DAILY_CAP


@pytest.mark.parametrize("ends", ["failed", "killed with the server"])
async def test_an_alert_gets_another_run_if_its_run_failed(start: StartServer, ends: str) -> None:
    """After the cool-down, whether the run failed or the server was killed."""
    before = start()
    await before.take("a1")
    if ends == "failed":
        await before.end_run(1)
    after = start()
    after.now += timedelta(hours=7)
    assert (await after.take("a1")).run_id is not None
    await after.runs.close()
    await before.runs.close()


async def test_no_run_starts_if_the_history_cannot_be_written(start: StartServer, tmp_path: Path) -> None:
    """On a full or unwritable disk no run begins, because a restart would repeat it."""
    server = start()
    (tmp_path / "state").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(OSError, match="state"):
        await server.take("a1")
    assert not server.launcher.started


async def test_a_run_that_cannot_be_started_costs_no_cool_down(start: StartServer) -> None:
    """The next notification may start a run at once."""
    server = start()
    server.launcher.fails = True
    with pytest.raises(OSError, match="no more processes"):
        await server.take("a1")
    server.launcher.fails = False
    assert (await server.take("a1")).run_id is not None
    await server.runs.close()


async def test_metrics_follow_the_runs(start: StartServer) -> None:
    """Metrics count starts, ends, durations and the last success, by trigger."""
    server = start()
    await server.take("a1")
    assert "toxic_training_runs_in_progress 1.0" in await server.scrape()
    assert "toxic_training_last_success_timestamp_seconds{" not in await server.scrape()
    server.now += timedelta(minutes=3)
    await server.end_run()
    text = await server.scrape()
    assert "toxic_training_runs_in_progress 0.0" in text
    assert 'toxic_training_runs_started_total{trigger="alert"} 1.0' in text
    assert 'toxic_training_runs_ended_total{outcome="success",trigger="alert"} 1.0' in text
    assert 'toxic_training_run_duration_seconds_sum{outcome="success"} 180.0' in text
    when = f"{server.now.timestamp()}"
    sample = 'toxic_training_last_success_timestamp_seconds{trigger="alert"} '
    assert float(text.split(sample)[1].split("\n")[0]) == float(when)


def test_a_damaged_history_is_an_error(tmp_path: Path) -> None:
    """The error names the file and the remedy, because without the history the limits are lost."""
    (tmp_path / "retrainings.json").write_text('[{"run_id": "1"', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"retrainings\.json can't be read"):
        History(tmp_path / "retrainings.json")


def test_history_stays_small(tmp_path: Path) -> None:
    """Only the newest starts are kept."""
    history = History(tmp_path / "retrainings.json")
    for number in range(KEEP_STARTS + 5):
        history.add(Start(f"{number}", NOW, (), Outcome.SUCCEEDED))
    assert History(tmp_path / "retrainings.json").starts()[0].run_id == "5"
    assert not list(tmp_path.glob("*.partial"))
