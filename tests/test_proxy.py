"""The proxy of the profile replicas: a real Caddy with our Caddyfile, in front of two small servers."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import httpx
import pytest

from toxic_testing.ports import free_port

pytestmark = pytest.mark.slow

CADDYFILE = Path(__file__).resolve().parents[1] / "infra" / "containers" / "Caddyfile"
CADDY = str(Path(sys.executable).with_name("caddy"))
START_TRIES = 300
REQUESTS = 60

REPLICA = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Replica(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self): self.answer()
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if body == b"slow":
            time.sleep(0.3)
        self.answer()
    def answer(self):
        self.send_response(200)
        self.send_header("content-length", "1")
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())
    def log_message(self, *_): pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Replica).serve_forever()
"""


@dataclass(frozen=True, slots=True)
class Proxied:
    """A running proxy: its addresses, and the processes and ports of the replicas behind it."""

    http: str
    grpc: str
    replicas: tuple[subprocess.Popen[bytes], ...]
    grpc_ports: tuple[int, int]


def _is_ready(address: str) -> bool:
    return httpx.get(f"{address}/health/ready", trust_env=False).is_success


def _wait(answers: Callable[[], bool]) -> None:
    for _ in range(START_TRIES):
        try:
            if answers():
                return
        except httpx.HTTPError:
            pass
        threading.Event().wait(0.1)
    pytest.fail("not within 30 s")


def _caddyfile(ports: dict[str, int]) -> str:
    """Return the Caddyfile for this machine's ports."""
    text = CADDYFILE.read_text(encoding="utf-8")
    for address, port in ports.items():
        text = re.sub(rf"(?<![\w.]){address}\b", f"{'' if address[0] == ':' else '127.0.0.1'}:{port}", text)
    return text


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    """Start two replicas and the proxy."""
    names = ("inference:8001", "inference-2:8001", "inference:8500", "inference-2:8500", ":8000", ":8501")
    ports = {name: free_port() for name in names}
    (tmp_path / "Caddyfile").write_text(_caddyfile(ports), encoding="utf-8")
    replicas = tuple(
        subprocess.Popen([sys.executable, "-c", REPLICA, str(ports[name]), str(number)])
        for number, name in enumerate(names[:2])
    )
    command = [CADDY, "run", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    caddy = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    http = f"http://127.0.0.1:{ports[':8000']}"
    addresses = [f"http://127.0.0.1:{ports[name]}" for name in names[:2]] + [http]
    try:
        for address in addresses:
            _wait(partial(_is_ready, address))
        yield Proxied(
            http,
            f"127.0.0.1:{ports[':8501']}",
            replicas,
            (ports["inference:8500"], ports["inference-2:8500"]),
        )
    finally:
        for process in (caddy, *replicas):
            process.kill()
            process.wait()


def test_a_killed_replica_costs_no_request(proxied: Proxied) -> None:
    """Requests before, at and after a kill -9 are answered, by the other replica if need be."""

    def post(number: int) -> tuple[int, str]:
        if number == REQUESTS // 3:
            proxied.replicas[0].kill()
        answer = httpx.post(f"{proxied.http}/predict", content=b"fast", timeout=30, trust_env=False)
        return answer.status_code, answer.text

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(post, range(REQUESTS)))
    assert {status for status, _ in answers} == {200}
    assert {name for _, name in answers[: REQUESTS // 3]} == {"0", "1"}
    assert {name for _, name in answers[-REQUESTS // 3 :]} == {"1"}


def test_a_stream_of_grpc_is_passed_on_message_by_message(proxied: Proxied) -> None:
    """An answer arrives before the client has ended its request."""

    def echo(messages: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
        yield from messages

    handler = grpc.method_handlers_generic_handler(
        "toxic", {"Echo": grpc.stream_stream_rpc_method_handler(echo)}
    )
    servers = []
    for port in proxied.grpc_ports:
        server = grpc.server(ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers((handler,))
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        servers.append(server)
    answered = threading.Event()

    def ask() -> Iterator[bytes]:
        yield b"one"
        assert answered.wait(20), "the first answer waits for the end of the request"
        yield b"two"

    with grpc.insecure_channel(proxied.grpc) as channel:
        call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream("/toxic/Echo")
        answers = call(ask(), timeout=30)
        assert next(answers) == b"one"
        answered.set()
        assert list(answers) == [b"two"]
    for server in servers:
        server.stop(0).wait()
