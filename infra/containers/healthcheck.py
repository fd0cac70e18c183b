"""Exits with 0 if this container's service answers a path with 200, else with 1.

    python healthcheck.py PATH PORT [VARIABLE …]

VARIABLEs may name another port, the first that is set. Runs every few seconds, so it imports little; and asks
the service itself, not a proxy of the environment.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

_ANSWER_SECONDS = 4


def main(path: str, port: str, *variables: str) -> int:
    """Return the exit status."""
    chosen = next(filter(None, map(os.environ.get, variables)), port)
    connection = HTTPConnection("127.0.0.1", int(chosen), timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        return int(connection.getresponse().status != 200)  # noqa: PLR2004  http.HTTPStatus takes time to import
    except (OSError, HTTPException) as error:
        sys.stderr.write(f"{path} on port {chosen} doesn't answer: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
