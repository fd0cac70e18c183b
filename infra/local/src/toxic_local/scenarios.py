"""What `toxic-local` does: the demo, serving, MLflow's page, and a registry around one command.

Invariant: each returns the process's exit status and leaves no process behind.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from toxic_local.checks import check_disk, check_installed, check_port, check_writable
from toxic_local.errors import CheckFailedError
from toxic_local.plan import Commands, StackPlan, plan_from
from toxic_local.process import ProcessSpec
from toxic_local.stack import (
    LocalStack,
    child_environment,
    ended,
    registry_answers,
    run_to_end,
    signing_environment,
)
from toxic_local.steps import Steps, say
from toxic_local.stop import StopSignal

_READY = """
Ready after {seconds:.0f} s; Ctrl-C stops everything.

  page        {inference}/
  API docs    {inference}/docs
  MLflow UI   {registry}

Try:

  curl -s {inference}/predict -H 'content-type: application/json' \\
    -d '{{"texts": ["Only an idiot would write this."]}}'
"""

_PAGE = """
  runs        {registry}/#/experiments
  versions    {registry}/#/models/toxic-comments
"""

SIGNALLED = 128
"""The shell's convention for an exit status, to which the signal is added."""

_TRAINING = "toxic_training"
_RUN_IS_KEPT = """
This registry has stopped, so that addresses printed above don't answer. `make ui` starts it again:
{registry}/#/experiments has the run."""

_CHALLENGER = """
The model trained on the sample is the challenger: {registry}/#/models/toxic-comments
shows it beside the champion. It has seen generated comments only; `make train` takes yours.
"""


def demo(environment: Mapping[str, str], *, commands: Commands, stop: StopSignal) -> int:
    """Serve the shipped baseline, train a challenger on the sample beside it, and stay until a signal."""
    plan = plan_from(environment, name="demo", commands=commands)
    # The sample's toy model meets no floor that is meant for real ones.
    environment = {"REGISTRY_GATE_FILE": "demo", **environment}
    steps = Steps(5, out=sys.stdout)
    with LocalStack(plan, stop=stop, environment=environment) as stack:
        with steps.step("check ports, disk and folders"):
            check_machine(plan)
        with steps.step(f"start the registry (log: {_short(plan.log('registry'))})"):
            stack.start_registry()
        # It comes up beside the next step, which leaves the second core free while it imports TensorFlow.
        stack.launch_inference()
        with steps.step("make the shipped baseline champion, unless there is one"):
            if stack.champion() is None:
                stack.train("--env", "demo", "--pipelines", "baseline")
                stack.promote("challenger", reason="make demo: the shipped baseline")
        with steps.step(f"wait until inference serves it (log: {_short(plan.log('inference'))})"):
            stack.wait_for_inference()
        _tell_addresses(stack, seconds=steps.seconds())
        with steps.step("beside it, train a challenger on the sample"):
            stack.train("--env", "demo")
        say(_CHALLENGER.format(registry=plan.registry_uri), out=sys.stdout)
        _stay(stack)
    return 0


def serve(environment: Mapping[str, str], *, commands: Commands, stop: StopSignal) -> int:
    """Serve the champion of the local registry, and stay until a signal."""
    plan = plan_from(environment, name="local", commands=commands)
    steps = Steps(3, out=sys.stdout)
    with LocalStack(plan, stop=stop, environment=environment) as stack:
        with steps.step("check ports, disk and folders"):
            check_machine(plan)
        with steps.step(f"start the registry (log: {_short(plan.log('registry'))})"):
            stack.start_registry()
        if stack.champion() is None:
            raise CheckFailedError(
                f"The registry in {_short(plan.state_dir)} has no champion to serve; "
                "run `make train`, then `make promote VERSION=challenger`, or see `make demo`."
            )
        with steps.step(f"start inference (log: {_short(plan.log('inference'))})"):
            stack.start_inference()
        _tell_addresses(stack, seconds=steps.seconds())
        _stay(stack)
    return 0


def ui(environment: Mapping[str, str], *, commands: Commands, stop: StopSignal) -> int:
    """Show the local registry on MLflow's page and stay until a signal; no champion is needed."""
    plan = plan_from(environment, name="local", commands=commands)
    addresses = _PAGE.format(registry=plan.registry_uri)
    if registry_answers(plan.registry_uri):
        say(f"A registry runs already.\n{addresses}", out=sys.stdout)
        return 0
    check_writable(plan.state_dir)
    with LocalStack(plan, stop=stop, environment=environment) as stack:
        stack.start_registry()
        say(f"{addresses}\nCtrl-C stops it.", out=sys.stdout)
        stack.wait()
    return 0


def with_registry(
    command: Sequence[str], environment: Mapping[str, str], *, commands: Commands, stop: StopSignal
) -> int:
    """Run `command` with a registry to talk to, the running one or one of its own; return its status.

    The status of a command that a signal ended is the shell's, after a line that names the signal.
    """
    plan = plan_from(environment, name="local", commands=commands)
    chosen = environment.get("MLFLOW_TRACKING_URI")
    uri = chosen or plan.registry_uri
    if registry_answers(uri):
        signing = signing_environment(plan.state_dir.parent)
        told = {**signing, **child_environment(environment), "MLFLOW_TRACKING_URI": uri}
        return _shell_status(run_to_end(ProcessSpec("the command", command, told), stop=stop))
    if chosen:
        # A user who named a registry doesn't want another one to be filled.
        raise CheckFailedError(
            f"No registry answers at MLFLOW_TRACKING_URI={chosen}; start it, or unset the variable to use "
            f"the one in {_short(plan.state_dir)}."
        )
    check_writable(plan.state_dir)
    with LocalStack(plan, stop=stop, environment=environment) as stack:
        stack.start_registry()
        status = stack.run(command)
        if _TRAINING in command:
            say(_RUN_IS_KEPT.format(registry=plan.registry_uri), out=sys.stderr)
        return _shell_status(status)


def check_machine(plan: StackPlan) -> None:
    """Make sure that `plan` can run here.

    Raises:
        CheckFailedError: it can't.
    """
    for command in (plan.commands.registry, plan.commands.train, plan.commands.inference):
        check_installed(command)
    check_port(plan.inference_port, needed_by="the inference service", variable="INFERENCE_PORT")
    check_port(plan.registry_port, needed_by="the registry", variable="REGISTRY_PORT")
    check_writable(plan.state_dir)
    check_disk(plan.state_dir)


def _tell_addresses(stack: LocalStack, *, seconds: float) -> None:
    inference, registry = stack.plan.inference_uri, stack.plan.registry_uri
    say(_READY.format(seconds=seconds, inference=inference, registry=registry), out=sys.stdout)


def _shell_status(status: int) -> int:
    if status >= 0:
        return status
    say(f"toxic-local: The command {ended(status)}; see its output above.", out=sys.stderr)
    return SIGNALLED - status


def _stay(stack: LocalStack) -> None:
    stack.wait()
    say("\nStopping inference and registry …", out=sys.stdout)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
