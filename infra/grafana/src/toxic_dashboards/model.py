"""*Model*: what is scored, and is the champion still right?"""

from toxic_dashboards.panels import Board, Kind, Panel, Query, Row, Unit

_RATE = "[$__rate_interval]"
_CHAMPION = " and on (version) version:toxic_inference_champion:info"
_ENOUGH = "enough texts in the window (INFERENCE_MONITOR_MIN_TEXTS), and a reference in the contract"
_JUDGED = "enough corrections that tell the score seen"
_SHADOW = "a challenger that is shadowed"


def _drift(kind: str, what: str) -> Panel:
    by = "version_label_window" if kind == "score" else "version_window"
    return Panel(
        title=f"Drift of {what}",
        description="Population stability index against the reference: above 0.1 is little, above 0.2 much.",
        unit=Unit.SCORE,
        queries=(
            Query(
                f"{by}:toxic_inference_{kind}_drift_psi:avg{_CHAMPION}",
                ("{{label}}, " if kind == "score" else "") + "{{window}}",
                needs=_ENOUGH,
            ),
        ),
    )


def _estimated(figure: str) -> Panel:
    return Panel(
        title=f"Estimated {figure}",
        description="From the champion's calibrated scores of 24 hours, without labels.",
        unit=Unit.SHARE,
        queries=(
            Query(
                f"avg by (version, label) (toxic_inference_estimated_{figure}_ratio"
                f'{{window="24h"}}){_CHAMPION}',
                "{{label}}",
                needs=_ENOUGH,
            ),
        ),
    )


def _live(figure: str, means: str) -> Panel:
    return Panel(
        title=f"Live {figure}",
        description=f"By moderators' latest corrections: {means}.",
        unit=Unit.SHARE,
        queries=(
            Query(
                f"max by (version, label) (toxic_inference_feedback_{figure}_ratio){_CHAMPION}",
                "{{label}}",
                needs=_JUDGED,
            ),
        ),
    )


_TRAFFIC = Row(
    "What is scored",
    (
        Panel(
            title="Toxicity rate by label",
            description="Share of texts that reach the threshold. A jump at a promotion is the model's.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    f"sum by (label) (rate(toxic_inference_flagged_texts_total{_RATE})) "
                    f"/ ignoring (label) group_left () sum (rate(toxic_inference_scored_texts_total{_RATE}))",
                    "{{label}}",
                ),
            ),
        ),
        Panel(
            title="Toxicity rate by language",
            description="Share of texts that reach the threshold of `toxic`, by language.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    'sum by (language) (rate(toxic_inference_flagged_texts_total{label="toxic"}'
                    f"{_RATE})) / sum by (language) (rate(toxic_inference_scored_texts_total{_RATE}))",
                    "{{language}}",
                ),
            ),
        ),
        Panel(
            title="Languages",
            description="Texts a second. `other`: not one of the model's; `und`: nobody said.",
            unit=Unit.PER_SECOND,
            queries=(
                Query(f"sum by (language) (rate(toxic_inference_scored_texts_total{_RATE}))", "{{language}}"),
            ),
            kind=Kind.STACK,
        ),
        Panel(
            title="Scores of toxic",
            description="How many texts got which calibrated score. It moves before drift alerts.",
            unit=Unit.SCORE,
            queries=(
                Query(
                    f'sum by (le) (increase(toxic_inference_score_ratio_bucket{{label="toxic"}}{_RATE}))',
                    "{{le}}",
                ),
            ),
            kind=Kind.HEATMAP,
            width=12,
        ),
        Panel(
            title="Length of texts",
            description="Tokens of a text that was scored: median, and what one of twenty exceeds.",
            unit=Unit.COUNT,
            queries=tuple(
                Query(
                    f"histogram_quantile({q}, sum by (le) (rate(toxic_inference_text_tokens_bucket{_RATE})))",
                    f"p{q * 100:g}",
                )
                for q in (0.5, 0.95)
            ),
            width=6,
        ),
        Panel(
            title="Unread parts",
            description="Share of tokens unknown to the vocabulary, and of texts whose end wasn't read.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    f"sum(rate(toxic_inference_unknown_tokens_total{_RATE})) "
                    f"/ sum(rate(toxic_inference_tokenised_tokens_total{_RATE}))",
                    "unknown tokens",
                ),
                Query(
                    f"sum(rate(toxic_inference_truncated_texts_total{_RATE})) "
                    f"/ sum(rate(toxic_inference_tokenised_texts_total{_RATE}))",
                    "truncated texts",
                ),
            ),
            width=6,
        ),
    ),
)

_DRIFT = Row(
    "Is the traffic what it was trained for?",
    (_drift("score", "scores"), _drift("language", "languages"), _drift("length", "lengths")),
)

_QUALITY = Row(
    "Is it still right?",
    (
        _estimated("precision"),
        _estimated("recall"),
        _estimated("f1"),
        _live("auc", "how often a text judged yes scored above one judged no; 0.5 is chance"),
        _live("precision", "share of flagged texts that they agree on"),
        _live("disagreement", "share of texts decided otherwise; above 0.5 alerts"),
        Panel(
            title="Corrections",
            description="A second, by the door they came through. None for long: live quality is blind.",
            unit=Unit.PER_SECOND,
            queries=(Query(f"sum by (source) (rate(toxic_inference_feedback_total{_RATE}))", "{{source}}"),),
        ),
    ),
)

_CHALLENGER = Row(
    "Champion against challenger",
    (
        Panel(
            title="Aliases",
            description="Which version each alias routes to.",
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
            description="Share of shadowed texts that the challenger decides otherwise.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    f"sum by (label) (rate(toxic_inference_shadow_disagreements_total{_RATE})) "
                    f"/ sum by (label) (rate(toxic_inference_shadow_score_difference_ratio_count{_RATE}))",
                    "{{label}}",
                    needs=_SHADOW,
                ),
            ),
        ),
        Panel(
            title="Difference of scores",
            description="Between challenger and champion: what one text of twenty exceeds.",
            unit=Unit.SCORE,
            queries=(
                Query(
                    "histogram_quantile(0.95, sum by (le, label) "
                    f"(rate(toxic_inference_shadow_score_difference_ratio_bucket{_RATE})))",
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
    description="What is scored, whether the traffic has drifted, and whether the champion is still right.",
    rows=(_TRAFFIC, _DRIFT, _QUALITY, _CHALLENGER),
)
