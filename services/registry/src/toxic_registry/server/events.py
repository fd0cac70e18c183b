"""Telling others that an alias moved, by signed messages.

The message is the one that MLflow's own webhooks send, in form, headers and signature (`toxic_core.signing`),
so that a receiver needn't know which of the two it came from. MLflow's own refuse addresses that aren't
public, which an inference service on a private network hasn't.

Invariant: a message is sent only of what is committed, never holds a promotion up, and is worth no more than
a hint: a receiver that missed it finds the change when it polls.
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

from toxic_core.signing import sign
from toxic_registry.ledger.rows import Change, Entry, Outcome

_log = structlog.stdlib.get_logger(__name__)

_PENDING = 256
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.3
_TIMEOUT_SECONDS = 2.0


class EventSender:
    """Posts each committed change of an alias to every address, in a thread of its own."""

    def __init__(self, urls: Sequence[str], *, secret: str, now: Callable[[], float] = time.time) -> None:
        self._urls = tuple(urls)
        self._secret = secret
        self._now = now
        self._session = requests.Session()  # used by the thread below alone
        self._pending: queue.Queue[Entry] = queue.Queue(_PENDING)
        # One thread an address would keep a slow receiver from delaying the others; there is one, as a rule.
        threading.Thread(target=self._run, name="events", daemon=True).start()

    def __call__(self, entry: Entry) -> None:
        """Send word of a row soon, without blocking; see `Observer`."""
        if not self._urls or entry.change.outcome is Outcome.REFUSED:
            return
        try:
            self._pending.put_nowait(entry)
        except queue.Full:
            _log.warning("event.dropped", sequence=entry.sequence)

    def _run(self) -> None:
        while True:
            entry = self._pending.get()
            for url in self._urls:
                self._deliver(url, entry)

    def _deliver(self, url: str, entry: Entry) -> None:
        delivery_id = str(uuid.uuid4())
        body = message(entry.change, at=self._now())
        reason = ""
        for attempt in range(_ATTEMPTS):
            time.sleep(attempt * _PAUSE_SECONDS)
            try:
                answer = self._post(url, body, delivery_id)
            except requests.RequestException as error:
                reason = type(error).__name__
                continue
            if answer.ok:
                _log.info("event.delivered", url=url, sequence=entry.sequence)
                return
            reason = f"status {answer.status_code}"
        _log.warning("event.failed", url=url, sequence=entry.sequence, reason=reason)

    def _post(self, url: str, body: bytes, delivery_id: str) -> requests.Response:
        headers = sign(body, secret=self._secret, delivery_id=delivery_id, timestamp=int(self._now()))
        return self._session.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", **headers},
            timeout=_TIMEOUT_SECONDS,
            allow_redirects=False,
        )


def message(change: Change, *, at: float) -> bytes:
    """Return the body that MLflow's webhook would have for `change`."""
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
