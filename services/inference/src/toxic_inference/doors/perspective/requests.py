"""From requests of the Perspective API to texts, labels and languages.

Owns the checks of the published API, in its order.

Invariant: every `Analysis` can be scored and every `Suggestion` filed: the text passes `check_text`, the
attributes have labels, and the languages are codes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toxic_core.labels import LabelName
from toxic_core.languages import UNDETERMINED, primary_language
from toxic_inference.doors.perspective.attributes import label_of
from toxic_inference.doors.perspective.messages import (
    AnalyzeCommentRequest,
    AttributeScores,
    Context,
    ScoreType,
    SuggestCommentScoreRequest,
    TextEntry,
    TextType,
)
from toxic_inference.doors.perspective.problems import ErrorType, refusal
from toxic_inference.http.backend import PerspectiveRules
from toxic_inference.serving.errors import RejectedTextError, TextTooLongError
from toxic_inference.serving.scoring.texts import check_text

_SUGGESTED_FROM = 0.5
"""Suggested score from which on the label applies to the comment."""

_REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A requested attribute.

    Attributes:
        name: as the caller wrote it.
        label: the label of the score.
        threshold: scores below it are left out.
    """

    name: str
    label: LabelName
    threshold: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """A request for scores.

    Attributes:
        text: the comment.
        attributes: the ones that a label answers, in the caller's order.
        unsupported: the names of the others.
        languages: primary language codes; none if they are to be identified.
        spans: whether sentences are scored too.
        drop: whether unsupported attributes are left out; None if the request doesn't choose.
    """

    text: str
    attributes: tuple[Attribute, ...]
    unsupported: tuple[str, ...]
    languages: tuple[str, ...]
    spans: bool
    drop: bool | None

    def may_drop(self, rules: PerspectiveRules) -> bool:
        """Return whether unsupported attributes are left out, instead of an error."""
        return rules.drop_attributes if self.drop is None else self.drop


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A correction.

    Attributes:
        text: the comment.
        labels: the judgement by label.
        unsupported: the names of the attributes that no label answers.
        languages: primary language codes; none if they are to be identified.
    """

    text: str
    labels: Mapping[LabelName, bool]
    unsupported: tuple[str, ...]
    languages: tuple[str, ...]


def analysis_of(request: AnalyzeCommentRequest, *, labels: tuple[LabelName, ...], max_bytes: int) -> Analysis:
    """Return the request for scores.

    Args:
        request: the message.
        labels: of the version that answers.
        max_bytes: longest text, in UTF-8 bytes.

    Raises:
        MalformedRequestError: it can't be answered.
    """
    text = _text(request.comment, request.context, max_bytes=max_bytes)
    if not request.requested_attributes:
        raise refusal("Missing requested_attributes", ErrorType.NO_REQUESTED_ATTRIBUTES)
    attributes: list[Attribute] = []
    unsupported: list[str] = []
    for name, parameters in request.requested_attributes.items():
        label = label_of(name, labels)
        _check_score_type(parameters.score_type, name)
        if label is None:
            unsupported.append(name)
        else:
            attributes.append(Attribute(name, label, threshold=parameters.score_threshold or 0.0))
    return Analysis(
        text,
        tuple(attributes),
        tuple(unsupported),
        _languages(request.languages),
        spans=bool(request.span_annotations),
        drop=request.drop_unsupported_attributes,
    )


def suggestion_of(
    request: SuggestCommentScoreRequest, *, labels: tuple[LabelName, ...], max_bytes: int
) -> Suggestion:
    """Return the correction.

    Args:
        request: the message.
        labels: those that a correction may judge.
        max_bytes: longest text, in UTF-8 bytes.

    Raises:
        MalformedRequestError: it can't be filed.
    """
    text = _text(request.comment, request.context, max_bytes=max_bytes)
    if not request.attribute_scores:
        raise refusal("Missing attribute_scores")
    judged: dict[LabelName, bool] = {}
    unsupported: list[str] = []
    for name, scores in request.attribute_scores.items():
        applies = _suggested(name, scores) >= _SUGGESTED_FROM
        label = label_of(name, labels)
        if label is None:
            unsupported.append(name)
        elif judged.setdefault(label, applies) is not applies:
            raise refusal(f"The scores of {name} contradict those of another name of the same attribute")
    return Suggestion(text, judged, tuple(unsupported), _languages(request.languages))


def _text(comment: TextEntry | None, context: Context | None, *, max_bytes: int) -> str:
    text = (comment.text if comment is not None else None) or ""
    if text.endswith(_REPLACEMENT) and len(text.encode("utf-8", "replace")) > max_bytes:
        # Cut by its caller to the most bytes, in the middle of a character.
        text = re.sub(f"{_REPLACEMENT}{{1,3}}$", "", text)
    try:
        check_text(text, field="comment.text", max_bytes=max_bytes)
    except TextTooLongError as error:
        raise refusal("Comment text too long.", ErrorType.COMMENT_TOO_LONG) from error
    except RejectedTextError as error:
        if isinstance(error.__cause__, UnicodeEncodeError):
            raise refusal(str(error)) from error
        raise refusal("Comment must be non-empty.", ErrorType.COMMENT_EMPTY) from error
    assert comment is not None  # noqa: S101  without a comment there is no text
    _check_plain(comment)
    entries = (context.entries if context else None) or ()
    if context and entries and context.article_and_parent_comment is not None:
        raise refusal(
            "Context can have either entries or article_and_parent_comment, but both fields were populated."
        )
    for entry in entries:
        _check_plain(entry)
    return text


def _check_plain(entry: TextEntry) -> None:
    if entry.type is TextType.HTML:
        raise refusal("Currently, only 'PLAIN_TEXT' comments are supported")


def _check_score_type(score_type: ScoreType | None, attribute: str) -> None:
    if score_type not in {None, ScoreType.SCORE_TYPE_UNSPECIFIED, ScoreType.PROBABILITY}:
        raise refusal(f"Requested score type {score_type} is not supported by attribute {attribute}")


def _suggested(name: str, scores: AttributeScores) -> float:
    given = [scores.summary_score, *(span.score for span in scores.span_scores or ())]
    # The whole comment's score decides; without it, a label of one part applies to the comment.
    given = given[:1] if scores.summary_score is not None else given[1:]
    if not given:
        raise refusal(f"Missing scores of attribute {name}")
    values: list[float] = []
    for score in given:
        if score is None:
            raise refusal(f"All scores of {name} must be set")
        _check_score_type(score.type, name)
        value = score.value or 0.0  # proto3: an unset number is 0, and some clients leave out every 0
        if not 0.0 <= value <= 1.0:
            raise refusal(f"Scores of {name} must be from 0 to 1")
        values.append(value)
    return max(values)


def as_declared(codes: Sequence[str] | None, languages: Sequence[str]) -> list[str]:
    """Return those of a request's language codes that are one of `languages`, else these; for the answer."""
    given = [code for code in dict.fromkeys(codes or ()) if primary_language(code) in languages]
    return given or list(languages)


def _languages(codes: list[str] | None) -> tuple[str, ...]:
    languages: dict[str, None] = {}
    for code in codes or ():
        language = primary_language(code)
        if language is None:
            raise refusal(f"Invalid language code: {code[:20]!r}")
        if language != UNDETERMINED:  # the same as no language
            languages[language] = None
    return tuple(languages)
