"""Scores as the native door's JSON."""

from collections.abc import Sequence

from toxic_core.contract import Contract
from toxic_inference.http.texts import is_evaluated
from toxic_inference.serving.interfaces import Span, Text, TextScore
from toxic_inference.tables.writer import SCORE_DIGITS

_CONFIDENCE_DIGITS = 3


def score_json(
    score: TextScore, language: str | None, contract: Contract, *, line: int | None = None
) -> dict[str, object]:
    """Return one text's scores.

    Args:
        score: the scores.
        language: the text's, stated or identified.
        contract: of the version that gave them.
        line: the text's line in a CSV file.
    """
    labels = contract.labels
    answer: dict[str, object] = {} if line is None else {"line": line}
    answer["scores"] = _by_label(score.scores, labels)
    answer["decisions"] = dict(zip(labels, score.decisions, strict=True))
    if score.decided_by:
        answer["decided_by"] = dict(zip(labels, score.decided_by, strict=True))
    answer["tokens"] = score.tokens
    answer["windows"] = score.windows
    answer["truncated"] = score.truncated
    if score.low_confidence:
        answer["low_confidence"] = True
    if not is_evaluated(language, contract):
        answer["unevaluated_language"] = True
    return answer


def language_json(text: Text) -> dict[str, object]:
    """Return what is known of a text's language."""
    answer: dict[str, object] = {"language": text.language}
    if text.confidence is not None:
        answer["language_confidence"] = round(text.confidence, _CONFIDENCE_DIGITS)
    return answer


def spans_json(spans: Sequence[Span], labels: Sequence[str]) -> list[dict[str, object]]:
    """Return the parts of a text with their influence on each score."""
    return [
        {"begin": span.begin, "end": span.end, "influence": _by_label(span.influence, labels)}
        for span in spans
    ]


def _by_label(values: Sequence[float], labels: Sequence[str]) -> dict[str, float]:
    return {label: round(value, SCORE_DIGITS) for label, value in zip(labels, values, strict=True)}
