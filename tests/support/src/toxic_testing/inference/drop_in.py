"""`infra/perspective-drop-in` in a network of its own, for clients that have Google's host built in.

Linux namespaces hide this machine's network, name servers and certificates from the processes inside: what
they send can't leave, dnsmasq answers for the host's name, Caddy has its certificate, and the system trusts
the recipe's authority. A Unix socket leads to the service, which stays outside.
"""

import os
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from toxic_testing.inference.process import Logs

HOST = "commentanalyzer.googleapis.com"
RECIPE = Path(__file__).parents[5] / "infra" / "perspective-drop-in"
STARTED = "serving initial configuration"
BUNDLES = (
    *("CURL_CA_BUNDLE", "HTTPLIB2_CA_CERTS", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"),
)
"""Variables that name certificates for some programs; this machine's own are taken away inside."""

_AS_ROOT = os.geteuid() == 0
_ENTER = ["unshare", "--net", "--mount", *([] if _AS_ROOT else ["--map-root-user"])]
_INSIDE = r"""
set -e
ip link set lo up
mount --bind "$FOLDER/resolv.conf" /etc/resolv.conf
mount --bind "$FOLDER/trusted" /etc/ssl/certs
dnsmasq --conf-file="$RECIPE/dnsmasq.conf" --address="/$HOST/127.0.0.1" --keep-in-foreground \
    --pid-file= --user=root &
exec caddy run --adapter caddyfile --config "$RECIPE/Caddyfile"
"""


class _Forward(socketserver.BaseRequestHandler):
    """A connection to the Unix socket, continued to the service."""

    def handle(self) -> None:
        with socket.create_connection(self.server.service) as service:  # type: ignore[attr-defined]
            back = threading.Thread(target=_copy, args=(service, self.request))
            back.start()
            _copy(self.request, service)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class DropIn:
    """The running recipe; a context manager.

    Attributes:
        certificates: the folder with `ca.crt`.
    """

    def __init__(self, address: str, folder: Path) -> None:
        """Prepare the recipe in front of the service at `address`, with its files in `folder`."""
        may = subprocess.run([*_ENTER, "true"], capture_output=True, text=True, check=False)
        if may.returncode:
            pytest.skip(f"unshare --net --mount isn't permitted here: {may.stderr.strip()}")
        self.certificates = folder / "certificates"
        script = RECIPE / "make-certificates.sh"
        subprocess.run([script, self.certificates], check=True, capture_output=True)
        # As update-ca-certificates does: one file with all of them, and a link by the hash of each subject.
        trusted = shutil.copytree("/etc/ssl/certs", folder / "trusted", symlinks=True)
        authority = self.certificates / "ca.crt"
        with (trusted / "ca-certificates.crt").open("ab") as all_of_them:
            all_of_them.write(authority.read_bytes())
        named = ["openssl", "x509", "-noout", "-hash", "-in", str(authority)]
        name = subprocess.run(named, check=True, capture_output=True, text=True).stdout.strip()
        shutil.copy(authority, trusted / f"{name}.0")
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n", encoding="utf-8")
        self._folder = folder
        self._door = socketserver.ThreadingUnixStreamServer(str(folder / "service.socket"), _Forward)
        self._door.daemon_threads = True
        at = urlsplit(address)
        self._door.service = (at.hostname, at.port)  # type: ignore[attr-defined]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._door.serve_forever, daemon=True).start()
        environment = {
            **os.environ,
            "FOLDER": str(self._folder),
            "RECIPE": str(RECIPE),
            "HOST": HOST,
            "HOME": str(self._folder),
            "CERTIFICATES": str(self.certificates),
            "INFERENCE": f"unix/{self._folder / 'service.socket'}",
        }
        with (self._folder / "log").open("wb") as log:
            # A group of its own: dnsmasq ends with Caddy.
            self._process = subprocess.Popen(
                [*_ENTER, "sh", "-c", _INSIDE],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with (self._folder / "log").open(encoding="utf-8") as log:
            Logs(self._process, log).wait_for(STARTED, seconds=60)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        self._door.shutdown()
        self._door.server_close()

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside.

        Args:
            command: the program and its arguments.
            environment: more variables, beside those of this process.
        """
        assert self._process is not None
        enter = ["nsenter", f"--target={self._process.pid}", "--net", "--mount"]
        if not _AS_ROOT:
            enter += ["--user", "--preserve-credentials"]
        ours = {name: value for name, value in os.environ.items() if name not in BUNDLES}
        return subprocess.run(
            [*enter, "--", *command],
            env={**ours, **(environment or {})},
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
