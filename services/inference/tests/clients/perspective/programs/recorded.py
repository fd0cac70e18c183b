"""Sends recorded requests, byte by byte; prints the answers as JSON, those of a batch as a list.

recorded.py FOLDER NAME…
"""

import email
import gzip
import json
import socket
import ssl
import sys
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

HOST = "commentanalyzer.googleapis.com"


def main() -> None:
    """Send each request over a connection of its own."""
    folder, *names = sys.argv[1:]
    found: dict[str, object] = {}
    for name in names:
        with (
            socket.create_connection((HOST, 443)) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=HOST) as connection,
        ):
            connection.sendall(Path(folder, f"{name}.http").read_bytes())
            answer = HTTPResponse(connection, method="POST")
            answer.begin()
            kind, body = answer.headers["content-type"], answer.read()
            if answer.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
        if kind.startswith("multipart/"):
            parts: Any = email.message_from_bytes(
                f"content-type: {kind}\r\n\r\n".encode() + body
            ).get_payload()
            found[name] = [json.loads(str(part.get_payload()).partition("\r\n\r\n")[2]) for part in parts]
        else:
            found[name] = json.loads(body)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
