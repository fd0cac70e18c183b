"""Answers in the form that a request's parameters ask for, as for every API of Google's.

https://cloud.google.com/apis/docs/system-parameters: `fields`, `prettyPrint` and `alt`. The others
(`key`, `quotaUser`, `$.xgafv`, `callback`) don't change an answer here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, get_args, get_origin

import orjson
from pydantic import BaseModel, JsonValue
from starlette.requests import Request
from starlette.responses import Response

from toxic_inference.doors.perspective.problems import violation
from toxic_inference.http.door import JSON_TYPE, json_response
from toxic_inference.http.errors import MalformedRequestError

_FIELD_MASK = "x-goog-fieldmask"
_TOKEN = re.compile(r"([A-Za-z_][\w@$-]*|\*)|([,/.()])|\s+|(.)", re.ASCII | re.DOTALL)
_NAMES = (b"fields", b"prettyPrint", b"alt", b"%")
_MAX_DEPTH = 16
_MAX_CHARACTERS = 4_096
"""Longest selection; every member of the longest answer fits into it."""
_TRUE = frozenset({"true", "1", "t", "yes", "y"})

Selection = dict[str, "Selection"]
"""The selected members of an object, each with those of its value; without any, the value is whole."""


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """The form of an answer.

    Attributes:
        selection: the members that it has; all if empty.
        pretty: whether it is indented.
    """

    selection: Selection
    pretty: bool

    @classmethod
    def of(cls, request: Request, model: type[BaseModel]) -> Self:
        """Return the form that a request asks for.

        Raises:
            MalformedRequestError: `fields` selects what the answer lacks, or `alt` is not JSON.
        """
        given = request.scope["query_string"]
        if not any(name in given for name in _NAMES) and _FIELD_MASK not in request.headers:
            return cls({}, pretty=False)
        query = {name.removeprefix("$"): value for name, value in request.query_params.items()}
        if (alt := query.get("alt", "json")) != "json":
            raise violation("alt", f"Unsupported output format {alt[:20]!r}; this service answers in json.")
        fields = query.get("fields") or request.headers.get(_FIELD_MASK, "")
        if len(fields) > _MAX_CHARACTERS:
            raise _invalid(fields)
        selection = _resolve(_parse(fields), model) if fields else {}
        return cls(selection, pretty=query.get("prettyPrint", "").lower() in _TRUE)

    def respond(self, answer: BaseModel, *, headers: Mapping[str, str] | None = None) -> Response:
        """Return an answer in this form."""
        if not self.selection and not self.pretty:
            return json_response(answer, headers=headers)
        value = _select(answer.model_dump(mode="json", by_alias=True, exclude_none=True), self.selection)
        option = orjson.OPT_INDENT_2 if self.pretty else None
        return Response(orjson.dumps(value, option=option), media_type=JSON_TYPE, headers=headers)


def _invalid(name: str) -> MalformedRequestError:
    return violation("fields", f"Request contains an invalid argument: Invalid field selection {name[:50]}")


def _parse(fields: str) -> Selection:
    """Return the selection in a text such as `a,b/c,d(e,f/g),*`."""
    tokens = [match[1] or match[2] or match[3] for match in _TOKEN.finditer(fields) if match[0].strip()]
    tokens.reverse()

    def items(depth: int) -> Selection:
        selected: Selection = {}
        while True:
            name, inner = item(depth)
            _merge(selected, name, inner)
            if not tokens or tokens[-1] != ",":
                return selected
            tokens.pop()

    def item(depth: int) -> tuple[str, Selection]:
        name = tokens.pop() if tokens else ""
        if depth > _MAX_DEPTH or not (name == "*" or name[:1].isalpha() or name[:1] == "_"):
            raise _invalid(fields)
        mark = tokens[-1] if tokens else ""
        if mark in {"/", "."}:
            tokens.pop()
            return name, dict([item(depth + 1)])
        if mark == "(":
            tokens.pop()
            inner = items(depth + 1)
            if not tokens or tokens.pop() != ")":
                raise _invalid(fields)
            return name, inner
        return name, {}

    selection = items(0)
    if tokens:
        raise _invalid(fields)
    return selection


def _merge(selected: Selection, name: str, inner: Selection) -> None:
    """Add a member to a selection; one that is selected whole and in part is whole."""
    known = selected.get(name)
    if known is None:
        selected[name] = inner
    elif not known or not inner:
        selected[name] = {}
    else:
        for each, below in inner.items():
            _merge(known, each, below)


def _resolve(selection: Selection, kind: object) -> Selection:
    """Return a selection of members of `kind` with their names in the answer."""
    while get_origin(kind) is not dict and (arguments := get_args(kind)):
        kind = arguments[0]  # of an optional member, a list, or an annotated type
    if get_origin(kind) is dict:
        return {name: _resolve(inner, get_args(kind)[1]) for name, inner in selection.items()}
    fields = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}
    by_name = {given: field for name, field in fields.items() for given in (name, field.alias)}
    resolved: Selection = {}
    for name, inner in selection.items():
        if name == "*" and fields:
            resolved[name] = {}
        elif (field := by_name.get(name)) is not None:
            _merge(resolved, field.alias or name, _resolve(inner, field.annotation))
        else:
            raise _invalid(name)
    return resolved


def _select(value: JsonValue, selection: Selection) -> JsonValue:
    if not selection:
        return value
    if isinstance(value, list):
        return [_select(item, selection) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _select(item, selection.get(name, selection.get("*", {})))
        for name, item in value.items()
        if name in selection or "*" in selection
    }
