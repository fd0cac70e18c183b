"""The configuration of Prometheus and Alertmanager, held against the real tools."""

import base64
import json
import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from toxic_testing.ports import free_port

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "infra" / "prometheus" / "rules").glob("*.yml"))
CASES = sorted((ROOT / "infra" / "prometheus" / "tests").glob("*.yml"))
REMOTE = {
    "PROMETHEUS_REMOTE_WRITE_URL": "https://metrics.example/api/v1/write",
    "PROMETHEUS_REMOTE_WRITE_USER": "it's: 1",
    "PROMETHEUS_REMOTE_WRITE_TOKEN": "a secret of this test",
}


def _alerts() -> list[dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_every_rule_is_one(run: Run, promtool: str, file: Path) -> None:
    """`promtool check rules` finds no error."""
    checked = run([promtool, "check", "rules", file])
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.name)
def test_alerts_fire_when_they_should_and_only_then(run: Run, promtool: str, file: Path) -> None:
    """`promtool test rules` agrees with every case."""
    tested = run([promtool, "test", "rules", file])
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_service_without_a_pod_is_down(run: Run, promtool: str, infra: Path, tmp_path: Path) -> None:
    """A cluster has no address of it then, and so no `up`; the container stack's addresses are fixed."""
    monitoring = infra / "kubernetes" / "monitoring"
    groups = yaml.safe_load((monitoring / "rules.yaml").read_text())["spec"]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(groups))
    shutil.copy(monitoring / "rules.test.yml", tmp_path)
    tested = run([promtool, "test", "rules", tmp_path / "rules.test.yml"])
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", _alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_is_explained_and_has_both_kinds_of_case(alert: dict[str, Any]) -> None:
    """Summary, description, a section in the runbook; and cases in which it fires and doesn't."""
    assert {"summary", "description", "runbook_url"} <= alert["annotations"].keys()
    path, anchor = alert["annotations"]["runbook_url"].split("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / path).read_text(), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}
    assert alert["alert"] in headings
    cases = [
        check
        for file in CASES
        for test in yaml.safe_load(file.read_text())["tests"]
        for check in test.get("alert_rule_test", ())
        if check["alertname"] == alert["alert"]
    ]
    assert {bool(check["exp_alerts"]) for check in cases} == {True, False}


@pytest.mark.parametrize("alert", _alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_has_a_case_in_which_its_series_appears_late(alert: dict[str, Any]) -> None:
    """A series that is born above 0 after the start; the case of estimated quality takes days."""
    late = [
        test
        for file in CASES
        for test in yaml.safe_load(file.read_text())["tests"]
        if any(str(series["values"]).startswith("_x") for series in test["input_series"])
    ]
    named = [
        check["alertname"]
        for test in late
        for check in test.get("alert_rule_test", ())
        if check["exp_alerts"]
    ]
    seen = [
        sample["labels"]
        for test in late
        for check in test.get("promql_expr_test", ())
        for sample in check["exp_samples"]
    ]
    assert alert["alert"] in named or any(f'"{alert["alert"]}"' in labels for labels in seen)


def test_prometheus_is_configured_from_the_environment(
    run: Run, promtool: str, infra: Path, tmp_path: Path
) -> None:
    """Targets and the hosted Prometheus are written so that promtool accepts them, for the owner alone."""
    environment = {
        "PROMETHEUS_RUN_DIR": str(tmp_path),
        "PROMETHEUS_SCRAPE_INFERENCE": "a:8001,b:8001",
        "PROMETHEUS_SCRAPE_TRAINING": "",
        **REMOTE,
    }
    rendered = run([infra / "prometheus" / "entrypoint.sh", "render"], environment=environment)
    assert rendered.stdout.strip() == str(tmp_path), rendered.stderr
    checked = run([promtool, "check", "config", tmp_path / "prometheus.yml"])
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert yaml.safe_load((tmp_path / "targets" / "inference.yml").read_text()) == [
        {"targets": ["a:8001", "b:8001"]}
    ]
    assert yaml.safe_load((tmp_path / "targets" / "training.yml").read_text()) == []
    (remote,) = yaml.safe_load((tmp_path / "prometheus.yml").read_text())["remote_write"]
    assert remote["basic_auth"]["username"] == "it's: 1"
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in written} == {0o600}
    holders = [file.name for file in written if "a secret of this test" in file.read_text()]
    assert holders == ["remote-write-token"]


@pytest.mark.parametrize(
    ("program", "secrets", "expected"),
    [
        ("prometheus", {"PROMETHEUS_REMOTE_WRITE_TOKEN": "a secret"}, {"remote-write-token": "a secret"}),
        ("prometheus", {"PROMETHEUS_REMOTE_WRITE_TOKEN": ""}, {}),
        (
            "alertmanager",
            {"TRAINING_ALERT_TOKEN": "a secret", "ALERTMANAGER_WEBHOOK_TOKEN": "other"},
            {"training-token": "a secret", "people-token": "other"},
        ),
        ("alertmanager", {"TRAINING_ALERT_TOKEN": ""}, {}),
    ],
)
def test_secrets_may_be_files(
    run: Run, infra: Path, tmp_path: Path, program: str, secrets: dict[str, str], expected: dict[str, str]
) -> None:
    """Compose mounts them, named like their variables; an empty one is none."""
    (tmp_path / "secrets").mkdir()
    addresses = ("ALERTMANAGER_WEBHOOK_URL", "ALERTMANAGER_SLACK_URL", "ALERTMANAGER_TEAMS_URL")
    hooks = {name: f"https://chat.example/{name}" for name in addresses if program == "alertmanager"}
    for name, value in (secrets | hooks).items():
        (tmp_path / "secrets" / name).write_text(value)
    environment = {
        f"{program.upper()}_SECRETS_DIR": str(tmp_path / "secrets"),
        f"{program.upper()}_RUN_DIR": str(tmp_path / "run"),
        "PROMETHEUS_REMOTE_WRITE_URL": "https://metrics.example/api/v1/write",
    }
    rendered = run([infra / program / "entrypoint.sh", "render"], environment=environment)
    assert rendered.returncode == 0, rendered.stderr
    assert {file.name: file.read_text() for file in (tmp_path / "run").glob("*-token")} == expected
    configuration = (tmp_path / "run" / f"{program}.yml").read_text()
    assert all(f"'{address}'" in configuration for address in hooks.values())


def test_without_a_hosted_prometheus_there_is_nothing_to_send_to(
    run: Run, promtool: str, infra: Path, tmp_path: Path
) -> None:
    """The defaults are those of one machine, and whole; a token from before is gone."""
    (tmp_path / "remote-write-token").write_text("old")
    run([infra / "prometheus" / "entrypoint.sh", "render"], environment={"PROMETHEUS_RUN_DIR": str(tmp_path)})
    assert run([promtool, "check", "config", tmp_path / "prometheus.yml"]).returncode == 0
    assert "remote_write" not in yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert not (tmp_path / "remote-write-token").exists()


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("", "docs/"),
        ("https://git.example/toxic/blob/main/docs", "https://git.example/toxic/blob/main/docs/"),
        ("http://git.example:8080/docs/", "http://git.example:8080/docs/"),
        ("https://someone@git.example/toxic", "https://git.example/toxic/"),
        ("https://someone:p&|'$(x)@git.example/t@main", "https://git.example/t@main/"),
    ],
)
def test_runbooks_are_links(
    run: Run, promtool: str, infra: Path, tmp_path: Path, base: str, expected: str
) -> None:
    """Each alert's link begins with RUNBOOK_BASE_URL, without the user and the token in it."""
    environment = {"PROMETHEUS_RUN_DIR": str(tmp_path), "RUNBOOK_BASE_URL": base}
    rendered = run([infra / "prometheus" / "entrypoint.sh", "render"], environment=environment)
    assert rendered.returncode == 0, rendered.stderr
    files = sorted((tmp_path / "rules").iterdir())
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    links = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in alerts}
    assert links == {name: f"{expected}runbooks.md#{name.lower()}" for name in links}
    assert len(links) == len(_alerts())
    assert run([promtool, "check", "rules", *files]).returncode == 0


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"RUNBOOK_BASE_URL": "git@git.example:team/toxic.git"}, "https://"),
        ({"RUNBOOK_BASE_URL": "https://git.example/it's"}, "RUNBOOK_BASE_URL"),
        ({"PROMETHEUS_REMOTE_WRITE_TOKEN": "x"}, "_URL"),
        ({"PROMETHEUS_REMOTE_WRITE_URL": "metrics.example"}, "https://"),
        ({**REMOTE, "PROMETHEUS_REMOTE_WRITE_TOKEN": ""}, "_TOKEN"),
        ({**REMOTE, "PROMETHEUS_REMOTE_WRITE_USER": "a\nb: c"}, "line break"),
        ({"PROMETHEUS_SCRAPE_INFERENCE": "http://inference:8001/metrics"}, "PROMETHEUS_SCRAPE_INFERENCE"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run: Run, infra: Path, tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    """With the variable's name, and without a configuration that looks like one."""
    told = {"PROMETHEUS_RUN_DIR": str(tmp_path), **environment}
    refused = run([infra / "prometheus" / "entrypoint.sh", "render"], environment=told)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert not (tmp_path / "prometheus.yml").exists()


@pytest.mark.parametrize(
    ("program", "variable"),
    [
        ("alertmanager", "ALERTMANAGER_SLACK_URL"),
        ("alertmanager", "ALERTMANAGER_TEAMS_URL"),
        ("alertmanager", "ALERTMANAGER_WEBHOOK_URL"),
        ("prometheus", "PROMETHEUS_REMOTE_WRITE_URL"),
    ],
)
def test_a_refused_address_is_not_logged(
    run: Run, infra: Path, tmp_path: Path, program: str, variable: str
) -> None:
    """A webhook's address is a secret, and a hosted Prometheus' may have a user and a password."""
    told = {f"{program.upper()}_RUN_DIR": str(tmp_path), variable: "someone:password@host.example/secret"}
    refused = run([infra / program / "entrypoint.sh", "render"], environment=told)
    assert refused.returncode == 2
    assert f"{variable} must begin with https://" in refused.stderr
    assert not re.search("someone|password|secret", refused.stdout + refused.stderr)
    assert not (tmp_path / f"{program}.yml").exists()


NAMED = {
    "TRAINING_ALERT_TOKEN": "a secret of this test",
    "ALERTMANAGER_TRAINING_URL": "http://training:8002/alerts",
    "ALERTMANAGER_WEBHOOK_URL": "https://chat.example/hook?a=it's",
}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param(NAMED, ["http://training:8002/alerts", "https://chat.example/hook?a=it's"], id="named"),
        pytest.param({}, [], id="nobody named"),
        pytest.param(
            {**NAMED, "TRAINING_ALERT_TOKEN": ""}, ["https://chat.example/hook?a=it's"], id="no token"
        ),
    ],
)
def test_alertmanager_is_configured_from_the_environment(
    run: Run, amtool: str, infra: Path, tmp_path: Path, environment: dict[str, str], expected: list[str]
) -> None:
    """Named receivers are notified, with tokens in files; others aren't. amtool accepts each."""
    told = {"ALERTMANAGER_RUN_DIR": str(tmp_path), **environment}
    rendered = run([infra / "alertmanager" / "entrypoint.sh", "render"], environment=told)
    assert rendered.returncode == 0, rendered.stderr
    checked = run([amtool, "check-config", tmp_path / "alertmanager.yml"])
    assert checked.returncode == 0, checked.stdout + checked.stderr
    receivers = yaml.safe_load((tmp_path / "alertmanager.yml").read_text())["receivers"]
    urls = [hook["url"] for receiver in receivers for hook in receiver.get("webhook_configs", [])]
    assert urls == expected
    assert "a secret of this test" not in (tmp_path / "alertmanager.yml").read_text()
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_chats_get_readable_text(run: Run, amtool: str, infra: Path, tmp_path: Path) -> None:
    """Slack and Teams get a title and sentences; notices and a pager get Alertmanager's own JSON."""
    told = {
        "ALERTMANAGER_RUN_DIR": str(tmp_path),
        "ALERTMANAGER_NOTICES_URL": "http://notices:8003/",
        "ALERTMANAGER_WEBHOOK_URL": "https://pager.example/hook",
        "ALERTMANAGER_SLACK_URL": "https://chat.example/hook?a=it's",
    }
    assert run([infra / "alertmanager" / "entrypoint.sh", "render"], environment=told).returncode == 0
    checked = run([amtool, "check-config", tmp_path / "alertmanager.yml"])
    assert checked.returncode == 0, checked.stdout + checked.stderr
    # Debian's amtool is older than the receiver for Teams.
    told["ALERTMANAGER_TEAMS_URL"] = "https://teams.example/hook"
    assert run([infra / "alertmanager" / "entrypoint.sh", "render"], environment=told).returncode == 0
    _, people = yaml.safe_load((tmp_path / "alertmanager.yml").read_text())["receivers"]
    assert [hook["url"] for hook in people["webhook_configs"]] == [
        "http://notices:8003/",
        "https://pager.example/hook",
    ]
    words = {"title": '{{ template "toxic.title" . }}', "text": '{{ template "toxic.text" . }}'}
    assert people["slack_configs"] == [
        {"api_url": "https://chat.example/hook?a=it's", "send_resolved": True, **words}
    ]
    assert people["msteamsv2_configs"] == [
        {"webhook_url": "https://teams.example/hook", "send_resolved": True, **words}
    ]


NOTIFICATION = {
    "status": "firing",
    "groupLabels": {"alertname": "ServiceDown"},
    "commonLabels": {"severity": "page"},
    "alerts": [
        {
            "annotations": {
                "summary": "One.",
                "description": "First.",
                "runbook": "a.md",
                "runbook_url": "b.md",
            }
        },
        {"annotations": {"summary": "Two.", "description": "Second.", "runbook": "a.md"}},
        {"annotations": {"summary": "Three.", "description": "Third."}},
    ],
}


def test_the_text_of_a_chat_has_what_a_person_needs(
    run: Run, amtool: str, infra: Path, tmp_path: Path
) -> None:
    """State, name, severity, summary, description and the page to open, if there is one."""
    (tmp_path / "data.json").write_text(json.dumps(NOTIFICATION), encoding="utf-8")
    command = [
        *(amtool, "template", "render"),
        f"--template.glob={infra / 'alertmanager' / 'notification.tmpl'}",
        f"--template.data={tmp_path / 'data.json'}",
    ]
    title = run([*command, '--template.text={{ template "toxic.title" . }}']).stdout
    text = run([*command, '--template.text={{ template "toxic.text" . }}']).stdout
    assert title == "[FIRING] ServiceDown (page)"
    assert text.splitlines() == [
        *("One.", "First.", "What to do: b.md"),
        *("Two.", "Second.", "What to do: a.md"),
        *("Three.", "Third."),
    ]


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (("alertname=ScoreDrift", "severity=ticket", "action=retrain"), "training,people"),
        (("alertname=ServiceDown", "severity=page"), "people"),
        (("alertname=QueueRefuses", "severity=ticket"), "people"),
    ],
)
def test_only_what_asks_for_it_reaches_training(
    run: Run, amtool: str, infra: Path, labels: tuple[str, ...], receivers: str
) -> None:
    """Amtool follows the routes as Alertmanager does."""
    file = infra / "alertmanager" / "alertmanager.yml"
    routed = run([amtool, "config", "routes", "test", f"--config.file={file}", *labels])
    assert routed.stdout.strip() == receivers, routed.stderr


class _Receiver(BaseHTTPRequestHandler):
    """A hosted Prometheus that keeps who asks."""

    seen: list[str]
    arrived: threading.Event

    def do_POST(self) -> None:
        """Take what is sent."""
        self.rfile.read(int(self.headers["content-length"]))
        self.seen.append(self.headers["authorization"])
        self.arrived.set()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write no log."""


@pytest.fixture
def hosted() -> Iterator[ThreadingHTTPServer]:
    """A hosted Prometheus, as far as it can be seen from here."""
    _Receiver.seen, _Receiver.arrived = [], threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_real_prometheus_sends_to_the_hosted_one(
    infra: Path, hosted: ThreadingHTTPServer, tmp_path: Path
) -> None:
    """With the user and token of the environment."""
    port = free_port()
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PROMETHEUS_RUN_DIR": str(tmp_path / "run"),
        "PROMETHEUS_SCRAPE_SELF": f"127.0.0.1:{port}",
        **REMOTE,
        "PROMETHEUS_REMOTE_WRITE_URL": f"http://127.0.0.1:{hosted.server_port}/api/v1/write",
    }
    arguments = [f"--web.listen-address=127.0.0.1:{port}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    command = [infra / "prometheus" / "entrypoint.sh", *arguments]
    with subprocess.Popen(
        [str(part) for part in command], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert _Receiver.arrived.wait(90)
        finally:
            process.terminate()
    expected = base64.b64encode(b"it's: 1:a secret of this test").decode()
    assert _Receiver.seen[0] == f"Basic {expected}"
