"""The dashboard *Model*: traffic, drift, quality and the challenger."""

from toxic_dashboards.panels import Board, Kind, Panel, Query, Row, Unit, quantiles, rate, ratio

_TOXIC = '{label="toxic"}'
_SHADOW_DIFFERENCE = "toxic_inference_shadow_score_difference_ratio_bucket"
_CHAMPION = " and on (version) version:toxic_inference_champion:info"
_ENOUGH = "enough texts in the window (INFERENCE_MONITOR_MIN_TEXTS), and a reference in the contract"
_JUDGED = "enough corrections that have the score shown"
_SHADOW = "a challenger that is shadowed"


def _one(title: str, description: str, unit: Unit, query: Query) -> Panel:
    return Panel(title=title, description=description, unit=unit, queries=(query,))


def _estimated(figure: str) -> Panel:
    expr = f'avg by (version, label) (toxic_inference_estimated_{figure}_ratio{{window="24h"}}){_CHAMPION}'
    description = "From the champion's calibrated scores of 24 hours, without labels."
    return _one(f"Estimated {figure}", description, Unit.SHARE, Query(expr, "{{label}}", needs=_ENOUGH))


def _live(figure: str, means: str) -> Panel:
    expr = f"max by (version, label) (toxic_inference_feedback_{figure}_ratio){_CHAMPION}"
    description = f"By moderators' latest corrections: {means}."
    return _one(f"Live {figure}", description, Unit.SHARE, Query(expr, "{{label}}", needs=_JUDGED))


def _drift(kind: str, *, legend: str = "{{window}}") -> Panel:
    by = "version_label_window" if kind == "score" else "version_window"
    expr = f"{by}:toxic_inference_{kind}_drift_psi:avg{_CHAMPION}"
    description = "Population stability index against the reference: above 0.1 is small, above 0.2 large."
    return _one(f"Drift of {kind}s", description, Unit.SCORE, Query(expr, legend, needs=_ENOUGH))


_TRAFFIC = Row(
    "What is scored",
    (
        Panel(
            title="Toxicity rate by label",
            description="Share of texts at or above the threshold. A jump at a promotion is the version's.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    f"{rate('toxic_inference_flagged_texts_total', by='label')} / ignoring (label) "
                    "group_left () sum (rate(toxic_inference_scored_texts_total[$__rate_interval]))",
                    "{{label}}",
                ),
            ),
        ),
        Panel(
            title="Toxicity rate by language",
            description="Share of texts at or above the threshold of `toxic`, per language.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    f"{rate('toxic_inference_flagged_texts_total', _TOXIC, by='language')} "
                    f"/ {rate('toxic_inference_scored_texts_total', by='language')}",
                    "{{language}}",
                ),
            ),
        ),
        Panel(
            title="Languages",
            description="Texts per second. `other`: not one of the model's languages; `und`: not given.",
            unit=Unit.PER_SECOND,
            queries=(Query(rate("toxic_inference_scored_texts_total", by="language"), "{{language}}"),),
            kind=Kind.STACK,
        ),
        Panel(
            title="Scores of toxic",
            description="Distribution of calibrated scores. It changes before drift alerts fire.",
            unit=Unit.SCORE,
            queries=(
                Query(
                    f"sum by (le) (increase(toxic_inference_score_ratio_bucket{_TOXIC}[$__rate_interval]))",
                    "{{le}}",
                ),
            ),
            kind=Kind.HEATMAP,
            width=12,
        ),
        Panel(
            title="Length of texts",
            description="Tokens per scored text: median and 95th percentile.",
            unit=Unit.COUNT,
            queries=quantiles("toxic_inference_text_tokens", of=(0.5, 0.95)),
            width=6,
        ),
        Panel(
            title="Unread parts",
            description="Share of tokens that aren't in the vocabulary, and of texts that were truncated.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    ratio("toxic_inference_unknown_tokens_total", "toxic_inference_tokenised_tokens_total"),
                    "unknown tokens",
                ),
                Query(
                    ratio("toxic_inference_truncated_texts_total", "toxic_inference_tokenised_texts_total"),
                    "truncated texts",
                ),
            ),
            width=6,
        ),
    ),
)

_DRIFT = Row(
    "Is the traffic what it was trained for?",
    (_drift("score", legend="{{label}}, {{window}}"), _drift("language"), _drift("length")),
)

_QUALITY = Row(
    "Is it still right?",
    (
        _estimated("precision"),
        _estimated("recall"),
        _estimated("f1"),
        _live("auc", "probability that a positive text scores above a negative one; 0.5 is chance"),
        _live("precision", "share of flagged texts that are confirmed"),
        _live("disagreement", "share of texts with another decision; above 0.5 alerts"),
        Panel(
            title="Corrections",
            description="Per second, by door. Without recent corrections, live quality is unknown.",
            unit=Unit.PER_SECOND,
            queries=(Query(rate("toxic_inference_feedback_total", by="source"), "{{source}}"),),
        ),
    ),
)

_CHALLENGER = Row(
    "Champion against challenger",
    (
        Panel(
            title="Aliases",
            description="The version of each alias.",
            unit=Unit.SCORE,
            queries=(
                Query(
                    "max by (alias, version) (toxic_inference_alias_info)", "{{alias}}: version {{version}}"
                ),
            ),
            kind=Kind.NUMBER,
        ),
        Panel(
            title="Disagreement by label",
            description="Share of shadowed texts on which the challenger decides differently.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    ratio(
                        "toxic_inference_shadow_disagreements_total",
                        "toxic_inference_shadow_score_difference_ratio_count",
                        by="label",
                    ),
                    "{{label}}",
                    needs=_SHADOW,
                ),
            ),
        ),
        Panel(
            title="Difference of scores",
            description="Between challenger and champion: 95th percentile.",
            unit=Unit.SCORE,
            queries=(
                Query(
                    f"histogram_quantile(0.95, {rate(_SHADOW_DIFFERENCE, by='le, label')})",
                    "{{label}}",
                    needs=_SHADOW,
                ),
            ),
        ),
    ),
)

MODEL = Board(
    uid="toxic-model",
    title="Model",
    description="Traffic, its drift, the champion's quality and the challenger.",
    rows=(_TRAFFIC, _DRIFT, _QUALITY, _CHALLENGER),
)
