"""The messages of the Open Inference Protocol, version 2, and of its binary tensor extension.

https://github.com/kserve/open-inference-protocol, https://github.com/triton-inference-server/server
(docs/protocol/extension_binary_data.md). Unknown members are ignored, as the protocol asks of servers.
"""

from typing import Annotated

from pydantic import BaseModel, Field, JsonValue, StrictBool, StrictInt, StrictStr

from toxic_inference.http.texts import Language

Size = Annotated[StrictInt, Field(ge=0, lt=2**31)]
_MOST_DIMENSIONS = 8
_MOST_TENSORS = 16
Parameters = dict[str, JsonValue]


class TensorParameters(BaseModel):
    """A tensor's parameters in the binary tensor extension."""

    binary_data_size: Size | None = None
    binary_data: StrictBool | None = None
    classification: StrictInt | None = None


class InputTensor(BaseModel):
    """A tensor of the request."""

    name: StrictStr
    shape: list[Size] = Field(max_length=_MOST_DIMENSIONS)
    datatype: StrictStr
    parameters: TensorParameters = TensorParameters()
    data: list[JsonValue] | None = None


class OutputRequest(BaseModel):
    """A requested tensor of the answer."""

    name: StrictStr
    parameters: TensorParameters = TensorParameters()


class RequestParameters(BaseModel):
    """A request's parameters: Triton's, the timeout in microseconds, and this service's `language`."""

    binary_data_output: StrictBool = False
    timeout: Size | None = None
    language: Language | None = None


class InferRequest(BaseModel):
    """Inputs to score."""

    id: StrictStr | None = None
    parameters: RequestParameters = RequestParameters()
    inputs: list[InputTensor] = Field(min_length=1, max_length=_MOST_TENSORS)
    outputs: list[OutputRequest] = Field(default_factory=list, max_length=_MOST_TENSORS)


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
    """An input or output of the model; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """The model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(BaseModel):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class Ready(BaseModel):
    """Whether the server or a model is ready."""

    name: str | None = None
    ready: bool


class Live(BaseModel):
    """Whether the server is alive."""

    live: bool
