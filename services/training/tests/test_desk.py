import asyncio
from datetime import UTC, datetime

import pytest

from toxic_testing.training.runs import FakeLauncher
from toxic_training.server.answers import RunAnswer
from toxic_training.server.desk import RunDesk, RunInProgressError, RunState, UnknownRunError
from toxic_training.server.report import RunReport

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TRAINING = ("modelling",)


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@pytest.fixture
def launcher() -> FakeLauncher:
    """Return a launcher of fake runs."""
    return FakeLauncher()


@pytest.fixture
def desk(launcher: FakeLauncher) -> RunDesk:
    """Return a desk that remembers two runs."""
    return RunDesk(launcher, keep_runs=2, now=lambda: NOW)


async def test_a_second_run_is_refused_while_one_is_under_way(desk: RunDesk, launcher: FakeLauncher) -> None:
    """The refusal says what runs, since when, and where to look; after its end the next one is taken."""
    first = await desk.start("{}", pipelines=TRAINING)
    with pytest.raises(
        RunInProgressError, match="of modelling is under way since 2026-11-23 12:00"
    ) as caught:
        await desk.start("{}", pipelines=("evaluation",))
    assert caught.value.run.run_id == first.run_id
    launcher.started[0].end(0)
    assert (await desk.wait(first.run_id)).state is RunState.SUCCEEDED
    await desk.start("{}", pipelines=("evaluation",))
    await desk.close()


async def test_of_requests_at_once_one_is_taken(desk: RunDesk, launcher: FakeLauncher) -> None:
    """The slot is taken before the process is started."""
    starts = [desk.start("{}", pipelines=TRAINING) for _ in range(5)]
    outcomes = await asyncio.gather(*starts, return_exceptions=True)
    assert sum(isinstance(outcome, RunInProgressError) for outcome in outcomes) == 4
    assert len(launcher.started) == 1
    await desk.close()


async def test_a_waiting_client_that_goes_away_stops_nothing(desk: RunDesk, launcher: FakeLauncher) -> None:
    """The run ends as it would have."""
    run = await desk.start("{}", pipelines=TRAINING)
    client = asyncio.create_task(desk.wait(run.run_id))
    await asyncio.sleep(0)
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    launcher.started[0].end(0)
    assert (await desk.wait(run.run_id)).state is RunState.SUCCEEDED


async def test_a_failed_run_says_why(desk: RunDesk, launcher: FakeLauncher) -> None:
    """In its own words."""
    run = await desk.start("{}", pipelines=TRAINING)
    launcher.started[0].said = RunReport(error_type="InvalidDataError", error="The table is empty.")
    launcher.started[0].end(1)
    ended = await desk.wait(run.run_id)
    assert ended.state is RunState.FAILED
    assert ended.report.error == "The table is empty."


async def test_a_killed_run_is_a_failed_one(desk: RunDesk, launcher: FakeLauncher) -> None:
    """It had no time for words, so its exit status and the log have to do."""
    run = await desk.start("{}", pipelines=TRAINING)
    launcher.started[0].end(-9)
    ended = await desk.wait(run.run_id)
    assert ended.state is RunState.FAILED
    assert "status -9" in str(ended.report.error)


async def test_a_stopped_run_is_no_failed_one(desk: RunDesk, launcher: FakeLauncher) -> None:
    """Who stopped it knows why it ended; stopping it again changes nothing."""
    run = await desk.start("{}", pipelines=TRAINING)
    desk.stop(run.run_id)
    assert (await desk.wait(run.run_id)).state is RunState.STOPPED
    assert launcher.started[0].is_stopped
    assert desk.stop(run.run_id).state is RunState.STOPPED


async def test_a_run_that_is_stopped_while_it_starts_ends(desk: RunDesk, launcher: FakeLauncher) -> None:
    """A stop isn't lost between the request and the process."""
    starting = asyncio.create_task(desk.start("{}", pipelines=TRAINING))
    await asyncio.sleep(0)
    desk.stop_current()
    run = await starting
    assert (await desk.wait(run.run_id)).state is RunState.STOPPED
    assert launcher.started[0].is_stopped


async def test_a_run_that_cannot_be_started_frees_the_slot(desk: RunDesk, launcher: FakeLauncher) -> None:
    """The next request is taken."""
    launcher.fails = True
    with pytest.raises(OSError, match="no more processes"):
        await desk.start("{}", pipelines=TRAINING)
    launcher.fails = False
    await desk.start("{}", pipelines=TRAINING)
    await desk.close()


async def test_only_so_many_runs_are_remembered(desk: RunDesk, launcher: FakeLauncher) -> None:
    """The oldest are forgotten; asking for one says where to look."""
    runs = []
    for _ in range(3):
        runs.append(await desk.start("{}", pipelines=TRAINING))
        launcher.started[-1].end(0)
        await desk.wait(runs[-1].run_id)
    assert [run.run_id for run in desk.all()] == [runs[2].run_id, runs[1].run_id]
    with pytest.raises(UnknownRunError, match="GET /runs"):
        desk.get(runs[0].run_id)


async def test_an_answer_leads_to_the_run_in_mlflow(desk: RunDesk) -> None:
    """Already while it runs, and with the step it is at."""
    run = await desk.start("{}", pipelines=TRAINING)
    answer = RunAnswer.of(desk.get(run.run_id), mlflow_page="http://mlflow.example/")
    assert answer.mlflow_run_url == "http://mlflow.example/#/experiments/1/runs/abc"
    assert (answer.step, answer.steps, answer.node) == (2, 5, "train classifier")
    assert answer.duration_ms is None
    await desk.close()
