"""*Training*: what runs, what alerts led to, and what became champion."""

from toxic_dashboards.panels import Board, Kind, Panel, Query, Row, Unit

_ENDED = "a run that ended"

_RUNS = Row(
    "Runs",
    (
        Panel(
            title="Under way",
            description="1 while a run has the training server.",
            unit=Unit.COUNT,
            queries=(Query("sum(toxic_training_runs_in_progress)", "runs"),),
            kind=Kind.NUMBER,
            width=6,
        ),
        Panel(
            title="Last success",
            description="When a run last ended well, by what started it, since the server's start.",
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
            description="Ended within 24 hours, by what started them and by outcome.",
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
            description="Mean time from start to end of the runs of a day, by outcome.",
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
            description="Notifications in a day, by reason. Cool-down, daily cap and dry run are settings.",
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
            description="By the ledger, by outcome: accepted, refused by the gate, or overridden.",
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
            description="Every change of an alias that was asked for. It never falls.",
            unit=Unit.COUNT,
            queries=(Query("max(toxic_registry_ledger_rows)", "rows"),),
            width=12,
        ),
    ),
)

TRAINING = Board(
    uid="toxic-training",
    title="Training",
    description="Training runs, what alerts led to, and the ledger's promotions.",
    rows=(_RUNS, _LEDGER),
)
