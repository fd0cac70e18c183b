"""Scores as the native door's JSON."""

from collections.abc import Sequence

from toxic_inference.serving.interfaces import Span, Text, TextScore
from toxic_inference.tables.writer import SCORE_DIGITS

_CONFIDENCE_DIGITS = 3


def score_json(score: TextScore, labels: Sequence[str], *, line: int | None = None) -> dict[str, object]:
    """Return one text's scores.

    Args:
        score: the scores, in the order of `labels`.
        labels: the model's labels.
        line: the text's line in a CSV file.
    """
    answer: dict[str, object] = {} if line is None else {"line": line}
    answer["scores"] = _by_label(score.scores, labels)
    answer["decisions"] = dict(zip(labels, score.decisions, strict=True))
    if score.decided_by:
        answer["decided_by"] = dict(zip(labels, score.decided_by, strict=True))
    answer["tokens"] = score.tokens
    answer["windows"] = score.windows
    answer["truncated"] = score.truncated
    return answer


def language_json(text: Text, evaluated: Sequence[str]) -> dict[str, object]:
    """Return what is known of a text's language; `evaluated` are those that the version was evaluated for."""
    answer: dict[str, object] = {
        "language": text.language,
        "language_evaluated": text.language in evaluated,
    }
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
