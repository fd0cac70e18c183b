"""The dashboard *Training*: runs, retraining by alerts, and promotions."""

from toxic_dashboards.panels import Board, Kind, Panel, Query, Row, Unit

_ENDED = "a run that ended"

_RUNS = Row(
    "Runs",
    (
        Panel(
            title="Under way",
            description="1 while the training server has a run.",
            unit=Unit.COUNT,
            queries=(Query("sum(toxic_training_runs_in_progress)", "runs"),),
            kind=Kind.NUMBER,
            width=6,
        ),
        Panel(
            title="Last success",
            description="Time of the last successful run since the server's start, by trigger.",
            unit=Unit.WHEN,
            queries=(
                Query(
                    "1000 * max by (trigger) (toxic_training_last_success_timestamp_seconds)",
                    "{{trigger}}",
                    needs=_ENDED,
                ),
            ),
            kind=Kind.NUMBER,
            width=6,
        ),
        Panel(
            title="Runs in a day",
            description="Runs that ended within 24 hours, by trigger and outcome.",
            unit=Unit.COUNT,
            queries=(
                Query(
                    "sum by (trigger, outcome) (increase(toxic_training_runs_ended_total[1d]))",
                    "{{trigger}}: {{outcome}}",
                ),
            ),
            kind=Kind.STACK,
            width=12,
        ),
        Panel(
            title="Duration",
            description="Mean duration of a day's runs, by outcome.",
            unit=Unit.SECONDS,
            queries=(
                Query(
                    "sum by (outcome) (increase(toxic_training_run_duration_seconds_sum[1d])) "
                    "/ sum by (outcome) (increase(toxic_training_run_duration_seconds_count[1d]))",
                    "{{outcome}}",
                    needs=_ENDED,
                ),
            ),
            width=12,
        ),
        Panel(
            title="Alerts that started nothing",
            description="Notifications per day without a run, by reason such as cool-down or dry run.",
            unit=Unit.COUNT,
            queries=(
                Query(
                    "sum by (reason) (increase(toxic_training_retraining_refused_total[1d]))", "{{reason}}"
                ),
            ),
            width=12,
        ),
    ),
)

_LEDGER = Row(
    "Promotions",
    (
        Panel(
            title="Changes of the champion in a day",
            description="Entries of the ledger by outcome: accepted, refused by the gate, or overridden.",
            unit=Unit.COUNT,
            queries=(
                Query(
                    'sum by (outcome) (increase(toxic_registry_alias_changes_total{alias="champion"}[1d]))',
                    "{{outcome}}",
                ),
            ),
            kind=Kind.STACK,
            width=12,
        ),
        Panel(
            title="Rows of the ledger",
            description="Every requested change of an alias. The number never falls.",
            unit=Unit.COUNT,
            queries=(Query("max(toxic_registry_ledger_rows)", "rows"),),
            width=12,
        ),
    ),
)

TRAINING = Board(
    uid="toxic-training",
    title="Training",
    description="Training runs, retraining by alerts, and promotions.",
    rows=(_RUNS, _LEDGER),
)
