"""`python -m toxic_training.data.sample`: write the generated sample."""

import argparse
import sys
from pathlib import Path

from toxic_training.data.sample.generator import DEFAULT_SEED
from toxic_training.data.sample.tables import write_sample


def main() -> int:
    """Write the sample to the folder in the arguments; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m toxic_training.data.sample", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/sample"), help="folder (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help="the generator's seed (default: %(default)s)"
    )
    arguments = parser.parse_args()
    try:
        rows = write_sample(arguments.out, seed=arguments.seed)
    except OSError as error:
        sys.stderr.write(f"The sample can't be written to {arguments.out}: {error}\n")
        return 1
    for name, count in rows.items():
        sys.stdout.write(f"{count:5d} rows  {arguments.out / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
