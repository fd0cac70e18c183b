"""MLflow's tables in a new database: making them takes seconds of migrations, copying them none."""

import shutil
import tempfile
import warnings
from pathlib import Path

import mlflow
from filelock import FileLock
from sqlalchemy import create_engine


def create_tables(database: str) -> None:
    """Make the tables in an empty database, by its SQLAlchemy address."""
    from mlflow.store.db import utils  # noqa: PLC0415  a second, and most tests get a copy

    engine = create_engine(database)
    with warnings.catch_warnings(action="ignore"):  # MLflow's models use what SQLAlchemy deprecates
        utils._initialize_tables(engine)
    engine.dispose()


def copy_tables(file: Path) -> str:
    """Make `file` an SQLite database with empty tables, unless it exists; return its SQLAlchemy address."""
    made = Path(tempfile.gettempdir()) / f"toxic-tables-of-mlflow-{mlflow.__version__}.db"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            partial = made.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            create_tables(f"sqlite:///{partial}")
            partial.rename(made)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, file)
    return f"sqlite:///{file}"
