import os

import pytest

from toxic_core.telemetry import disable_telemetry
from toxic_testing.inference.bundles import BundleFactory

disable_telemetry()
os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"})


@pytest.fixture(scope="session")
def build_bundle(tmp_path_factory: pytest.TempPathFactory) -> BundleFactory:
    """Return what makes sealed bundles with a real SavedModel."""
    return BundleFactory(tmp_path_factory.mktemp("models"))
