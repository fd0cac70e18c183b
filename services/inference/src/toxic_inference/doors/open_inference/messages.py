"""The messages of the Open Inference Protocol, version 2, and of its binary tensor extension.

https://github.com/kserve/open-inference-protocol, https://github.com/triton-inference-server/server
(docs/protocol/extension_binary_data.md).

Invariant: members that the protocol doesn't have are ignored, as it asks of servers.
"""

from typing import Annotated

from pydantic import BaseModel, Field, JsonValue, StrictBool, StrictInt, StrictStr

Size = Annotated[StrictInt, Field(ge=0)]
Parameters = dict[str, JsonValue]


class TensorParameters(BaseModel):
    """What the binary tensor extension says of a tensor."""

    binary_data_size: Size | None = None
    binary_data: StrictBool | None = None
    classification: StrictInt | None = None


class InputTensor(BaseModel):
    """A tensor of the request."""

    name: StrictStr
    shape: list[Size]
    datatype: StrictStr
    parameters: TensorParameters = TensorParameters()
    data: list[JsonValue] | None = None


class OutputRequest(BaseModel):
    """A tensor that the answer should have."""

    name: StrictStr
    parameters: TensorParameters = TensorParameters()


class RequestParameters(BaseModel):
    """Of the whole request: Triton's, the timeout in microseconds, and `language`, this service's own."""

    binary_data_output: StrictBool = False
    timeout: Size | None = None
    language: StrictStr | None = None


class InferRequest(BaseModel):
    """Asks for scores."""

    id: StrictStr | None = None
    parameters: RequestParameters = RequestParameters()
    inputs: list[InputTensor] = Field(min_length=1)
    outputs: list[OutputRequest] = Field(default_factory=list)


class OutputTensor(BaseModel):
    """A tensor of the answer."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters | None = None
    data: list[JsonValue] | None = None


class InferAnswer(BaseModel):
    """The scores."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorMetadata(BaseModel):
    """A tensor that the model takes or gives; -1 stands for any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What the model is."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class Ready(BaseModel):
    """Whether something is ready."""

    name: str | None = None
    ready: bool


class Live(BaseModel):
    """Whether the server lives."""

    live: bool


class ProtocolError(BaseModel):
    """Every error of these routes."""

    error: str
