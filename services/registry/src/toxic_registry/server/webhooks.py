"""Signed webhooks that notify other services of alias changes.

The message has the form, headers and signature of MLflow's own webhooks (`toxic_core.signing`), so that a
receiver handles both alike. MLflow's webhooks can't be used: they refuse private addresses, and an inference
service usually has one.

Delivery is best effort and never delays a promotion. A receiver that missed a message finds the change when
it polls.
"""

import json
import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import requests
import structlog
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from toxic_core.signing import sign
from toxic_registry.ledger.entries import Change, Entry, Outcome

_log = structlog.stdlib.get_logger(__name__)

_MAX_PENDING = 256
_RETRY = Retry(
    total=2,
    backoff_factor=0.3,
    status_forcelist=range(400, 600),
    allowed_methods=None,  # POST too: a receiver recognises a repeated delivery by its id
    respect_retry_after_header=False,
    raise_on_status=False,
)
_TIMEOUT_SECONDS = 2.0


class WebhookSender:
    """Posts each committed change of an alias to every address, from a thread of its own."""

    def __init__(self, urls: Sequence[str], *, secret: str, now: Callable[[], float] = time.time) -> None:
        self._urls = tuple(urls)
        self._secret = secret
        self._now = now
        self._session = requests.Session()  # used by the thread below alone
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_RETRY))
        self._pending: queue.Queue[Entry] = queue.Queue(_MAX_PENDING)

        # One thread for all addresses: usually there is one, so a slow receiver delays no other.
        threading.Thread(target=self._deliver, name="webhooks", daemon=True).start()

    def send(self, entry: Entry) -> None:
        """Queue an entry's message without blocking; refused changes send none."""
        if not self._urls or entry.outcome is Outcome.REFUSED:
            return
        try:
            self._pending.put_nowait(entry)
        except queue.Full:
            _log.warning("event.dropped", sequence=entry.sequence)

    def _deliver(self) -> None:
        while True:
            entry = self._pending.get()
            for url in self._urls:
                at = self._now()
                body = message(entry, at=at)
                headers = sign(body, secret=self._secret, delivery_id=str(uuid.uuid4()), timestamp=int(at))
                headers["Content-Type"] = "application/json"
                try:
                    answer = self._session.post(
                        url, data=body, headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False
                    )
                    answer.raise_for_status()
                except requests.RequestException as error:
                    status = None if error.response is None else error.response.status_code
                    reason = type(error).__name__
                    _log.warning(
                        "event.failed", url=url, sequence=entry.sequence, reason=reason, status=status
                    )
                else:
                    _log.info("event.delivered", url=url, sequence=entry.sequence)


def message(change: Change, *, at: float) -> bytes:
    """Return the JSON body that MLflow's webhook sends for `change` at Unix time `at`."""
    data = {"name": change.model, "alias": change.alias}
    if change.after is not None:
        data["version"] = str(change.after)
    content = {
        "entity": "model_version_alias",
        "action": "deleted" if change.after is None else "created",
        "timestamp": datetime.fromtimestamp(at, tz=UTC).isoformat(),
        "data": data,
    }
    return json.dumps(content).encode()
