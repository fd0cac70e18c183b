"""`python -m toxic_training.data.sample`: write the generated sample."""

import sys
from pathlib import Path

import click

from toxic_training.data.sample.generator import DEFAULT_SEED
from toxic_training.data.sample.tables import write_sample


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default="data/sample", show_default=True)
@click.option("--seed", default=DEFAULT_SEED, show_default=True, help="The generator's seed.")
def main(out: Path, seed: int) -> None:
    """Write the sample to the folder `out`."""
    try:
        rows = write_sample(out, seed=seed)
    except OSError as error:
        sys.exit(f"The sample can't be written to {out}: {error}")
    for name, count in rows.items():
        click.echo(f"{count:5d} rows  {out / name}")


if __name__ == "__main__":
    main()
