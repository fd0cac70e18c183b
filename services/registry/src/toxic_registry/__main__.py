"""`python -m toxic_registry`: the server, or any other command of `toxic-registry`."""

import sys

from toxic_registry.client.cli import main

if __name__ == "__main__":
    main(sys.argv[1:] or ["serve"])
