"""*Service*: is it well? Rate, errors, duration; what is full; what of the error budget is left."""

from toxic_dashboards.panels import Board, Kind, Panel, Query, Row, Unit

_OWN = 'door!="operations"'
_REQUESTS = "toxic_inference_requests_total"
_SECONDS = "toxic_inference_request_duration_seconds_bucket"
_RATE = "[$__rate_interval]"
_REFUSAL = "a refused text"


def _quantiles(metric: str) -> tuple[Query, ...]:
    """Return the median, and what one of twenty and one of a hundred exceed."""
    return tuple(
        Query(f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket{_RATE})))", f"p{q * 100:g}")
        for q in (0.5, 0.95, 0.99)
    )


def _budget(sli: str, title: str, target: str) -> Panel:
    return Panel(
        title=f"{title} budget left",
        description=f"What 30 days' objective leaves: {target}. Below 0 it is spent.",
        unit=Unit.SHARE,
        queries=(Query(f"job:toxic_inference_{sli}_budget_left:ratio30d", title),),
        kind=Kind.NUMBER,
        width=4,
    )


_NOW = Row(
    "Now",
    (
        Panel(
            title="Champion",
            description="The version that answers, in each series' name.",
            unit=Unit.SCORE,
            queries=(
                Query(
                    'max by (version) (toxic_inference_alias_info{alias="champion"})', "version {{version}}"
                ),
            ),
            kind=Kind.NUMBER,
            width=4,
        ),
        Panel(
            title="Replicas up",
            description="Inference services that Prometheus can read; fewer than meant: see ServiceDown.",
            unit=Unit.COUNT,
            queries=(Query('sum(up{job="inference"})', "up"),),
            kind=Kind.NUMBER,
            width=4,
        ),
        _budget("availability", "Availability", "99.9% of requests without a 5xx"),
        _budget("latency", "Latency", "99% of scoring requests within a second"),
        Panel(
            title="Alerts firing",
            description="How many; the runbooks have a section for each.",
            unit=Unit.COUNT,
            queries=(Query('count(ALERTS{alertstate="firing"}) or vector(0)', "firing"),),
            kind=Kind.NUMBER,
            width=4,
        ),
        Panel(
            title="Registry reached",
            description="1 if the last poll for versions was answered. 0: a promotion won't arrive.",
            unit=Unit.COUNT,
            queries=(Query("min(toxic_inference_source_up)", "reached"),),
            kind=Kind.NUMBER,
            width=4,
        ),
    ),
)

_RED = Row(
    "Requests",
    (
        Panel(
            title="Requests by route",
            description="Answered requests a second, probes left out.",
            unit=Unit.REQUESTS,
            queries=(Query(f"sum by (route) (rate({_REQUESTS}{{{_OWN}}}{_RATE}))", "{{route}}"),),
            kind=Kind.STACK,
        ),
        Panel(
            title="Errors by status",
            description="Share of requests. 5xx use the budget up, 429 is overload, other 4xx callers'.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    f'sum by (status) (rate({_REQUESTS}{{{_OWN}, status=~"4..|5.."}}{_RATE})) '
                    f"/ ignoring (status) group_left () sum (rate({_REQUESTS}{{{_OWN}}}{_RATE}))",
                    "{{status}}",
                    needs="a request that is refused",
                ),
            ),
        ),
        Panel(
            title="Latency of scoring",
            description="From a request's arrival to its answer's end, on the doors that score.",
            unit=Unit.SECONDS,
            queries=tuple(
                Query(
                    f'histogram_quantile({q}, sum by (le) (rate({_SECONDS}{{scores="yes"}}{_RATE})))',
                    f"p{q * 100:g}",
                )
                for q in (0.5, 0.95, 0.99)
            ),
        ),
        Panel(
            title="Error burn rate",
            description="Errors over what the budget allows. Above 14.4 for an hour pages.",
            unit=Unit.COUNT,
            queries=tuple(
                Query(f"job:toxic_inference_request_errors:ratio_rate{w} / (1 - 0.999)", w)
                for w in ("5m", "1h", "6h", "3d")
            ),
            width=12,
        ),
        Panel(
            title="Latency burn rate",
            description="Slow answers over what the budget allows. Above 14.4 for an hour pages.",
            unit=Unit.COUNT,
            queries=tuple(
                Query(f"job:toxic_inference_slow_requests:ratio_rate{w} / (1 - 0.99)", w)
                for w in ("5m", "1h", "6h", "3d")
            ),
            width=12,
        ),
    ),
)

_PARTS = Row(
    "Where the time goes",
    (
        Panel(
            title="Queue wait",
            description="Longest wait of any text in a batch. It grows before anything is refused.",
            unit=Unit.SECONDS,
            queries=_quantiles("toxic_inference_queue_wait_seconds"),
        ),
        Panel(
            title="Tokenise",
            description="Looking one request's texts up and turning the rest into tokens.",
            unit=Unit.SECONDS,
            queries=_quantiles("toxic_inference_tokenise_seconds"),
        ),
        Panel(
            title="Compute by version",
            description="Mean time of a batch in the model. A jump at a promotion is the version's.",
            unit=Unit.SECONDS,
            queries=(
                Query(
                    f"sum by (version) (rate(toxic_inference_compute_seconds_sum{_RATE})) "
                    f"/ sum by (version) (rate(toxic_inference_compute_seconds_count{_RATE}))",
                    "version {{version}}",
                ),
            ),
        ),
    ),
)

_SATURATION = Row(
    "Saturation",
    (
        Panel(
            title="Queue",
            description="Texts waiting to be scored, and requests being answered.",
            unit=Unit.COUNT,
            queries=(
                Query("sum(toxic_inference_queue_rows)", "texts waiting"),
                Query("sum(toxic_inference_requests_in_progress)", "requests in progress"),
            ),
        ),
        Panel(
            title="Texts given up",
            description="A second: refused for a full queue, past their deadline, their caller left; and "
            "requests refused unread, because the event loop was behind.",
            unit=Unit.PER_SECOND,
            queries=(
                *(
                    Query(f"sum(rate(toxic_inference_{what}_rows_total{_RATE}))", what)
                    for what in ("refused", "expired", "departed")
                ),
                Query(f"sum(rate(toxic_inference_refused_requests_total{_RATE}))", "refused unread"),
            ),
        ),
        Panel(
            title="Tokens computed",
            description="The throughput that capacity is planned by, and what of it is padding.",
            unit=Unit.PER_SECOND,
            queries=(
                Query(f"sum(rate(toxic_inference_tokens_total{_RATE}))", "tokens of texts"),
                Query(f"sum(rate(toxic_inference_padding_tokens_total{_RATE}))", "padding"),
            ),
            kind=Kind.STACK,
        ),
        Panel(
            title="Batch fill",
            description="Mean tokens of a batch over the token budget, and padding's share of them.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    f"sum(rate(toxic_inference_batch_tokens_sum{_RATE})) "
                    f"/ sum(rate(toxic_inference_batch_tokens_count{_RATE})) "
                    "/ avg(toxic_inference_batch_budget_tokens)",
                    "fill",
                ),
                Query(
                    f"sum(rate(toxic_inference_padding_tokens_total{_RATE})) "
                    f"/ sum(rate(toxic_inference_batch_tokens_sum{_RATE}))",
                    "padding",
                ),
            ),
        ),
        Panel(
            title="Cache hits",
            description="Share of texts answered without the model; 0 after each promotion, then rising.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    f"sum(rate(toxic_inference_score_cache_hits_total{_RATE})) "
                    f"/ (sum(rate(toxic_inference_score_cache_hits_total{_RATE})) "
                    f"+ sum(rate(toxic_inference_score_cache_misses_total{_RATE})))",
                    "hits",
                ),
            ),
        ),
        Panel(
            title="CPU",
            description="Cores in use, by service.",
            unit=Unit.COUNT,
            queries=(Query(f"sum by (job) (rate(process_cpu_seconds_total{_RATE}))", "{{job}}"),),
        ),
        Panel(
            title="Memory",
            description="Resident memory, by service. Two versions are held during a swap.",
            unit=Unit.BYTES,
            queries=(Query("sum by (job) (process_resident_memory_bytes)", "{{job}}"),),
        ),
        Panel(
            title="Versions by state",
            description="How many versions are in each state. `failed` more than 0: see ModelLoadFailed.",
            unit=Unit.COUNT,
            queries=(Query("sum by (state) (toxic_inference_model_version_state)", "{{state}}"),),
        ),
        Panel(
            title="Load failures",
            description="Loads of a version that failed, by reason.",
            unit=Unit.COUNT,
            queries=(
                Query(
                    f"sum by (reason) (increase(toxic_inference_load_failures_total{_RATE}))",
                    "{{reason}}",
                    needs="a version that can't be loaded",
                ),
            ),
        ),
    ),
)

SERVICE = Board(
    uid="toxic-service",
    title="Service",
    description="Is the service well? Requests, errors, time, what is full, and the error budget left.",
    rows=(_NOW, _RED, _PARTS, _SATURATION),
)
