"""`make descriptors`: the descriptors of the gRPC doors' messages, from the packages that publish them.

`python -m toxic_testing.inference.descriptors PATH` writes them. The imports take TensorFlow's time.
"""

import sys
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2
from tritonclient.grpc import service_pb2

_PUBLISHED = (prediction_service_pb2, model_service_pb2, service_pb2, status_pb2, error_details_pb2)


def descriptor_set() -> bytes:
    """Return a serialized `FileDescriptorSet`, in which each file comes after those that it imports."""
    found: dict[str, FileDescriptorProto] = {}

    def add(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        if file.name not in found:
            file.CopyToProto(found.setdefault(file.name, FileDescriptorProto()))

    for module in _PUBLISHED:
        add(module.DESCRIPTOR)
    return FileDescriptorSet(file=found.values()).SerializeToString(deterministic=True)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(descriptor_set())
