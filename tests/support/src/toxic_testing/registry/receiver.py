"""A receiver of the registry's events.

Invariant: whatever was posted is kept as it came, with the time it came at.
"""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

RECEIVE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request that came.

    Attributes:
        headers: by name.
        body: to the byte.
        at: Unix time in seconds.
    """

    headers: dict[str, str]
    body: bytes
    at: float


class Receiver:
    """A web server on the loopback address that keeps what is posted to it, while its context is open."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._news = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.uri = f"http://127.0.0.1:{self._server.server_port}/events"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for(self, model: str, version: str) -> Delivery:
        """Return the first delivery that says champion of `model` is `version`.

        Raises:
            RuntimeError: none came.
        """
        wanted = {"name": model, "alias": "champion", "version": version}

        def found() -> Delivery | None:
            said = (d for d in self.deliveries if json.loads(d.body)["data"] == wanted)
            return next(said, None)

        with self._news:
            delivery = self._news.wait_for(found, RECEIVE_SECONDS)
        if delivery is None:
            raise RuntimeError(f"No event said {wanted}; {len(self.deliveries)} others came.")
        return delivery

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        def keep(request: BaseHTTPRequestHandler) -> None:
            body = request.rfile.read(int(request.headers["Content-Length"]))
            with self._news:
                self.deliveries.append(Delivery(dict(request.headers), body, time.time()))
                self._news.notify_all()
            request.send_response(204)
            request.end_headers()

        def say_nothing(*_: object) -> None:
            return

        return type("Handler", (BaseHTTPRequestHandler,), {"do_POST": keep, "log_message": say_nothing})
