"""The metrics of the model: its scores of the traffic, and whether they are still right.

Invariant: a figure that needs more texts or corrections than there are is absent, never 0.
"""

from typing import Final

from toxic_inference import events
from toxic_inference.metrics.catalogue.spec import Spec, counter, counts, gauge, histogram, observes

SCORE_BINS: Final = tuple(round(0.05 * bin_, 2) for bin_ in range(1, 21))
TEXT_TOKENS: Final = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048)
_DIFFERENCES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_RETRAIN = "Above 0.2 for hours: the traffic differs from the training data; look at it, then retrain."
_BOUNDED = "Like the index, but bounded: use it to compare labels."

# What is scored

SCORED_TEXTS: Final = counter(
    "scored_texts",
    "texts",
    labels=("version", "language"),
    means="Texts that got calibrated scores, cached ones included, by version and language.",
    todo="The traffic; a growing language that the model lacks shows as `other`.",
)
FLAGGED_TEXTS: Final = counter(
    "flagged_texts",
    "texts",
    labels=("version", "label", "language"),
    means="Texts that reached a label's operating threshold, by version, label and language.",
    todo="Divided by scored texts it is the toxicity rate; a jump at a promotion comes from the model.",
)
SCORES: Final = histogram(
    "score",
    "ratio",
    labels=("version", "label"),
    buckets=SCORE_BINS,
    means="Calibrated scores, by version and label.",
    todo="Compare champion and challenger in the heat map.",
)
TEXT_LENGTHS: Final = histogram(
    "text",
    "tokens",
    labels=("version",),
    buckets=TEXT_TOKENS,
    means="Tokens per scored text, special tokens included, by version.",
    todo="Longer texts cost more; a shift of lengths shows in drift.",
)

# The challenger

SHADOW_DIFFERENCES: Final = histogram(
    "shadow_score_difference",
    "ratio",
    labels=("label",),
    buckets=_DIFFERENCES,
    means="Difference between the challenger's and the champion's calibrated score, by label.",
    todo="Its count is how many texts were compared; read it before promoting.",
    on=(observes(events.ShadowCompared, lambda event: event.difference),),
)
SHADOW_DISAGREEMENTS: Final = counter(
    "shadow_disagreements",
    "texts",
    labels=("label",),
    means="Texts that the challenger decides differently from the champion, by label.",
    todo="Many: look at what moved before promoting.",
    on=(counts(events.ShadowCompared, lambda event: event.disagrees),),
)
SHADOW_DROPPED: Final = counter(
    "shadow_dropped_texts",
    "texts",
    labels=("reason",),
    means="Sampled texts that weren't compared, by reason.",
    todo="`load`: lower INFERENCE_SHADOW_FRACTION. `failed`: the challenger fails; see the log.",
    on=(counts(events.ShadowDropped),),
    starts=tuple(events.ShadowDrop),
)

# Health without corrections

WINDOW_TEXTS: Final = gauge(
    "window",
    "texts",
    labels=("version", "window"),
    means="Texts in the window from which figures are computed.",
    todo="Below INFERENCE_MONITOR_MIN_TEXTS there are no figures.",
)


def _drift(what: str, *, against: str, labels: tuple[str, ...]) -> tuple[Spec, Spec]:
    """Describe both measures of one drift: the stability index and the Jensen-Shannon distance."""
    return (
        gauge(
            f"{what}_drift",
            "psi",
            labels=labels,
            means=f"Population stability index of {against}.",
            todo=_RETRAIN,
        ),
        gauge(
            f"{what}_drift",
            "js_distance",
            labels=labels,
            means=f"Jensen-Shannon distance (base 2, 0 to 1) of {against}.",
            todo=_BOUNDED,
        ),
    )


SCORE_DRIFT_PSI, SCORE_DRIFT_JS = _drift(
    "score",
    against="a label's scores against the contract's reference",
    labels=("version", "label", "window"),
)
LANGUAGE_DRIFT_PSI, LANGUAGE_DRIFT_JS = _drift(
    "language",
    against="the languages against the contract's; texts without a language are left out",
    labels=("version", "window"),
)
LENGTH_DRIFT_PSI, LENGTH_DRIFT_JS = _drift(
    "length", against="the texts' lengths in tokens against the contract's", labels=("version", "window")
)

_FALLING = "Falls well below its level at promotion: have a sample judged, then retrain."


def _estimated(what: str, *, means: str, todo: str = _FALLING) -> Spec:
    return gauge(
        f"estimated_{what}",
        "ratio",
        labels=("version", "label", "window"),
        means=f"Expected {means}, from calibrated scores, at the contract's share of toxic comments.",
        todo=todo,
    )


ESTIMATED_PREVALENCE: Final = _estimated(
    "prevalence",
    means="share of texts that carry the label",
    todo="Far above the share of flagged texts: the threshold misses many.",
)
ESTIMATED_PRECISION: Final = _estimated(
    "precision", means="precision of the decisions (absent if no text is flagged)"
)
ESTIMATED_RECALL: Final = _estimated("recall", means="recall of the decisions")
ESTIMATED_F1: Final = _estimated("f1", means="F1 of the decisions")
ESTIMATED_ACCURACY: Final = _estimated(
    "accuracy",
    means="accuracy of the decisions",
    todo="High for any rare label; compare precision and recall.",
)

# Health by corrections


def _judged(
    what: str, unit: str, *, means: str, todo: str, labels: tuple[str, ...] = ("version", "label")
) -> Spec:
    means = f"{means}, among the latest corrections that report the score seen."
    return gauge(f"feedback_{what}", unit, labels=labels, means=means, todo=todo)


FEEDBACK_JUDGED: Final = _judged(
    "judged",
    "texts",
    labels=("version", "label", "said"),
    means="Texts judged for the label, by judgement (yes or no)",
    todo="Few of either: no live figures. The same in every replica: take the maximum, never the sum.",
)
FEEDBACK_AUC: Final = _judged(
    "auc",
    "ratio",
    means="How often a text judged yes scored above one judged no (ROC AUC)",
    todo="Near 0.5: on what moderators correct, the model is no better than chance. Retrain with feedback.",
)
FEEDBACK_PRECISION: Final = _judged(
    "precision",
    "ratio",
    means="Share of flagged texts that moderators agree on",
    todo="Below the precision that thresholds promise: retrain with feedback, or raise the threshold.",
)
FEEDBACK_DISAGREEMENT: Final = _judged(
    "disagreement",
    "ratio",
    means="Share of texts that moderators decide differently from the version",
    todo="Above one half although right and wrong decisions are judged: roll back.",
)
FEEDBACK_READ: Final = gauge(
    "feedback_read_timestamp",
    "seconds",
    means="When corrections were last read for the figures above, in seconds since 1970.",
    todo="Doesn't advance: the store can't be reached; see the log.",
)
