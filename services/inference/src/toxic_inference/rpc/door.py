"""What gRPC doors share: the shape of their errors, and messages as bodies.

A gRPC call is an HTTP request, `POST /package.Service/Method`, so a gRPC door is a `Door` whose operations
have these paths. `rpc.server` takes the calls.
"""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from toxic_inference.http.backend import Backend
from toxic_inference.http.body import read_body
from toxic_inference.http.door import Access, ErrorShape, Handler, Operation
from toxic_inference.http.errors import MalformedRequestError, canonical_code

MESSAGE_TYPE = "application/grpc+proto"


class Status(BaseModel):
    """An error, as `google.rpc.Status`; its code is a name of `google.rpc.Code`."""

    code: str
    message: str


STATUS = ErrorShape(
    "gRPC status",
    Status,
    lambda problem: {"code": canonical_code(problem, problem.status), "message": problem.message},
)


def method(
    path: str,
    handler: Handler,
    *,
    scores: bool = False,
    access: Access = Access.CLIENT,
    probe: bool = False,
) -> Operation:
    """Return the operation of a method, such as `/tensorflow.serving.PredictionService/Predict`."""
    return Operation("POST", path, handler, scores=scores, access=access, probe=probe, documented=False)


async def read_message(
    request: Request, backend: Backend, message: Any, read: Callable[[Any], Any] = lambda found: found
) -> Any:
    """Return what `read` makes of the request's message; that of a large message on a thread.

    Raises:
        MalformedRequestError: the body is not such a message.
    """

    def parse(body: bytes) -> Any:
        try:
            return read(message.FromString(body))
        except DecodeError as error:
            raise MalformedRequestError(f"The body is not a {message.DESCRIPTOR.full_name}.") from error

    return await read_body(request, backend.threads.read, parse)


def message_response(message: Any, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a message as an answer; its headers become trailing metadata."""
    return Response(message.SerializeToString(), media_type=MESSAGE_TYPE, headers=headers)
