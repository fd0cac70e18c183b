import asyncio
from datetime import UTC, datetime

import pytest

from toxic_core.errors import RunInProgressError
from toxic_testing.training.runs import FakeLauncher
from toxic_training.kedro_project.run_report import RunReport
from toxic_training.server.answers import RunAnswer
from toxic_training.server.runs import RunManager, RunRecord, RunState, UnknownRunError

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

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
def events() -> list[RunRecord]:
    """Return the list that receives the events."""
    return []


@pytest.fixture
def runs(launcher: FakeLauncher, events: list[RunRecord]) -> RunManager:
    """Return a manager that remembers two runs."""
    return RunManager(launcher.launch, keep_runs=2, emit=events.append, now=lambda: NOW)


async def test_a_second_run_is_refused_while_one_is_under_way(
    runs: RunManager, launcher: FakeLauncher
) -> None:
    """The refusal names the run, its start and its address; after its end the next one is accepted."""
    first = await runs.start("{}", pipelines=TRAINING)
    with pytest.raises(
        RunInProgressError, match="of modelling is under way since 2026-11-23 12:00"
    ) as caught:
        await runs.start("{}", pipelines=("evaluation",))
    assert caught.value.run_id == first.run_id
    launcher.started[0].end(0)
    assert (await runs.wait(first.run_id)).state is RunState.SUCCEEDED
    await runs.start("{}", pipelines=("evaluation",))
    await runs.close()


async def test_of_requests_at_once_one_is_taken(runs: RunManager, launcher: FakeLauncher) -> None:
    """The slot is taken before the process is started."""
    starts = [runs.start("{}", pipelines=TRAINING) for _ in range(5)]
    outcomes = await asyncio.gather(*starts, return_exceptions=True)
    assert sum(isinstance(outcome, RunInProgressError) for outcome in outcomes) == 4
    assert len(launcher.started) == 1
    await runs.close()


async def test_a_waiting_client_that_disconnects_does_not_stop_the_run(
    runs: RunManager, launcher: FakeLauncher
) -> None:
    """The run ends by itself."""
    run = await runs.start("{}", pipelines=TRAINING)
    client = asyncio.create_task(runs.wait(run.run_id))
    await asyncio.sleep(0)
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    launcher.started[0].end(0)
    assert (await runs.wait(run.run_id)).state is RunState.SUCCEEDED


async def test_a_failed_run_has_its_own_error(runs: RunManager, launcher: FakeLauncher) -> None:
    """The run's report contains the reason."""
    run = await runs.start("{}", pipelines=TRAINING)
    launcher.started[0].latest = RunReport(error_type="InvalidDataError", error="The table is empty.")
    launcher.started[0].end(1)
    ended = await runs.wait(run.run_id)
    assert ended.state is RunState.FAILED
    assert ended.report.error == "The table is empty."


async def test_a_killed_run_is_a_failed_one(runs: RunManager, launcher: FakeLauncher) -> None:
    """It wrote no reason, so the report has its exit status and refers to the log."""
    run = await runs.start("{}", pipelines=TRAINING)
    launcher.started[0].end(-9)
    ended = await runs.wait(run.run_id)
    assert ended.state is RunState.FAILED
    assert "status -9" in str(ended.report.error)


async def test_a_stopped_run_is_not_a_failed_one(runs: RunManager, launcher: FakeLauncher) -> None:
    """Its state is `stopped`; stopping it again doesn't change it."""
    run = await runs.start("{}", pipelines=TRAINING)
    runs.stop(run.run_id)
    assert (await runs.wait(run.run_id)).state is RunState.STOPPED
    assert launcher.started[0].is_stopped
    assert runs.stop(run.run_id).state is RunState.STOPPED


async def test_a_run_that_is_stopped_while_it_starts_ends(runs: RunManager, launcher: FakeLauncher) -> None:
    """A stop between the request and the start of the process isn't lost."""
    starting = asyncio.create_task(runs.start("{}", pipelines=TRAINING))
    await asyncio.sleep(0)
    runs.stop_current()
    run = await starting
    assert (await runs.wait(run.run_id)).state is RunState.STOPPED
    assert launcher.started[0].is_stopped


async def test_a_run_that_cannot_be_started_frees_the_slot(
    runs: RunManager, launcher: FakeLauncher, events: list[RunRecord]
) -> None:
    """The next request is accepted, and both the start and the end are emitted."""
    launcher.fails = True
    with pytest.raises(OSError, match="no more processes"):
        await runs.start("{}", pipelines=TRAINING)
    assert [run.state for run in events] == [RunState.RUNNING, RunState.FAILED]
    launcher.fails = False
    await runs.start("{}", pipelines=TRAINING)
    await runs.close()


async def test_only_so_many_runs_are_remembered(runs: RunManager, launcher: FakeLauncher) -> None:
    """The oldest are forgotten; the error for one refers to the list."""
    ids = []
    for _ in range(3):
        ids.append((await runs.start("{}", pipelines=TRAINING)).run_id)
        launcher.started[-1].end(0)
        await runs.wait(ids[-1])
    assert [run.run_id for run in runs.all()] == [ids[2], ids[1]]
    with pytest.raises(UnknownRunError, match="GET /runs"):
        runs.get(ids[0])


async def test_an_answer_links_to_the_run_in_mlflow(runs: RunManager) -> None:
    """It also has the current step while the run is under way."""
    run = await runs.start("{}", pipelines=TRAINING)
    answer = RunAnswer.of(runs.get(run.run_id), mlflow_page="http://mlflow.example/")
    assert answer.mlflow_run_url == "http://mlflow.example/#/experiments/1/runs/abc"
    assert (answer.step, answer.steps, answer.node) == (2, 5, "train classifier")
    assert answer.duration_ms is None
    await runs.close()
