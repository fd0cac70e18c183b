import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from toxic_core.signatures import SigningKey, read_trusted_keys
from toxic_local.errors import CheckFailedError, ProcessFailedError, StopRequestedError
from toxic_local.plan import Commands, StackPlan
from toxic_local.stack import LocalStack, child_environment, registry_answers, signing_environment
from toxic_local.stop import StopSignal
from toxic_testing.ports import free_port


@pytest.fixture
def plan(tmp_path: Path, stand_ins: Commands) -> StackPlan:
    """Return the plan of a stack of fake programs."""
    return StackPlan(tmp_path, free_port(), free_port(), stand_ins)


def test_stack_serves_until_it_is_left(plan: StackPlan) -> None:
    """Within the context both services answer; after it neither does."""
    with LocalStack(plan) as stack:
        stack.start_registry()
        stack.start_inference()
        assert registry_answers(plan.registry_uri)
        assert httpx.get(f"{plan.inference_uri}/health/ready").is_success
    assert not registry_answers(plan.registry_uri)
    with pytest.raises(httpx.ConnectError):
        httpx.get(plan.inference_uri)


def test_inference_is_ready_when_it_serves_the_champion(plan: StackPlan) -> None:
    """The champion before, which answers from the cache at first, isn't what was promoted."""
    with LocalStack(plan, environment={**os.environ, "STANDIN_CHAMPION": "yes"}) as stack:
        stack.start_registry()
        stack.start_inference()
        assert httpx.get(f"{plan.inference_uri}/health/ready").json() == {"model_version": "3"}


def test_command_talks_to_the_stack_s_registry(plan: StackPlan) -> None:
    """What it runs finds the address in MLflow's own variable, and its status comes back."""
    wanted = (
        f"os.environ['MLFLOW_TRACKING_URI'] == os.environ['MLFLOW_REGISTRY_URI'] == {plan.registry_uri!r}"
    )
    check = f"import os, sys; sys.exit(9 if {wanted} else 1)"
    with LocalStack(plan) as stack:
        assert stack.run((sys.executable, "-c", check)) == 9


def test_registry_and_inference_share_a_secret_of_this_run(plan: StackPlan) -> None:
    """The registry's messages find the service and are believed; another run's aren't."""
    names = ("REGISTRY_EVENT_URLS", "REGISTRY_EVENT_SECRET", "INFERENCE_EVENT_SECRET")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    secrets = set()
    for run in range(2):
        told = plan.state_dir / f"told-{run}"
        code = f"import os; open({str(told)!r}, 'w').write(' '.join(os.environ[n] for n in {names!r}))"
        with LocalStack(plan, environment=clean) as stack:
            assert stack.run((sys.executable, "-c", code)) == 0
        url, signs, believes = told.read_text().split()
        assert (url, signs) == (f"{plan.inference_uri}/events", believes)
        secrets.add(signs)
    assert len(secrets) == 2


def test_training_signs_with_a_key_that_the_registry_trusts(plan: StackPlan) -> None:
    """The key is made once, for every stack of the state folder."""
    first, second = (signing_environment(plan.state_dir.parent) for _ in range(2))
    assert first == second
    key = SigningKey.read(Path(first["TOXIC_SIGNING_KEY_FILE"]))
    assert list(read_trusted_keys(Path(first["REGISTRY_TRUSTED_KEYS_FILE"]))) == [key.public]


def test_missing_program_is_named(plan: StackPlan) -> None:
    """A typo isn't a traceback."""
    with LocalStack(plan) as stack, pytest.raises(CheckFailedError, match="no-such-program"):
        stack.run(("no-such-program",))


def test_failed_training_is_told_with_its_status(plan: StackPlan) -> None:
    """The stack doesn't go on to promote what isn't there."""
    with (
        LocalStack(plan, environment={**os.environ, "STANDIN_BROKEN": "training"}) as stack,
        pytest.raises(ProcessFailedError, match="training ended with status 5"),
    ):
        stack.train("--env", "demo")


def test_server_that_dies_while_starting_points_to_its_log(plan: StackPlan) -> None:
    """Waiting ends when the process has ended."""
    with (
        LocalStack(plan, environment={**os.environ, "STANDIN_BROKEN": "registry"}) as stack,
        pytest.raises(ProcessFailedError, match="registry ended with status 4") as told,
    ):
        stack.start_registry()
    assert told.value.log == plan.log("registry")
    assert "coming up" in plan.log("registry").read_text()


def test_server_that_never_answers_ends_the_wait(plan: StackPlan) -> None:
    """The limit counts the seconds that pass, however long a probe takes."""
    commands = replace(plan.commands, registry=(sys.executable, "-c", "import signal; signal.pause()"))
    clock = iter(range(0, 10_000, 50)).__next__
    with (
        LocalStack(replace(plan, commands=commands), clock=clock) as stack,
        pytest.raises(ProcessFailedError, match="didn't get ready within 180 s"),
    ):
        stack.start_registry()
    assert clock() <= 250


def test_server_that_dies_ends_the_wait(plan: StackPlan) -> None:
    """Half a stack isn't left standing."""
    with LocalStack(plan) as stack:
        stack.start_inference()
        assert httpx.get(f"{plan.inference_uri}/die").status_code == httpx.codes.NOT_FOUND
        with pytest.raises(ProcessFailedError, match="inference ended with status 3"):
            stack.wait()


def test_stop_ends_the_wait_for_a_server(plan: StackPlan) -> None:
    """Ctrl-C counts while something is still coming up."""
    stop = StopSignal()
    stop.request(signal.SIGINT)
    with LocalStack(plan, stop=stop) as stack, pytest.raises(StopRequestedError):
        stack.start_registry()


def test_taken_port_is_found_before_the_start(plan: StackPlan) -> None:
    """Another server on the port isn't mistaken for our registry."""
    with LocalStack(plan) as first, LocalStack(plan) as second:
        first.start_registry()
        with pytest.raises(CheckFailedError, match="REGISTRY_PORT"):
            second.start_registry()


def test_champion_is_asked_of_the_registry(plan: StackPlan) -> None:
    """An empty registry has none."""
    with LocalStack(plan) as stack:
        assert stack.champion() is None
        stack.start_registry()
        assert stack.champion() is None


def test_champion_s_version_is_told(plan: StackPlan) -> None:
    """It is the version of the alias in MLflow."""
    with LocalStack(plan, environment={**os.environ, "STANDIN_CHAMPION": "yes"}) as stack:
        stack.start_registry()
        assert stack.champion() == "3"


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1", "not an address", "http://[", ""])
def test_what_doesn_t_answer_is_no_registry(uri: str) -> None:
    """A bad address is as good as none."""
    assert not registry_answers(uri)


def test_children_reach_each_other_without_a_proxy() -> None:
    """A company's proxy can't reach this machine's loopback address."""
    told = child_environment({"NO_PROXY": "intranet", "HTTP_PROXY": "http://proxy"})
    assert told["NO_PROXY"] == told["no_proxy"] == "intranet,127.0.0.1,localhost"


def test_children_send_no_usage_statistics() -> None:
    """The caller's variables don't change that."""
    assert child_environment({"MLFLOW_DISABLE_TELEMETRY": "false"})["MLFLOW_DISABLE_TELEMETRY"] == "true"
