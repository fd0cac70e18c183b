"""The metrics of the model: what it says of the traffic, and whether it is still right.

Invariant: as `spec` has it. What needs more texts or corrections than have come is absent, never 0: a series
that is there can be believed.
"""

from typing import Final

from toxic_inference.metrics.catalogue.spec import Spec

SCORE_BINS: Final = tuple(round(0.05 * bin_, 2) for bin_ in range(1, 21))
TEXT_TOKENS: Final = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048)
_DIFFERENCES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_RETRAIN = "Above 0.2 for hours: the traffic isn't what was trained for; look at it, then retrain."

# What is scored

SCORED_TEXTS: Final = Spec.counter(
    "scored_texts",
    unit="texts",
    labels=("version", "language"),
    means="Texts that were given calibrated scores, cached ones included, by version and language.",
    todo="The traffic; a language that grows and isn't the model's shows as `other`.",
)
FLAGGED_TEXTS: Final = Spec.counter(
    "flagged_texts",
    unit="texts",
    labels=("version", "label", "language"),
    means="Texts that reached a label's operating threshold, by version, label and language.",
    todo="Over scored texts it is the toxicity rate; a jump at a promotion is the model's.",
)
SCORES: Final = Spec.histogram(
    "score",
    unit="ratio",
    labels=("version", "label"),
    buckets=SCORE_BINS,
    means="Calibrated scores, by version and label.",
    todo="The heat map; compare champion and challenger.",
)
TEXT_LENGTHS: Final = Spec.histogram(
    "text",
    unit="tokens",
    labels=("version",),
    buckets=TEXT_TOKENS,
    means="Tokens of a text that was scored, special ones included, by version.",
    todo="Longer texts cost more, and a shift of lengths shows in drift.",
)

# The challenger

SHADOW_DIFFERENCES: Final = Spec.histogram(
    "shadow_score_difference",
    unit="ratio",
    labels=("label",),
    buckets=_DIFFERENCES,
    means="How far the challenger's calibrated score is from the champion's, by label.",
    todo="Its count is how many texts were compared; read it before promoting.",
)
SHADOW_DISAGREEMENTS: Final = Spec.counter(
    "shadow_disagreements",
    unit="texts",
    labels=("label",),
    means="Texts that the challenger would have decided otherwise than the champion, by label.",
    todo="Many: look at what moved before promoting.",
)
SHADOW_DROPPED: Final = Spec.counter(
    "shadow_dropped_texts",
    unit="texts",
    labels=("reason",),
    means="Sampled texts that weren't compared, by reason.",
    todo="`load`: lower INFERENCE_SHADOW_FRACTION. `failed`: the challenger fails; see the log.",
)

# Health without labels

WINDOW_TEXTS: Final = Spec.gauge(
    "window",
    unit="texts",
    labels=("version", "window"),
    means="Texts that the window's figures are made from.",
    todo="Below INFERENCE_MONITOR_MIN_TEXTS there are no figures.",
)
SCORE_DRIFT_PSI: Final = Spec.gauge(
    "score_drift",
    unit="psi",
    labels=("version", "label", "window"),
    means="Population stability index of a label's scores against the contract's reference.",
    todo=_RETRAIN,
)
SCORE_DRIFT_JS: Final = Spec.gauge(
    "score_drift",
    unit="js_distance",
    labels=("version", "label", "window"),
    means="Jensen-Shannon distance (base 2, 0 to 1) of a label's scores from the contract's reference.",
    todo="As its index, but bounded: for comparing labels.",
)
LANGUAGE_DRIFT_PSI: Final = Spec.gauge(
    "language_drift",
    unit="psi",
    labels=("version", "window"),
    means="Population stability index of the languages against the contract's; texts without one left out.",
    todo=_RETRAIN,
)
LANGUAGE_DRIFT_JS: Final = Spec.gauge(
    "language_drift",
    unit="js_distance",
    labels=("version", "window"),
    means="Jensen-Shannon distance of the languages from the contract's; texts without one left out.",
    todo="As its index, but bounded.",
)
LENGTH_DRIFT_PSI: Final = Spec.gauge(
    "length_drift",
    unit="psi",
    labels=("version", "window"),
    means="Population stability index of the texts' lengths in tokens against the contract's.",
    todo=_RETRAIN,
)
LENGTH_DRIFT_JS: Final = Spec.gauge(
    "length_drift",
    unit="js_distance",
    labels=("version", "window"),
    means="Jensen-Shannon distance of the texts' lengths in tokens from the contract's.",
    todo="As its index, but bounded.",
)

_ESTIMATED = "as the calibrated scores have it, in a stream with the contract's share of toxic comments"
_FALLING = "Falls well below its level at promotion: have a sample judged, then retrain."

ESTIMATED_PREVALENCE: Final = Spec.gauge(
    "estimated_prevalence",
    unit="ratio",
    labels=("version", "label", "window"),
    means=f"Expected share of texts that carry the label, {_ESTIMATED}.",
    todo="Far above the share of flagged texts: the threshold misses many.",
)
ESTIMATED_PRECISION: Final = Spec.gauge(
    "estimated_precision",
    unit="ratio",
    labels=("version", "label", "window"),
    means=f"Expected precision of the decisions, {_ESTIMATED}; absent where nothing is flagged.",
    todo=_FALLING,
)
ESTIMATED_RECALL: Final = Spec.gauge(
    "estimated_recall",
    unit="ratio",
    labels=("version", "label", "window"),
    means=f"Expected recall of the decisions, {_ESTIMATED}.",
    todo=_FALLING,
)
ESTIMATED_F1: Final = Spec.gauge(
    "estimated_f1",
    unit="ratio",
    labels=("version", "label", "window"),
    means=f"Expected F1 of the decisions, {_ESTIMATED}.",
    todo=_FALLING,
)
ESTIMATED_ACCURACY: Final = Spec.gauge(
    "estimated_accuracy",
    unit="ratio",
    labels=("version", "label", "window"),
    means=f"Expected accuracy of the decisions, {_ESTIMATED}.",
    todo="High for any rare label; read precision and recall beside it.",
)

# Health by corrections

_JUDGED = "among the latest corrections that tell the score seen"

FEEDBACK_JUDGED: Final = Spec.gauge(
    "feedback_judged",
    unit="texts",
    labels=("version", "label", "said"),
    means=f"Texts judged for the label, {_JUDGED}, by what moderators say: yes or no.",
    todo="Few of either: no live figures. The same in every replica: take the maximum, never the sum.",
)
FEEDBACK_AUC: Final = Spec.gauge(
    "feedback_auc",
    unit="ratio",
    labels=("version", "label"),
    means=f"How often a text judged yes scored above one judged no (ROC AUC), {_JUDGED}.",
    todo="Near 0.5: on what moderators correct, the model is no better than chance. Retrain with feedback.",
)
FEEDBACK_PRECISION: Final = Spec.gauge(
    "feedback_precision",
    unit="ratio",
    labels=("version", "label"),
    means=f"Share of flagged texts that moderators agree on, {_JUDGED}.",
    todo="Below the precision that thresholds promise: retrain with feedback, or raise the threshold.",
)
FEEDBACK_DISAGREEMENT: Final = Spec.gauge(
    "feedback_disagreement",
    unit="ratio",
    labels=("version", "label"),
    means=f"Share of texts that moderators decide otherwise than the version did, {_JUDGED}.",
    todo="Above one half where both right and wrong decisions are judged: roll back.",
)
FEEDBACK_READ: Final = Spec.gauge(
    "feedback_read_timestamp",
    unit="seconds",
    means="When corrections were last read for the figures above, in seconds since 1970.",
    todo="Stands still: the store can't be reached; see the log.",
)
