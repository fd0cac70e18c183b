import pytest

from toxic_batch.cluster import start
from toxic_core.errors import ConfigurationError


def test_an_address_without_a_cluster_is_named() -> None:
    """A wrong --address is named with a remedy, without Ray's stack trace."""
    with pytest.raises(ConfigurationError, match=r"nowhere without a port.*--address"):
        start("nowhere without a port")
