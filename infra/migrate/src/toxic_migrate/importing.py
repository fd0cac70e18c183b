"""`import`: scores out of the logs that communities have.

A line is a JSON value. These are read, however deep in it:

    request and answer    comment.text, languages; attributeScores.NAME.summaryScore.value; as objects or as
                          JSON in a text, in any order (logs of proxies, BigQuery exports)
    flat row              a column of texts, and columns such as TOXICITY or
                          attributeScores_TOXICITY_summaryScore_value (BigQuery)
    Coral's comment       body or revisions, metadata.perspective with model and score
    Discourse's post      raw, and post_custom_fields: post_perspective_toxicity or post_etiquette_toxicity,
                          as a column or as name and value
"""

import json
import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import TypeGuard

from toxic_core.errors import InvalidDataError
from toxic_core.labels import KNOWN_LABELS
from toxic_core.tables import TEXT_COLUMNS, language_code

Json = object

_ATTRIBUTES = "|".join(sorted((label.perspective for label in KNOWN_LABELS), key=len, reverse=True))
_COLUMN = re.compile(
    rf"({_ATTRIBUTES})|.*attributeScores[._](?P<nested>[A-Z][A-Z0-9_]*)[._]summaryScore[._]value"
)
_DISCOURSE = re.compile(r"post_(?:perspective|etiquette)_(toxicity|severe_toxicity)")
_TEXTS = (*TEXT_COLUMNS, "comment.text", "comment_text", "raw")
_LANGUAGES = ("lang", "language", "languages", "detectedLanguages")
_TAG = re.compile(r"<[^>]*>")


def read_log(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Yield text, language and scores of every line that has a text and a score.

    Raises:
        InvalidDataError: a line isn't JSON; the message has its number.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InvalidDataError(
                f"Line {number} of the log isn't JSON; export it as NDJSON, one value per line."
            ) from error
        for each in value if isinstance(value, list) else [value]:
            found = _Finding()
            found.look(each)
            if found.text.strip() and found.scores:
                yield found.text, found.language, found.scores


class _Finding:
    """What a value contains."""

    def __init__(self) -> None:
        self.text = ""
        self.language = ""
        self.scores: dict[str, float] = {}

    def look(self, value: Json) -> None:
        """Take what is known in a value and in what it contains."""
        if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
            try:
                value = json.loads(value)
            except ValueError:
                return
        if isinstance(value, list):
            for item in value:
                self.look(item)
        elif isinstance(value, dict):
            self._coral(value)
            self._discourse(value)
            for name, item in value.items():
                self._member(name, item)

    def _member(self, name: str, item: Json) -> None:
        if name == "comment" and isinstance(item, dict):
            self.text = str(item.get("text") or self.text)
        elif name in _TEXTS and isinstance(item, str) and item.lstrip()[:1] not in {"{", "["}:
            self.text = self.text or item
        elif name in _LANGUAGES:
            first = item[0] if isinstance(item, list) and item else item
            self.language = self.language or language_code(first)
        elif name == "attributeScores" and isinstance(item, dict):
            for attribute, scores in item.items():
                summary = scores.get("summaryScore") if isinstance(scores, dict) else scores
                # JSON of protobuf's messages lacks a value of 0.
                self._score(attribute, summary.get("value", 0.0) if isinstance(summary, dict) else summary)
        elif name == "revisions" and isinstance(item, list) and item:
            self.look(item[-1])
        elif (found := _COLUMN.fullmatch(name)) and _is_number(item):
            self._score(found[1] or found["nested"], item)
        else:
            self.look(item)

    def _coral(self, value: Mapping[str, Json]) -> None:
        perspective = value.get("perspective")
        if isinstance(perspective, dict) and "score" in perspective:
            self._score(str(perspective.get("model") or "TOXICITY"), perspective["score"])
        if isinstance(value.get("body"), str) and not self.text:
            self.text = unescape(_TAG.sub(" ", str(value["body"])))

    def _discourse(self, value: Mapping[str, Json]) -> None:
        pairs = [*value.items(), (str(value.get("name")), value.get("value"))]
        for name, score in pairs:
            if found := _DISCOURSE.fullmatch(name):
                self._score(found[1].upper(), score)

    def _score(self, attribute: str, score: Json) -> None:
        if _is_number(score):
            self.scores[attribute] = float(score)


def _is_number(value: Json) -> TypeGuard[str | float]:
    try:
        return not isinstance(value, bool) and 0.0 <= float(value) <= 1.0  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
