"""infra/alertmanager/notices.py: notifications as lines of the log, and as text for a chat."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from toxic_testing.ports import free_port

pytestmark = pytest.mark.slow

NOTICES = Path(__file__).resolve().parents[1] / "infra" / "alertmanager" / "notices.py"
START_TRIES = 300
NOTIFICATION = {
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "ServiceDown", "severity": "page", "job": "inference"},
            "annotations": {
                "summary": "inference doesn't answer.",
                "description": "Nothing was scraped for a minute.",
                "runbook_url": "https://docs.example/runbooks.md#servicedown",
            },
        },
        {"status": "resolved", "labels": {"alertname": "QueueRefuses"}, "annotations": {}},
    ],
}
TEXTS = [
    """[FIRING] ServiceDown (page)
inference doesn't answer.
Nothing was scraped for a minute.
What to do: https://docs.example/runbooks.md#servicedown""",
    "[RESOLVED] QueueRefuses",
]


class _Chat(BaseHTTPRequestHandler):
    """A chat that keeps what it gets."""

    seen: list[object]
    status = 200

    def do_POST(self) -> None:
        """Keep a message."""
        self.seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write no log."""


@pytest.fixture
def chat() -> Iterator[str]:
    """Run a chat, and return its address."""
    _Chat.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Chat) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/hook?secret"
        server.shutdown()


@contextmanager
def _notices(**settings: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the program; yield its address and its process."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    environment = {"PATH": os.environ["PATH"], **settings}
    command = [sys.executable, str(NOTICES), str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(START_TRIES):
                try:
                    assert httpx.get(address, trust_env=False).status_code == 200
                    break
                except httpx.HTTPError:
                    threading.Event().wait(0.1)
            yield address, process
        finally:
            process.terminate()


def test_a_notification_is_logged_and_reaches_a_chat_as_text(
    chat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has one line per alert; a chat that refuses makes Alertmanager repeat it."""
    with _notices(ALERTMANAGER_TEXT_URL=chat) as (address, process):
        assert httpx.post(address, json=NOTIFICATION, trust_env=False).status_code == 200
        monkeypatch.setattr(_Chat, "status", 500)
        assert httpx.post(address, json=NOTIFICATION, trust_env=False).status_code == 502
        assert httpx.post(address, content=b"{", trust_env=False).status_code == 400
        process.terminate()
        logged = [json.loads(line) for line in (process.stdout or ())]
    assert _Chat.seen == [{"text": "\n\n".join(TEXTS)}] * 2
    assert [line["text"] for line in logged if line["event"] == "alert.notified"] == TEXTS * 2
    assert logged[-1]["event"] == "notice.not_delivered"
    assert "secret" not in json.dumps(logged)


def test_the_address_of_the_chat_may_be_a_file(chat: str, tmp_path: Path) -> None:
    """Compose mounts it as a secret; without one, notifications are only logged."""
    with _notices(ALERTMANAGER_SECRETS_DIR=str(tmp_path)) as (address, _):
        assert httpx.post(address, json=NOTIFICATION, trust_env=False).status_code == 200
        assert _Chat.seen == []
        (tmp_path / "ALERTMANAGER_TEXT_URL").write_text(f"{chat}\n", encoding="utf-8")
        assert httpx.post(address, json=NOTIFICATION, trust_env=False).status_code == 200
    assert _Chat.seen == [{"text": "\n\n".join(TEXTS)}]


def test_a_wrong_address_of_a_chat_is_not_logged() -> None:
    """It is a secret, even without its scheme."""
    with _notices(ALERTMANAGER_TEXT_URL="chat.example/hook?secret") as (address, process):
        assert httpx.post(address, json=NOTIFICATION, trust_env=False).status_code == 502
        process.terminate()
        logged = list(process.stdout or ())
    assert "notice.not_delivered" in logged[-1]
    assert "secret" not in "".join(logged)
