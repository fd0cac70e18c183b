"""Logs every notification of Alertmanager in plain words, and passes it on to a chat as {"text": …}.

    python notices.py [PORT]

ALERTMANAGER_TEXT_URL: the webhook of the chat. If it is empty, it is read from the file of this name in
ALERTMANAGER_SECRETS_DIR (/run/secrets, where Compose mounts secrets); without one, notifications are only
logged. If the chat refuses one, so does this program, and Alertmanager repeats it.
"""

import json
import os
import sys
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypedDict
from urllib.request import Request, urlopen

_LARGEST_BYTES = 1_000_000
_CHAT_SECONDS = 10


class Alert(TypedDict):
    """What is read of an alert."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


def in_words(alert: Alert) -> str:
    """Return an alert as lines of text: its state and name, what it means, and the page of its runbook."""
    labels, annotations = alert["labels"], alert["annotations"]
    severity = f" ({labels['severity']})" if "severity" in labels else ""
    runbook = annotations.get("runbook_url") or annotations.get("runbook")
    lines = (
        f"[{alert['status'].upper()}] {labels.get('alertname', 'alert')}{severity}",
        annotations.get("summary"),
        annotations.get("description"),
        f"What to do: {runbook}" if runbook else None,
    )
    return "\n".join(line for line in lines if line)


class Notices(BaseHTTPRequestHandler):
    """Alertmanager's notifications on POST, and the health of this program on GET."""

    def do_GET(self) -> None:
        """Answer the health check."""
        self._answer(200)

    def do_POST(self) -> None:
        """Log the alerts, and pass them on."""
        try:
            length = min(int(self.headers["content-length"]), _LARGEST_BYTES)
            alerts: list[Alert] = json.loads(self.rfile.read(length))["alerts"]
            texts = [in_words(alert) for alert in alerts]
        except (KeyError, TypeError, ValueError):
            return self._answer(400)
        for alert, text in zip(alerts, texts, strict=True):
            _log("alert.notified", status=alert["status"], text=text)
        if url := os.environ.get("ALERTMANAGER_TEXT_URL") or _secret("ALERTMANAGER_TEXT_URL"):
            body = json.dumps({"text": "\n\n".join(texts)}).encode()
            try:
                request = Request(url, body, {"content-type": "application/json"})  # noqa: S310  the operator's address
                urlopen(request, timeout=_CHAT_SECONDS).close()  # noqa: S310
            except (OSError, HTTPException, ValueError) as error:
                # Without the address, which is a secret; that of a wrong one is in its error.
                reason = str(error) if isinstance(error, OSError) else type(error).__name__
                _log("notice.not_delivered", error=reason)
                return self._answer(502)
        return self._answer(200)

    def log_message(self, *_: object) -> None:
        """Log no requests."""

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()


def _secret(name: str) -> str:
    file = Path(os.environ.get("ALERTMANAGER_SECRETS_DIR", "/run/secrets")) / name
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _log(event: str, **facts: str) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1]) if sys.argv[1:] else 8003), Notices).serve_forever()
