"""Checks that every door makes of the texts in a request."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from toxic_core.languages import LANGUAGE_CODE, primary_language
from toxic_inference.http.backend import Limits
from toxic_inference.http.errors import InvalidRequestError, TooManyTextsError
from toxic_inference.serving.interfaces import Text
from toxic_inference.serving.scoring.texts import check_text

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


TRUNCATED_TEXTS_HEADER = "x-truncated-texts"
"""The positions, from 0, of the texts that were not read to their end."""


def truncation(truncated: Iterable[bool]) -> dict[str, str]:
    """Return the header that names the texts that were not read to their end; none if all were."""
    positions = ",".join(str(position) for position, cut in enumerate(truncated) if cut)
    return {TRUNCATED_TEXTS_HEADER: positions} if positions else {}


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


async def with_languages(texts: Sequence[Text], identify: Callable[[str], str]) -> list[Text]:
    """Return the texts, those without a language with the one that `identify` finds, off the event loop."""
    return await asyncio.to_thread(
        lambda: [text if text.language else replace(text, language=identify(text.content)) for text in texts]
    )


def check_count(rows: Sized, limits: Limits, *, field: str) -> None:
    """Raise `TooManyTextsError` if there are more rows than one request may have."""
    if len(rows) > limits.texts:
        raise TooManyTextsError(
            f"{field} has {len(rows):,} rows; the limit is {limits.texts:,}. "
            "Send several requests, or upload a CSV file to /predict or /jobs.",
            field=field,
        )


def check_texts(texts: Mapping[str, str], limits: Limits) -> None:
    """Check each text, by the field that it came in; raises as `check_text`."""
    for field, text in texts.items():
        check_text(text, field=field, max_bytes=limits.text_bytes)
