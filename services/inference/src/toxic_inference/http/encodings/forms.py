"""Forms, query parameters, and the encoding that a request declares.

Invariant: nothing that a caller declares is ignored: a field or parameter that isn't known, one that comes
twice, and an unknown encoding are errors; a value's bytes are never replaced.
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from toxic_core.errors import InvalidDataError
from toxic_core.tables import TableOptions, encoding_named
from toxic_inference.http.errors import (
    InvalidRequestError,
    MalformedRequestError,
    UnsupportedMediaTypeError,
)

MULTIPART_TYPE = "multipart/form-data"
URLENCODED_TYPE = "application/x-www-form-urlencoded"
TSV_TYPES = ("text/tab-separated-values", "text/tsv")

TABLE_PARAMETERS = {
    "text_column": "Name of the text column of a file; needed only if the name is unusual.",
    "encoding": "Encoding of a text file without a byte order mark, such as `windows-1252`; else UTF-8.",
    "delimiter": "Delimiter of the cells: `,`, `;`, `|`, `tab`; it is found if it isn't given.",
}
"""What a caller may declare of a table, as form fields or query parameters."""

_MAX_FORM_FIELDS = 16
_KEY = "key"
"""The API key as a query parameter, which every route takes."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form's values and files by name."""

    values: Mapping[str, str]
    files: Mapping[str, UploadFile]


def check_query(request: Request, known: Collection[str]) -> None:
    """Refuse query parameters that aren't known or are there twice.

    Raises:
        InvalidRequestError: the message names one, and those that are known.
    """
    if unknown := [name for name in request.query_params if name not in {*known, _KEY}]:
        names = f"they are {', '.join(known)}" if known else "there are none here"
        raise InvalidRequestError(
            f"The query parameter {unknown[0][:40]!r} is not known; {names}.", field=unknown[0]
        )
    counts = Counter(name for name, _ in request.query_params.multi_items() if name != _KEY)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise InvalidRequestError(
            f"The query parameter {twice[0]!r} is there twice; send it once.", field=twice[0]
        )


def charset_of(content_type: str) -> str | None:
    """Return the encoding that a Content-Type declares; None if it declares none.

    Raises:
        UnsupportedMediaTypeError: it is unknown.
    """
    header = Message()
    header["content-type"] = content_type
    charset = header.get_param("charset")
    if not isinstance(charset, str) or not charset.strip():
        return None
    try:
        return encoding_named(charset)
    except InvalidDataError as error:
        raise UnsupportedMediaTypeError(str(error), field="Content-Type") from error


def table_options(request: Request, form: Mapping[str, str], *, content_type: str) -> TableOptions:
    """Return what a request declares of a table: in the form, in the query, or in its Content-Type.

    Raises:
        InvalidRequestError: an encoding or a delimiter isn't known.
        UnsupportedMediaTypeError: the charset isn't known.
    """
    found = {name: form.get(name) or request.query_params.get(name) or None for name in TABLE_PARAMETERS}
    if found["delimiter"] is None and content_type.lower().startswith(TSV_TYPES):
        found["delimiter"] = "tab"
    if (encoding := found["encoding"]) is not None:
        try:
            encoding_named(encoding)
        except InvalidDataError as error:
            raise InvalidRequestError(str(error), field="encoding") from error
    else:
        found["encoding"] = charset_of(content_type)
    try:
        return TableOptions(**found)
    except InvalidDataError as error:
        raise InvalidRequestError(str(error), field="delimiter") from error


@asynccontextmanager
async def read_form(
    request: Request, *, values: Collection[str], max_value_bytes: int, file: str = "file"
) -> AsyncIterator[Form]:
    """Read a form with at most one file; the file is closed at the end.

    Args:
        request: its body is a form.
        values: names of the values that are known.
        max_value_bytes: longest value.
        file: name of the file.

    Raises:
        MalformedRequestError: the body is no form, or has too many fields or too long ones.
        InvalidRequestError: a field isn't known, comes twice, is no file or value, or isn't in its encoding.
        UnsupportedMediaTypeError: the charset isn't known.
    """
    content_type = request.headers.get("content-type", "")
    encoding = charset_of(content_type) or "utf-8"
    items = await _items(request, content_type, max_value_bytes=max_value_bytes)
    uploads = [item for _, item in items if isinstance(item, UploadFile)]
    try:
        found: dict[str, str | UploadFile] = {}
        for raw, item in items:
            name = _decoded(raw, encoding, field="a field's name")
            if name not in {*values, file}:
                fields = ", ".join((file, *values))
                raise InvalidRequestError(
                    f"The form has an unknown field {name[:40]!r}; the fields are {fields}.", field=name
                )
            if name in found:
                raise InvalidRequestError(f"The form has two fields {name}; send one.", field=name)
            if isinstance(item, UploadFile) and name != file:
                raise InvalidRequestError(f"{name} must be a value, not a file.", field=name)
            if isinstance(item, str) and name == file and item:
                raise InvalidRequestError(f"{file} must be an uploaded file, not a value.", field=file)
            found[name] = item if isinstance(item, UploadFile) else _decoded(item, encoding, field=name)
        yield Form(
            {name: item for name, item in found.items() if isinstance(item, str)},
            {name: item for name, item in found.items() if isinstance(item, UploadFile)},
        )
    finally:
        for upload in uploads:
            await upload.close()


async def _items(
    request: Request, content_type: str, *, max_value_bytes: int
) -> list[tuple[str, str | UploadFile]]:
    """Return a form's fields; their names and values are bytes, as the characters U+0000 to U+00FF."""
    try:
        if not content_type.lower().startswith(MULTIPART_TYPE):
            body = (await request.body()).decode("latin-1")
            pairs = parse_qsl(
                body, keep_blank_values=True, encoding="latin-1", max_num_fields=_MAX_FORM_FIELDS
            )
            return [(name, value) for name, value in pairs]
        # The parser would replace bytes that it can't decode.
        header = Message()
        header["content-type"] = content_type
        header.set_param("charset", "latin-1")
        async with aclosing(request.stream()) as stream:
            parser = MultiPartParser(
                Headers({"content-type": header["content-type"]}),
                stream,
                max_files=1,
                max_fields=_MAX_FORM_FIELDS,
                max_part_size=max_value_bytes,
            )
            return (await parser.parse()).multi_items()
    except (MultiPartException, ValueError) as error:
        reason = error.message if isinstance(error, MultiPartException) else "it has too many fields"
        raise MalformedRequestError(f"The form can't be read: {reason.removesuffix('.')}.") from error


def _decoded(raw: str, encoding: str, *, field: str) -> str:
    try:
        return raw.encode("latin-1").decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"{field} contains bytes that are not {encoding.upper()}; send UTF-8, or declare the charset.",
            field=field,
        ) from error
