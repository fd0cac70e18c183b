"""What holds for the tests of every package."""

import os
import sys
from collections.abc import Iterator

import pytest

ADDRESSES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
"""Which registry MLflow speaks to: setting one for a process sets its variable for those it starts."""

_AT_FIRST = {name: os.environ.get(name) for name in ADDRESSES}


@pytest.fixture(scope="module", autouse=True)
def mlflow_addresses() -> Iterator[None]:
    """End a module's registry with the module: the next would hand its address to the servers it starts."""
    yield
    if (mlflow := sys.modules.get("mlflow")) is not None:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
    for name, value in _AT_FIRST.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
