"""A receiver of the registry's webhooks, which keeps every request with its time."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

RECEIVE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Delivery:
    """A received request.

    Attributes:
        headers: by name.
        body: unchanged.
        at: Unix time in seconds.
    """

    headers: dict[str, str]
    body: bytes
    at: float


class Receiver:
    """A context manager that runs a web server on the loopback address and keeps every POST."""

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
        """Return the first delivery that makes `version` champion of `model`.

        Raises:
            RuntimeError: none came in time.
        """
        wanted = {"name": model, "alias": "champion", "version": version}

        def found() -> Delivery | None:
            return next((d for d in self.deliveries if json.loads(d.body)["data"] == wanted), None)

        with self._news:
            delivery = self._news.wait_for(found, RECEIVE_SECONDS)
        if delivery is None:
            raise RuntimeError(f"No delivery had {wanted}; {len(self.deliveries)} others came.")
        return delivery

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        def keep(request: BaseHTTPRequestHandler) -> None:
            body = request.rfile.read(int(request.headers["Content-Length"]))
            with self._news:
                self.deliveries.append(Delivery(dict(request.headers), body, time.time()))
                self._news.notify_all()
            request.send_response(204)
            request.end_headers()

        def ignore(*_: object) -> None:
            return

        return type("Handler", (BaseHTTPRequestHandler,), {"do_POST": keep, "log_message": ignore})
