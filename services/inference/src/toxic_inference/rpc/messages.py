"""The messages of the gRPC doors, in a descriptor pool of their own.

`make descriptors` takes their descriptors from the packages that publish them; `NOTICE` has their licences.

Invariant: protobuf's default pool stays as it is, where TensorFlow and Triton's client register
files and messages of the same names.
"""

from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

DESCRIPTORS = "descriptors.binpb"

POOL = DescriptorPool()
"""Descriptors of every message and service."""

for _file in FileDescriptorSet.FromString((files(__package__) / DESCRIPTORS).read_bytes()).file:
    POOL.Add(_file)  # the set has dependencies first


def message_class(name: str) -> Any:
    """Return the class of a message, such as `tensorflow.serving.PredictRequest`.

    Raises:
        KeyError: there is no such message.
    """
    return GetMessageClass(POOL.FindMessageTypeByName(name))
