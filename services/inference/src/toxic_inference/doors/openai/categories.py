"""OpenAI's thirteen moderation categories, from a model's labels.

A category is the highest of some labels, or with a second group the lower of both: a threat that is also
harassment. Categories that no label is about are 0, and the answer says that they weren't judged.
"""

from collections.abc import Mapping
from typing import NamedTuple

from toxic_core.labels import Label, LabelName
from toxic_inference.doors.openai.messages import ModerationResult
from toxic_inference.serving.interfaces import TextScore
from toxic_inference.tables.writer import SCORE_DIGITS

_ABUSE = frozenset({Label.TOXIC, Label.INSULT})
_HATE = frozenset({Label.IDENTITY_HATE})
_THREAT = frozenset({Label.THREAT})

_LABELS: Mapping[str, tuple[frozenset[str], ...]] = {
    "harassment": (_ABUSE,),
    "harassment/threatening": (_ABUSE, _THREAT),
    "hate": (_HATE,),
    "hate/threatening": (_HATE, _THREAT),
    "illicit": (),
    "illicit/violent": (),
    "self-harm": (),
    "self-harm/instructions": (),
    "self-harm/intent": (),
    "sexual": (),
    "sexual/minors": (),
    "violence": (_THREAT,),
    "violence/graphic": (),
}
"""Groups of labels by category: one label of each group is needed."""

NOT_JUDGED = tuple(category for category, groups in _LABELS.items() if not groups)
"""Categories that no label is about."""


class _Judged(NamedTuple):
    score: float
    decision: bool


def categorise(score: TextScore, labels: tuple[LabelName, ...]) -> ModerationResult:
    """Return the categories of a text's scores, which are in the order of `labels`."""
    judged = {
        label: _Judged(round(value, SCORE_DIGITS), decision)
        for label, value, decision in zip(labels, score.scores, score.decisions, strict=True)
    }
    found = {category: _judge(groups, judged) for category, groups in _LABELS.items()}
    return ModerationResult(
        flagged=any(score.decisions),
        categories={category: each is not None and each.decision for category, each in found.items()},
        category_scores={category: each.score if each else 0.0 for category, each in found.items()},
        category_applied_input_types={category: ["text"] if each else [] for category, each in found.items()},
        toxicity_scores={label: each.score for label, each in judged.items()},
    )


def _judge(groups: tuple[frozenset[str], ...], judged: Mapping[LabelName, _Judged]) -> _Judged | None:
    """Return a category's score and decision; None if the model lacks the labels of a group."""
    known = [[judged[label] for label in judged if label in group] for group in groups]
    if not known or not all(known):
        return None
    return _Judged(
        min(max(each.score for each in group) for group in known),
        all(any(each.decision for each in group) for group in known),
    )
