"""The container stack from end to end. The tests build on one another, in this order."""

import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest
from googleapiclient import discovery

from toxic_dashboards.boards import SERVICE
from toxic_testing.local.containers import MODEL, ContainerStack, docker
from toxic_testing.queries import panel_queries

pytestmark = pytest.mark.stack

TEXT = "Only an idiot would write this."
TRAINING = "--env demo --params modelling.epochs=3,evaluation.bootstrap_samples=0"
"""The demo's training, cut to the passes that the demo's gate needs: what is tested is the path."""
IMAGES = {
    "toxic-comment-endpoint": ("kedro", "mlflow", "pandas", "pip", "pyarrow", "tensorflow", "tensorflow-cpu"),
    "toxic-registry": ("tensorflow", "tensorflow-cpu", "keras", "kedro", "pip"),
    "toxic-training": ("pip",),
}
"""Each image, and packages that must not be in it."""
PASSWORD = 48
"""Length of a password that `make up` makes."""
ENDPOINT_BYTES = 900_000_000
"""Largest size of the inference image, with the shipped model."""


def test_up_serves_the_shipped_model(stack: ContainerStack) -> None:
    """After one command, the registry's first champion is the shipped model, and it answers."""
    assert stack.champion() == "1"
    assert stack.version() == "1"
    assert "the shipped model" in stack.make("history")


def test_up_again_changes_nothing(stack: ContainerStack) -> None:
    """Starting a running stack again is harmless."""
    before = {service: stack.container(service) for service in stack.running()}
    assert "Ready." in stack.up()
    assert {service: stack.container(service) for service in stack.running()} == before
    assert stack.champion() == "1"


def test_a_lost_env_file_changes_nothing(stack: ContainerStack) -> None:
    """Another start would give every container other passwords; it is refused before that."""
    before = {service: stack.container(service) for service in stack.running()}
    file = Path(stack.environment["TOXIC_ENV_FILE"])
    kept = file.rename(file.with_name("kept"))
    try:
        assert "Bring the file back" in stack.make("up", f"SERVICES={stack.services}", check=False)
        assert not file.exists()
    finally:
        kept.rename(file)
    assert {service: stack.container(service) for service in stack.running()} == before
    assert stack.version() == "1"


def test_docker_inspect_shows_no_password(stack: ContainerStack) -> None:
    """Containers have secrets as files; each file is mounted read-only."""
    lines = Path(stack.environment["TOXIC_ENV_FILE"]).read_text(encoding="utf-8").splitlines()
    passwords = {value for value in (line.partition("=")[2] for line in lines) if len(value) == PASSWORD}
    assert passwords
    for service in stack.running():
        told = docker("inspect", stack.container(service))
        assert not {password for password in passwords if password in told}, service
        mounts = json.loads(told)[0]["Mounts"]
        secrets = [mount for mount in mounts if mount["Destination"].startswith("/run/secrets/")]
        assert not [mount["Destination"] for mount in secrets if mount["RW"]], service


def test_a_new_password_recreates_the_containers_that_use_it(stack: ContainerStack) -> None:
    """Training and Alertmanager share the token of alerts; the others stay."""
    before = {service: stack.container(service) for service in stack.running()}
    stack.make("rotate", "NAMES=ALERT_TOKEN")
    after = {service: stack.container(service) for service in stack.running()}
    recreated = {service for service, container in after.items() if container != before[service]}
    assert recreated == {"training", "alertmanager"} & stack.running()
    assert stack.version() == "1"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_what_its_service_needs_and_nothing_to_build_with(image: str) -> None:
    """No package of another service, no compiler, no installer, no cache; and a user without a name."""
    code = (
        "import importlib.metadata as m, json, os, shutil;"
        "print(json.dumps([[d.name.lower() for d in m.distributions()],"
        "[w for w in ('gcc', 'cc', 'uv') if shutil.which(w)], os.getuid()]))"
    )
    packages, tools, user = json.loads(docker("run", "--rm", image, "python", "-c", code))
    # As root, because other users can't read the home of the image's build user.
    code = "import pathlib; print(pathlib.Path('~root/.cache').expanduser().exists())"
    cache = docker("run", "--rm", "--user=root", image, "python", "-c", code).strip()
    assert not set(packages) & set(IMAGES[image])
    assert (tools, user, cache) == ([], 10001, "False")
    size = int(docker("image", "inspect", "--format", "{{.Size}}", image))
    base = int(docker("image", "inspect", "--format", "{{.Size}}", "python:3.11-slim-bookworm"))
    print(f"\n{image}: {size / 1e6:.0f} MB, of which {(size - base) / 1e6:.0f} MB over its base")
    assert image != "toxic-comment-endpoint" or size <= ENDPOINT_BYTES


@pytest.mark.usefixtures("stack")
def test_the_endpoint_serves_by_itself() -> None:
    """`docker run` as the guide has it: the shipped model, without registry or network."""
    words = ("run", "--detach", "--rm", "--read-only", "--tmpfs=/tmp", "--network=none", "--env=PORT=8001")
    allow = "--env=INFERENCE_ALLOW_UNAUTHENTICATED=true"
    container = docker(*words, allow, "toxic-comment-endpoint").strip()
    code = (
        "import json, time, urllib.request as web\n"
        "body = json.dumps({'texts': ['a kind word']}).encode()\n"
        "for attempt in range(240):\n"
        "    time.sleep(0.5)\n"
        "    try:\n"
        "        address, headers = 'http://127.0.0.1:8001/predict', {'content-type': 'application/json'}\n"
        "        print(web.urlopen(web.Request(address, body, headers), timeout=10).read().decode())\n"
        "        break\n"
        "    except OSError:\n"
        "        pass\n"
    )
    try:
        answer = json.loads(docker("exec", container, "python", "-c", code))
        assert answer["model_version"] == "1"
        assert len(answer["results"][0]["scores"]) == 6
    finally:
        docker("kill", container)


def test_ports_are_open_on_this_machine_only(stack: ContainerStack) -> None:
    """Published ports listen on the loopback address; others can't be reached."""
    for service in stack.running():
        bindings = json.loads(
            docker("inspect", "--format", "{{json .HostConfig.PortBindings}}", stack.container(service))
        )
        addresses = {binding["HostIp"] for each in (bindings or {}).values() for binding in each}
        assert addresses <= {"127.0.0.1"}, service


def test_nothing_in_it_reaches_the_outside(stack: ContainerStack) -> None:
    """No library can send comments out of the containers' network."""
    code = (
        "import socket\n"
        "try:\n"
        "    socket.create_connection(('1.1.1.1', 53), 3)\n"
        "    print('out')\n"
        "except OSError:\n"
        "    print('in')\n"
    )
    for service in ("registry", "training", "inference"):
        assert docker("exec", stack.container(service), "python", "-c", code).strip() == "in", service


def test_a_version_is_trained_in_the_container(stack: ContainerStack) -> None:
    """`make train` finds the running stack, prints that, and registers a challenger; the champion stays."""
    told = stack.make("train", f"ARGS={TRAINING}")
    assert "In the container stack" in told
    assert "Registered toxic-comments version 2 as challenger" in told
    assert stack.version() == "1"


def test_a_promotion_over_the_registry_s_own_api_is_served(stack: ContainerStack) -> None:
    """MLflow's REST API moves the alias, as its page does; no prediction is lost on the way."""
    with stack.load() as outcomes:
        httpx.post(
            f"{stack.registry}/api/2.0/mlflow/registered-models/alias",
            json={"name": MODEL, "alias": "champion", "version": "2"},
            auth=stack.sign_in(),
            timeout=60,
            trust_env=False,
        ).raise_for_status()
        took = stack.wait_until(lambda: stack.version() == "2", "the promoted version answers")
    print(f"\nserved {took:.1f} s after the promotion; meanwhile {dict(outcomes)}")
    assert outcomes.keys() <= {"version 1", "version 2"}


def test_prometheus_reaches_every_target(stack: ContainerStack) -> None:
    """Each service is scraped under its job."""

    def targets() -> dict[str, str]:
        told = httpx.get(f"{stack.prometheus}/api/v1/targets", trust_env=False).raise_for_status().json()
        return {each["labels"]["job"]: each["health"] for each in told["data"]["activeTargets"]}

    assert targets().keys() == {"inference", "registry", "training", "prometheus", "alertmanager"}
    expected = targets().keys() & stack.running()
    stack.wait_until(
        lambda: {job for job, health in targets().items() if health == "up"} == expected, "all up"
    )


def test_what_the_service_dashboard_asks_has_an_answer(stack: ContainerStack) -> None:
    """Every expression of every panel returns data under load, except those that need an event first.

    Without Alertmanager, what it measures has none.
    """
    waiting = panel_queries(SERVICE, needing=False, rate_interval="2m")
    if "alertmanager" not in stack.running():
        waiting -= {query for query in waiting if "alertmanager_" in query}
    assert waiting

    def all_answered() -> bool:
        waiting.difference_update([expression for expression in waiting if stack.ask(expression)])
        return not waiting

    with stack.load():
        try:
            took = stack.wait_until(all_answered, "every expression has data")
        finally:
            print("\nexpressions without data:", sorted(waiting) or "none")
    print(f"all of them after {took:.0f} s")


def test_google_s_own_client_is_answered(stack: ContainerStack) -> None:
    """A program for the Perspective API changes only its address."""
    with discovery.build(
        "commentanalyzer",
        "v1alpha1",
        discoveryServiceUrl=f"{stack.inference}/$discovery/rest?version=v1alpha1",
        static_discovery=False,
        developerKey="none",
    ) as client:
        body = {"comment": {"text": TEXT}, "requestedAttributes": {"TOXICITY": {}}, "languages": ["en"]}
        answer = client.comments().analyze(body=body).execute()
    assert 0 <= answer["attributeScores"]["TOXICITY"]["summaryScore"]["value"] <= 1


def test_the_daily_commands_work_on_the_containers(stack: ContainerStack) -> None:
    """Rolled back and promoted again by `make`; the ledger knows who and why."""
    stack.make("rollback", "REASON=to see it work")
    stack.wait_until(lambda: stack.version() == "1", "the version before answers")
    stack.make("promote", "VERSION=2", "REASON=and back")
    stack.wait_until(lambda: stack.version() == "2", "the promoted version answers")
    history = stack.make("history")
    assert "to see it work" in history
    assert "and back" in history


STARTED = os.environ.get("TOXIC_E2E_SERVICES", "").split()
OTHERS = [
    service
    for service in ("registry", "postgres", "training", "prometheus", "alertmanager")
    if service in STARTED or not STARTED
]


@pytest.mark.parametrize("service", OTHERS)
def test_predictions_outlive_every_other_service(stack: ContainerStack, service: str) -> None:
    """With any of them killed under load, every prediction is answered; started again, it is well again."""
    with stack.load() as outcomes:
        docker("kill", stack.container(service))
        answered = sum(outcomes.values())
        stack.wait_until(lambda: sum(outcomes.values()) > answered + 20, "twenty predictions without it")
        docker("start", stack.container(service))
        took = stack.wait_until(lambda: stack.is_healthy(service), f"{service} is healthy again")
        stack.wait_until(lambda: stack.champion() == "2", "the registry knows its champion")
    print(f"\n{service} killed: {dict(outcomes)}; healthy {took:.0f} s after its start")
    assert outcomes.keys() == {"version 2"}


def test_a_command_without_its_registry_says_so(stack: ContainerStack) -> None:
    """One line, and what to do."""
    docker("kill", stack.container("registry"))
    told = stack.make("-s", "history", "MLFLOW_TRACKING_URI=http://127.0.0.1:15000", check=False)
    assert "No registry answers" in told
    docker("start", stack.container("registry"))
    stack.wait_until(lambda: stack.is_healthy("registry"), "the registry is healthy again")


def test_inference_starts_from_its_cache_without_a_registry(stack: ContainerStack) -> None:
    """Both killed, only inference started: the champion that it knew answers."""
    docker("kill", stack.container("registry"))
    with stack.load() as outcomes:
        docker("kill", stack.container("inference"))
        stack.wait_until(lambda: outcomes["no answer"] > 0, "a prediction fails")
        docker("start", stack.container("inference"))
        took = stack.wait_until(lambda: stack.version() == "2", "predictions are answered again")
    docker("start", stack.container("registry"))
    stack.wait_until(lambda: stack.is_healthy("registry"), "the registry is healthy again")
    print(f"\ninference killed: {dict(outcomes)}; answered {took:.1f} s after its start, without a registry")


@pytest.mark.parametrize("service", ["inference", "registry", "training"])
def test_a_crash_is_healed_by_itself(stack: ContainerStack, service: str) -> None:
    """A container restarts by itself, no matter how its process ended."""
    before = docker("inspect", "--format", "{{.State.StartedAt}}", stack.container(service))
    subprocess.run(
        ["docker", "exec", stack.container(service), "sh", "-c", "kill -9 -1"],
        check=False,
        capture_output=True,
    )

    def is_back() -> bool:
        began = docker("inspect", "--format", "{{.State.StartedAt}}", stack.container(service))
        return began != before and stack.is_healthy(service)

    took = stack.wait_until(is_back, f"{service} is back")
    print(f"\n{service} crashed; healthy again after {took:.0f} s")
    stack.wait_until(lambda: stack.version() == "2", "the champion answers")


def test_a_backup_restores_everything(stack: ContainerStack, tmp_path: Path) -> None:
    """All volumes removed and made again: versions, ledger, the champion and corrections are as before."""
    correction = {"id": "one", "text": TEXT, "consent": True, "labels": {"toxic": True}, "model_version": "2"}
    httpx.post(f"{stack.inference}/feedback", json=correction, trust_env=False).raise_for_status()
    history = stack.make("-s", "history")
    folder = tmp_path / "backup"
    stack.make("backup", f"TO={folder}")
    assert folder.stat().st_mode & 0o077 == 0
    assert "is there already" in stack.make("backup", f"TO={folder}", check=False)

    stack.remove()
    assert stack.running() == set()
    assert "Nothing was changed" in stack.make("restore", f"FROM={folder}", stdin="n\n", check=False)
    stack.make("restore", f"FROM={folder}", "YES=1")

    assert stack.version() == "2"
    assert stack.make("-s", "history") == history
    # Without a key nobody is shown corrections, but who sends one again is told that it is there.
    again = httpx.post(f"{stack.inference}/feedback", json=correction, trust_env=False).raise_for_status()
    assert again.json()["created"] is False


def test_down_keeps_the_data_and_the_next_start_serves_it(stack: ContainerStack) -> None:
    """`make down`, `make up`: the champion is the one before."""
    assert "data stays" in stack.make("down")
    assert stack.running() == set()
    assert f"{stack.project}_registry-artifacts" in docker("volume", "ls", "--quiet")
    stack.up()
    assert stack.version() == "2"
