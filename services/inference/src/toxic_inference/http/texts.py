"""Checks that every door makes of the texts in a request."""

import base64
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from starlette.requests import Request

from toxic_core.contract import Contract
from toxic_core.languages import LANGUAGE_CODE, UNDETERMINED, primary_language
from toxic_inference.http.backend import UNEVALUATED_LANGUAGES_HEADER, Backend, Limits
from toxic_inference.http.errors import InvalidRequestError, TooManyTextsError
from toxic_inference.http.guard import caller_in
from toxic_inference.serving.interfaces import RawScore, Text, TextScore
from toxic_inference.serving.scoring.texts import check_text
from toxic_inference.threads import parts_of
from toxic_model.errors import InvalidTensorError

Language = Annotated[
    str,
    StringConstraints(pattern=rf"^{LANGUAGE_CODE}$"),
    AfterValidator(lambda code: primary_language(code) or code),
    Field(
        description="Language code such as `en`; its own calibration and thresholds are used.",
        examples=["en"],
    ),
]
"""A language in a request; the value is its primary subtag, such as `pt` for `pt-BR`."""


_SHORT_CHARACTERS = 1_024
"""Most characters of texts of which the languages are identified on the event loop: a tenth of a
millisecond each."""

TRUNCATED_TEXTS_HEADER = "x-truncated-texts"
"""The positions, from 0, of the texts that were not read to their end."""


LOW_CONFIDENCE_TEXTS_HEADER = "x-low-confidence-texts"
"""The positions, from 0, of the texts of which the model's vocabulary lacks most."""


def is_evaluated(language: str | None, contract: Contract) -> bool:
    """Return whether the model was evaluated for a text's language, or none is known."""
    return language in {None, UNDETERMINED, *contract.languages}


def unevaluated(texts: Iterable[Text], contract: Contract) -> dict[str, str]:
    """Return the header that names the texts' languages that the model wasn't evaluated for."""
    found = {str(text.language): None for text in texts if not is_evaluated(text.language, contract)}
    return {UNEVALUATED_LANGUAGES_HEADER: ", ".join(found)} if found else {}


def marks(scores: Sequence[TextScore] | Sequence[RawScore]) -> dict[str, str]:
    """Return the headers that name the texts that were not read to their end, or not understood."""
    found = {
        TRUNCATED_TEXTS_HEADER: [score.truncated for score in scores],
        LOW_CONFIDENCE_TEXTS_HEADER: [score.low_confidence for score in scores],
    }
    return {
        header: ",".join(str(position) for position, marked in enumerate(texts) if marked)
        for header, texts in found.items()
        if any(texts)
    }


def read_language(code: str | None, *, field: str) -> str | None:
    """Return a language code's primary subtag; None if there is no code.

    Raises:
        InvalidRequestError: it is not a language code.
    """
    if not code:
        return None
    language = primary_language(code)
    if language is None:
        raise InvalidRequestError(f"{field} must be a language code such as en.", field=field)
    return language


def check_count(rows: Sized, limits: Limits, *, field: str) -> None:
    """Raise `TooManyTextsError` if there are more rows than one request may have."""
    if len(rows) > limits.texts:
        raise TooManyTextsError(
            f"{field} has {len(rows):,} rows; the limit is {limits.texts:,}. "
            "Send several requests, or upload a CSV file to /predict or /jobs.",
            field=field,
        )


def decoded_base64(value: str, *, field: str) -> str:
    """Return the text that is `value` in base64.

    Raises:
        InvalidTensorError: it is not UTF-8 in standard base64.
    """
    try:
        return base64.b64decode(value, validate=True).decode("utf-8")
    except ValueError as error:
        raise InvalidTensorError(f"{field} is not UTF-8 in standard base64.") from error


async def language_of(text: str, request: Request, backend: Backend) -> str:
    """Return a text's most likely language; that of a long text is identified on a thread."""
    if len(text) <= _SHORT_CHARACTERS:
        return backend.identify_language(text).language
    caller = caller_in(request.scope)
    return (await backend.threads.read.run(backend.identify_language, text, caller=caller)).language


async def identified(texts: Sequence[Text], request: Request, backend: Backend) -> list[Text]:
    """Return the texts with a language each; those of long texts are identified on a thread, in parts."""

    def identify(part: Sequence[Text]) -> list[Text]:
        return [
            text if text.language else Text(text.content, *backend.identify_language(text.content))
            for text in part
        ]

    if sum(len(text.content) for text in texts) <= _SHORT_CHARACTERS:
        return identify(texts)
    caller = caller_in(request.scope)
    found: list[Text] = []
    for part in parts_of(texts, lambda text: len(text.content)):
        found += await backend.threads.read.run(identify, part, caller=caller)
    return found


def check_texts(texts: Mapping[str, str], limits: Limits) -> None:
    """Check each text, by the field that it came in; raises as `check_text`."""
    for field, text in texts.items():
        check_text(text, field=field, max_bytes=limits.text_bytes)
