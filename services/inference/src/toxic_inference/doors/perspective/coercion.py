"""The conversions that protobuf's JSON reader makes of values that don't have a member's published type.

As Google's API front end reads JSON (protobuf's `util/internal`: `datapiece.cc` and
`proto_stream_object_writer.cc`): enums by name in any case or by number, booleans and numbers as strings, a
single value for a list, an empty list for an empty message.

Invariant: a value that no rule converts is returned as it is, so that validation refuses it by its place.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel

_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"\s*[+-]?\d{1,18}\s*", re.ASCII)


class DuplicateMemberError(ValueError):
    """An object has a member under both of its names.

    Attributes:
        name: the second one's name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is in the object under another name too")
        self.name = name


def coerce(kind: object, value: object) -> object:
    """Return a JSON value in the form that strict JSON has for a member of type `kind`.

    Args:
        kind: a message's class, or the annotation of a member; every member is optional.
        value: the JSON value.

    Raises:
        DuplicateMemberError: an object has a member twice.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Annotated, Union, UnionType):  # an optional member is `type | None`
        return None if value is None else coerce(arguments[0], value)
    if origin is list:
        return [coerce(arguments[0], item) for item in (value if isinstance(value, list) else [value])]
    if origin is dict:
        members = {} if value == [] else value
        if isinstance(members, dict):
            return {key: coerce(arguments[1], item) for key, item in members.items()}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        members = {} if value == [] else value
        if isinstance(members, dict):
            return _message(kind, members)
    return _scalar(kind, value)


def _message(kind: type[BaseModel], value: Mapping[str, object]) -> dict[str, object]:
    fields = [(name, field.alias or name, field) for name, field in kind.model_fields.items()]
    by_name = {given: (alias, field) for name, alias, field in fields for given in (name, alias)}
    members: dict[str, object] = {}
    for given, item in value.items():
        name, field = by_name.get(given, (given, None))
        if name in members:
            raise DuplicateMemberError(given)
        members[name] = item if field is None else coerce(field.annotation, item)
    return members


def _scalar(kind: object, value: object) -> object:
    if kind is bool and isinstance(value, str):
        return _BOOLEANS.get(value.lower(), value)
    if kind is float and isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        number = _integer(value)
        if isinstance(number, int) and not isinstance(number, bool):
            members = list(kind)
            return members[number] if 0 <= number < len(members) else value
        if isinstance(value, str):
            written = value.upper().replace("-", "_")
            return next((each for each in kind if written in (each, each.replace("_", ""))), value)
    return _integer(value) if kind is int else value


def _integer(value: object) -> object:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
