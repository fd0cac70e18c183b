from importlib.resources import files

import pytest
from google.protobuf.descriptor_pool import Default

from toxic_inference.rpc import messages
from toxic_testing.inference.descriptors import descriptor_set

pytestmark = pytest.mark.slow


def test_the_descriptors_are_current() -> None:
    """They are those of the installed packages; `make descriptors` writes them."""
    assert (files(messages.__package__) / messages.DESCRIPTORS).read_bytes() == descriptor_set()


def test_the_messages_are_not_those_of_tensorflow() -> None:
    """Both can be in one process: files of one name don't meet in one pool."""
    name = "tensorflow.TensorProto"
    assert Default().FindMessageTypeByName(name) is not messages.POOL.FindMessageTypeByName(name)
