"""The messages of the Open Inference Protocol, version 2, and of its binary tensor extension.

https://github.com/kserve/open-inference-protocol, https://github.com/triton-inference-server/server
(docs/protocol/extension_binary_data.md). Unknown members are ignored, as the protocol asks of servers.
"""

from typing import Annotated

from pydantic import BaseModel, Field, JsonValue, RootModel, StrictBool, StrictInt, StrictStr

from toxic_inference.http.texts import Language

Size = Annotated[StrictInt, Field(ge=0, lt=2**31)]
_MOST_DIMENSIONS = 8
_MOST_TENSORS = 16
Parameters = dict[str, JsonValue]


class TensorParameters(BaseModel):
    """A tensor's parameters: of the binary tensor extension, and MLServer's `content_type`."""

    binary_data_size: Size | None = None
    binary_data: StrictBool | None = None
    classification: StrictInt | None = None
    content_type: StrictStr | None = None


class InputTensor(BaseModel):
    """A tensor of the request."""

    name: StrictStr
    shape: list[Size] = Field(max_length=_MOST_DIMENSIONS)
    datatype: StrictStr
    parameters: TensorParameters = Field(default_factory=TensorParameters)
    data: list[JsonValue] | None = None


class OutputRequest(BaseModel):
    """A requested tensor of the answer."""

    name: StrictStr
    parameters: TensorParameters = Field(default_factory=TensorParameters)


class RequestParameters(BaseModel):
    """A request's parameters.

    They are Triton's, the timeout in microseconds, MLServer's `content_type` for tensors without their own,
    and this service's `language`.
    """

    binary_data_output: StrictBool = False
    content_type: StrictStr | None = None
    timeout: Size | None = None
    language: Language | None = None


class InferRequest(BaseModel):
    """Inputs to score."""

    id: StrictStr | None = None
    parameters: RequestParameters = Field(default_factory=RequestParameters)
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


class ModelNames(BaseModel):
    """The models."""

    models: list[str]


class TensorConfig(BaseModel):
    """An input or output in Triton's model configuration; rows aren't counted."""

    name: str
    data_type: str
    dims: list[int]


class StringParameter(BaseModel):
    """A parameter of Triton's model configuration."""

    string_value: str


class ModelConfig(BaseModel):
    """The model in Triton's model configuration extension."""

    name: str
    platform: str
    max_batch_size: int
    input: list[TensorConfig]
    output: list[TensorConfig]
    parameters: dict[str, StringParameter]


class IndexRequest(BaseModel):
    """Which versions to list, in Triton's model repository extension."""

    ready: StrictBool = False


class IndexEntry(BaseModel):
    """A version of the model."""

    name: str
    version: str
    state: str
    reason: str


class Index(RootModel[list[IndexEntry]]):
    """The known versions."""


class Duration(BaseModel):
    """How often something happened, and how long it took in all."""

    count: int
    ns: int = 0


class InferenceStatistics(BaseModel):
    """Totals of rows; but `fail` and `compute_input` are of requests, and `compute_infer` is of batches.

    The time of failed requests isn't measured.
    """

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class VersionStatistics(BaseModel):
    """A version's totals since it was loaded."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferenceStatistics
    batch_stats: list[JsonValue] = []


class ModelStatistics(BaseModel):
    """The statistics in Triton's statistics extension."""

    model_stats: list[VersionStatistics]


class Ready(BaseModel):
    """Whether the server or a model is ready."""

    name: str | None = None
    ready: bool


class Live(BaseModel):
    """Whether the server is alive."""

    live: bool
