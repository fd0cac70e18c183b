"""The bodies of `/invocations`, and the texts in them.

Invariant: a body is answered in whole or refused; a row without a text is an error, as for MLflow's models.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from toxic_core.errors import InvalidDataError
from toxic_core.tables import TEXT_COLUMNS, TableOptions, language_column, text_column
from toxic_inference.http.backend import Limits
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.texts import Language, check_count, check_texts, decoded_base64, read_language
from toxic_inference.serving.interfaces import Text
from toxic_inference.tables.reader import CsvTable

_BASE64 = "b64"


class SplitFrame(BaseModel):
    """A DataFrame as pandas writes it with `orient="split"`."""

    columns: list[str]
    data: list[list[JsonValue]]


class InvocationParams(BaseModel):
    """The parameters of the model."""

    model_config = ConfigDict(extra="forbid")

    language: Language | None = Field(default=None, description="Language of texts that state none.")


class Invocation(BaseModel):
    """Texts to score, in exactly one of MLflow's four forms; other members are ignored, as by MLflow."""

    dataframe_split: SplitFrame | None = Field(default=None, description="Columns and rows.")
    dataframe_records: list[dict[str, JsonValue]] | None = Field(default=None, description="A row each.")
    instances: JsonValue = Field(default=None, description="Texts, or rows by column.")
    inputs: JsonValue = Field(default=None, description="Texts, rows by column, or columns.")
    params: InvocationParams | None = Field(default=None, description="Parameters of the model.")


def texts_of(asked: Invocation, limits: Limits) -> list[Text]:
    """Return the texts of a JSON body.

    Raises:
        InvalidRequestError: it has none or two of the forms, or no column of texts.
        RejectedTextError: a text can't be scored.
        TooManyTextsError: there are more rows than one request may have.
    """
    forms = {name: getattr(asked, name) for name in Invocation.model_fields if name != "params"}
    given = {name: value for name, value in forms.items() if value is not None}
    if len(given) != 1:
        raise InvalidRequestError(f"Send exactly one of {', '.join(forms)}; the body has {len(given)}.")
    ((form, value),) = given.items()
    split = isinstance(value, SplitFrame)
    columns, rows = (value.columns, value.data) if split else _rows(value, form)
    check_count(rows, limits, field=form)
    if not rows:
        raise InvalidRequestError(f"{form} has no rows; there is nothing to score.", field=form)
    try:
        at, language = text_column(columns), language_column(columns)
    except InvalidDataError as error:
        raise InvalidRequestError(str(error), field=form) from error
    default = asked.params.language if asked.params else None
    texts: dict[str, Text] = {}
    for index, row in enumerate(rows):
        field = f"{form}[{index}]"
        if len(row) != len(columns):
            raise InvalidRequestError(f"{field} has {len(row)} cells; {len(columns)} are named.", field=form)
        stated = row[language] if language is not None else None
        code = read_language(stated, field=field) if isinstance(stated, str) else None
        content = row[at]
        if isinstance(content, Mapping) and content.keys() == {_BASE64}:
            content = decoded_base64(str(content[_BASE64]), field=field)
        if not isinstance(content, str):
            raise InvalidRequestError(f"{field} must have a text.", field=field)
        texts[field] = Text(content, code or default)
    check_texts({field: text.content for field, text in texts.items()}, limits)
    return list(texts.values())


def texts_of_table(body: bytes, limits: Limits, options: TableOptions) -> list[Text]:
    """Return the texts of a table.

    Raises:
        InvalidCsvError: it is no table, or has no column of texts.
        InvalidRequestError: a row can't be scored.
        TooManyTextsError: there are more rows than one request may have.
    """
    table = CsvTable(
        BytesIO(body), max_text_bytes=limits.text_bytes, max_bytes=limits.body_bytes, options=options
    )
    texts: list[Text] = []
    for row in table.rows():
        if row.text is None:
            raise InvalidRequestError(row.problem.message if row.problem else "A row has no text.")
        texts.append(row.text)
        check_count(texts, limits, field="The table")
    if not texts:
        raise InvalidRequestError("The table has no rows; there is nothing to score.")
    return texts


def _rows(value: Any, form: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """Return the columns and rows of a text, a list of texts, a list of rows by column, or columns."""
    texts = TEXT_COLUMNS[:1]
    if isinstance(value, str):
        return texts, [[value]]
    if isinstance(value, Mapping) and all(isinstance(column, list) for column in value.values()):
        lengths = {len(column) for column in value.values()}
        if len(lengths) > 1:
            raise InvalidRequestError(f"The columns of {form} have different lengths.", field=form)
        return list(value), list(zip(*value.values(), strict=True))
    if not isinstance(value, list):
        raise InvalidRequestError(f"{form} must be a list of texts, or of rows by column.", field=form)
    records = [row for row in value if isinstance(row, Mapping) and row.keys() != {_BASE64}]
    if not records:
        # An array of one column comes as lists of one element.
        return texts, [row if isinstance(row, list) else [row] for row in value]
    if len(records) < len(value) or any(row.keys() != records[0].keys() for row in records):
        raise InvalidRequestError(f"The rows of {form} must have the same columns.", field=form)
    return list(records[0]), [[row[name] for name in records[0]] for row in records]
