import pytest

from toxic_batch.cluster import Cluster, start
from toxic_core.errors import ConfigurationError


def test_an_address_without_a_cluster_is_named() -> None:
    """A wrong --address is named with a remedy, without Ray's stack trace."""
    cluster = Cluster(address="nowhere without a port", workers=None, worker_cpus=1, worker_gpus=0.0)
    with pytest.raises(ConfigurationError, match=r"nowhere without a port.*--address"):
        start(cluster)
