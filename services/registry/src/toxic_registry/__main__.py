"""`python -m toxic_registry`: the server by default, or any command of `toxic-registry`."""

import sys

from toxic_registry.cli import main

if __name__ == "__main__":
    main(sys.argv[1:] or ["serve"])
