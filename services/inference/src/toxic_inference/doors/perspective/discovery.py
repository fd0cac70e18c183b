"""The discovery document, from which Google's client libraries generate their methods.

It is generated from `messages`, so that it always matches what the routes read. The names, types and
methods are those of the published document (https://commentanalyzer.googleapis.com/$discovery/rest?version=v1alpha1);
only addresses and prose are our own.

Invariant: every address in it is the address of the request, so that a client stays at this service.
"""

from collections.abc import Mapping
from typing import cast

from pydantic.json_schema import models_json_schema

from toxic_inference.doors.perspective.messages import MESSAGES

VERSION = "v1alpha1"
_SCOPE = "https://www.googleapis.com/auth/userinfo.email"
_REFERENCE = "#/$defs/"

_PARAMETERS: Mapping[str, tuple[str, str]] = {
    "access_token": ("string", "OAuth access token."),
    "callback": ("string", "JSONP; not used here."),
    "fields": ("string", "Which fields to answer; not used here."),
    "key": ("string", "API key."),
    "oauth_token": ("string", "OAuth 2.0 token."),
    "prettyPrint": ("boolean", "Indented answers; not used here."),
    "quotaUser": ("string", "Whose quota is used; not used here."),
    "uploadType": ("string", "Upload protocol; not used here."),
    "upload_protocol": ("string", "Upload protocol; not used here."),
}


def discovery_document(root_url: str) -> dict[str, object]:
    """Return the document.

    Args:
        root_url: the request's address, with a slash at the end.
    """
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": f"commentanalyzer:{VERSION}",
        "name": "commentanalyzer",
        "canonicalName": "Comment Analyzer",
        "version": VERSION,
        "version_module": True,
        "title": "Perspective Comment Analyzer API",
        "description": "Scores comments for toxicity, on your own machines.",
        "documentationLink": f"{root_url}docs",
        "ownerDomain": "google.com",
        "ownerName": "Google",
        "protocol": "rest",
        "rootUrl": root_url,
        "mtlsRootUrl": root_url,
        "servicePath": "",
        "basePath": "",
        "baseUrl": root_url,
        "batchPath": "batch",
        "fullyEncodeReservedExpansion": True,
        "auth": {"oauth2": {"scopes": {_SCOPE: {"description": "Not used here."}}}},
        "parameters": {
            **{
                name: {"location": "query", "type": kind, "description": description}
                for name, (kind, description) in _PARAMETERS.items()
            },
            "alt": _choice("Form of the answer; JSON here.", ("json", "media", "proto"), default="json"),
            "$.xgafv": _choice("Form of errors; the second here.", ("1", "2")),
        },
        "resources": {
            "comments": {
                "methods": {
                    "analyze": _method("analyze", "AnalyzeComment", "Scores a comment."),
                    "suggestscore": _method("suggestscore", "SuggestCommentScore", "Files a correction."),
                }
            }
        },
        "schemas": schemas(),
    }


def schemas() -> dict[str, object]:
    """Return the schemas of all messages, in the discovery document's form."""
    _, document = models_json_schema([(model, "validation") for model in MESSAGES], by_alias=True)
    definitions = cast("dict[str, dict[str, object]]", document["$defs"])
    enums = {name: d for name, d in definitions.items() if "enum" in d}
    return {
        name: {
            "id": name,
            "type": "object",
            "description": definition["description"],
            "properties": {
                member: _schema(cast("dict[str, object]", schema), enums)
                for member, schema in cast("dict[str, object]", definition["properties"]).items()
            },
        }
        for name, definition in sorted(definitions.items())
        if name not in enums
    }


def _schema(schema: dict[str, object], enums: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    described = {"description": schema["description"]} if "description" in schema else {}
    if "anyOf" in schema:  # a type or null; null is left out in proto3
        branches = cast("list[dict[str, object]]", schema["anyOf"])
        return _schema(branches[0], enums) | described
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(_REFERENCE)
        if name in enums:
            values = cast("list[str]", enums[name]["enum"])
            return {"type": "string", "enum": values, "enumDescriptions": [""] * len(values)} | described
        return {"$ref": name} | described
    kept: dict[str, object] = {key: schema[key] for key in ("type", "format") if key in schema}
    for inner in ("items", "additionalProperties"):
        if inner in schema:
            kept[inner] = _schema(cast("dict[str, object]", schema[inner]), enums)
    return kept | described


def _method(name: str, message: str, description: str) -> dict[str, object]:
    path = f"{VERSION}/comments:{name}"
    return {
        "id": f"commentanalyzer.comments.{name}",
        "path": path,
        "flatPath": path,
        "httpMethod": "POST",
        "description": description,
        "parameters": {},
        "parameterOrder": [],
        "request": {"$ref": f"{message}Request"},
        "response": {"$ref": f"{message}Response"},
        "scopes": [_SCOPE],
    }


def _choice(description: str, values: tuple[str, ...], *, default: str | None = None) -> dict[str, object]:
    choice: dict[str, object] = {
        "location": "query",
        "type": "string",
        "description": description,
        "enum": list(values),
        "enumDescriptions": [""] * len(values),
    }
    return choice if default is None else choice | {"default": default}
