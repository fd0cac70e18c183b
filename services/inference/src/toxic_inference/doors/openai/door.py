"""OpenAI's moderation API (https://platform.openai.com/docs/api-reference/moderations) for the one model.

A client with a base URL gets `http://HOST/openai/v1`. The model judges abuse, hate and threats; the other
categories are 0 and named as not applied.

Invariant: no input is answered unless all of it was judged; an image is an error, never "not flagged".
"""

import uuid

from starlette.requests import Request
from starlette.responses import Response

from toxic_core.errors import UnknownModelError
from toxic_inference.doors.openai.categories import categorise
from toxic_inference.doors.openai.messages import (
    OPENAI_ERRORS,
    ModelEntry,
    ModelList,
    ModerationAnswer,
    ModerationRequest,
    TextPart,
)
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.body import read_json, unless_departed, validate
from toxic_inference.http.door import Door, Operation, json_response
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.policies import following, policy_headers
from toxic_inference.http.terms import terms_of
from toxic_inference.http.texts import check_count, check_texts, identified, marks, unevaluated
from toxic_inference.serving.interfaces import Lane, Target, Text

_DEFAULT_MODEL = "omni-moderation-latest"
_MODELS = (
    _DEFAULT_MODEL,
    "omni-moderation-2024-09-26",
    "text-moderation-latest",
    "text-moderation-stable",
    "text-moderation-007",
)
"""OpenAI's names, which clients have written down; each is the served model."""


async def moderate(request: Request, backend: Backend) -> Response:
    """Classify a text, several texts, or the text parts of one input."""
    backend = following(request, backend)
    value = await read_json(request)
    _refuse_images(value)
    body = validate(ModerationRequest, value)
    model = _known_model(body.model or _DEFAULT_MODEL, backend)
    parts = [body.input] if isinstance(body.input, str) else body.input
    check_count(parts, backend.limits, field="input")
    is_one_input = any(isinstance(part, TextPart) for part in parts)
    contents = [part.text if isinstance(part, TextPart) else part for part in parts]
    check_texts({f"input[{index}]": text for index, text in enumerate(contents)}, backend.limits)
    if is_one_input:
        contents = ["\n".join(contents)]
        check_texts({"input": contents[0]}, backend.limits)
    texts = await identified([Text(content) for content in contents], request, backend)
    with backend.scorer.session(Target(), terms_of(request)) as session:
        scores = await unless_departed(request, session.score(texts, lane=Lane.INTERACTIVE))
        results = [categorise(score, session.contract.labels) for score in scores]
        headers = {
            MODEL_VERSION_HEADER: session.version,
            **marks(scores),
            **unevaluated(texts, session.contract),
            **policy_headers(backend.policy, scores),
        }
    answer = ModerationAnswer(id=f"modr-{uuid.uuid4().hex}", model=model, results=results)
    return json_response(answer, headers=headers)


async def list_models(_request: Request, backend: Backend) -> Response:
    """The names that requests may give; all are the served model."""
    return json_response(ModelList(data=[_entry(name, backend) for name in (*_MODELS, backend.model_name)]))


async def show_model(request: Request, backend: Backend) -> Response:
    """One of those names."""
    return json_response(_entry(_known_model(request.path_params["name"], backend), backend))


def _entry(name: str, backend: Backend) -> ModelEntry:
    with backend.scorer.session(Target()) as session:
        return ModelEntry(id=name, created=int(session.contract.created_at.timestamp()))


def _known_model(name: str, backend: Backend) -> str:
    if name not in (*_MODELS, backend.model_name):
        raise UnknownModelError(
            f"The model {name!r} does not exist. Leave `model` out, or send {_DEFAULT_MODEL!r}."
        )
    return name


def _refuse_images(value: object) -> None:
    parts = value.get("input") if isinstance(value, dict) else None
    for index, part in enumerate(parts if isinstance(parts, list) else []):
        if isinstance(part, dict) and part.get("type") == "image_url":
            raise InvalidRequestError(
                f"input[{index}] is an image. This service judges texts only; send the text parts.",
                field=f"input[{index}]",
            )


OPENAI = Door(
    name="openai",
    title="OpenAI moderation",
    clients="OpenAI's SDKs and programs with a base URL for OpenAI",
    prefixes=("/openai/",),
    errors=OPENAI_ERRORS,
    operations=(
        Operation(
            "POST",
            "/openai/v1/moderations",
            moderate,
            scores=True,
            body=ModerationRequest,
            answers={200: ModerationAnswer},
            errors={
                400: "A field or a text is at fault, or a part is an image.",
                404: "There is no model of that name.",
                413: "The body or a text is too large, or there are too many texts.",
                429: "The queue is full, or the key's rate is used up; Retry-After has the seconds to wait.",
                503: "No model version is available yet.",
            },
        ),
        Operation("GET", "/openai/v1/models", list_models, answers={200: ModelList}),
        Operation(
            "GET",
            "/openai/v1/models/{name}",
            show_model,
            answers={200: ModelEntry},
            errors={404: "There is no model of that name."},
        ),
    ),
)
