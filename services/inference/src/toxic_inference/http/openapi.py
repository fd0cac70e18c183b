"""The OpenAPI document, made from the doors' declarations."""

import inspect
import re
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from importlib.resources import files

import orjson
from pydantic.json_schema import models_json_schema

from toxic_inference import __version__
from toxic_inference.http.door import JSON_TYPE, Access, Content, Contents, Door, Doors, Operation

_DESCRIPTION = """Scores comments for toxicity with the champion of a model registry.

Every answer names the model version that gave it, in its body or in the header `x-model-version`."""

_SECURITY_SCHEMES: dict[str, object] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
}
_REFERENCE = "#/components/schemas/"


class OpenApiDocument:
    """The document of the registered doors, built when it is first read."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    @cached_property
    def json(self) -> bytes:
        """The document as JSON."""
        models = {door.errors.model for door in self._doors.registered}
        for operation in self._doors.operations():
            for contents in (operation.body, *operation.answers.values()):
                models |= {content for content in _by_type(contents).values() if isinstance(content, type)}
        _, definitions = models_json_schema(
            [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)],
            ref_template=f"{_REFERENCE}{{model}}",
        )
        schemas = definitions.get("$defs", {})
        for model in models:
            if "examples" not in schemas[model.__name__]:
                package = files(model.__module__.rpartition(".")[0])
                examples = orjson.loads(package.joinpath("examples.json").read_bytes())
                schemas[model.__name__]["examples"] = [examples[model.__name__]]
        paths: dict[str, dict[str, object]] = {}
        for door in self._doors.registered:
            for operation in door.operations:
                if operation.documented:
                    methods = paths.setdefault(operation.path, {})
                    methods[operation.method.lower()] = _operation(door, operation)
        return orjson.dumps(
            {
                "openapi": "3.1.0",
                "info": {"title": "toxic-inference", "version": __version__, "description": _DESCRIPTION},
                "paths": paths,
                "components": {"schemas": schemas, "securitySchemes": _SECURITY_SCHEMES},
                # The empty one: a service without keys requires none.
                "security": [{}, *({name: []} for name in _SECURITY_SCHEMES)],
            }
        )


def _operation(door: Door, operation: Operation) -> dict[str, object]:
    description = inspect.getdoc(operation.handler) or ""
    summary = description.partition("\n")[0].rstrip(".:")
    if variant := re.search(r"{(version|label)}", operation.path):
        summary += f" (by {variant[1]})"
    parameters: list[object] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    parameters += [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in operation.query.items()
    ]
    error = _contents(door.errors.model)
    answers = {
        str(status): {"description": HTTPStatus(status).phrase, "content": _contents(contents)}
        for status, contents in operation.answers.items()
    }
    errors = {
        str(status): {"description": text, "content": error} for status, text in operation.errors.items()
    }
    described: dict[str, object] = {
        "tags": [door.title],
        "summary": summary,
        "description": description,
        "operationId": re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path}").strip("_"),
        "parameters": parameters,
        "responses": {**answers, **errors, "default": {"description": "Any other error.", "content": error}},
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _contents(operation.body)}
    if operation.access is Access.OPEN:
        described["security"] = [{}]
    return described


def _by_type(contents: Contents | None) -> Mapping[str, Content]:
    return {JSON_TYPE: contents} if isinstance(contents, type) else contents or {}


def _contents(contents: Contents | None) -> dict[str, object]:
    described: dict[str, object] = {}
    for media_type, content in _by_type(contents).items():
        if isinstance(content, type):
            described[media_type] = {"schema": {"$ref": _REFERENCE + content.__name__}}
        else:
            kind = "string" if isinstance(content, str) else "object"
            described[media_type] = {"schema": {"type": kind}, "example": content}
    return described
