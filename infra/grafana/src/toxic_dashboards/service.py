"""The dashboard *Service*: rate, errors, duration, saturation and the error budget."""

from toxic_dashboards.panels import Board, Kind, Panel, Query, Row, Unit, quantiles, rate, ratio

_OWN = 'door!="operations"'
_REQUESTS = "toxic_inference_requests_total"
_SECONDS = "toxic_inference_request_duration_seconds"
_COMPUTE = "toxic_inference_compute_seconds"
_BATCH = "toxic_inference_batch_tokens"
_HITS = rate("toxic_inference_score_cache_hits_total")


def _number(title: str, description: str, unit: Unit, query: Query) -> Panel:
    return Panel(title=title, description=description, unit=unit, queries=(query,), kind=Kind.NUMBER, width=4)


def _budget(sli: str, title: str, target: str) -> Panel:
    query = Query(f"job:toxic_inference_{sli}_budget_left:ratio30d", title)
    description = f"Left of 30 days' error budget: {target}. Below 0 it is spent."
    return _number(f"{title} budget left", description, Unit.SHARE, query)


_NOW = Row(
    "Now",
    (
        _number(
            "Champion",
            "The version that answers, in each series' name.",
            Unit.SCORE,
            Query('max by (version) (toxic_inference_alias_info{alias="champion"})', "version {{version}}"),
        ),
        _number(
            "Replicas up",
            "Inference services that Prometheus can scrape. If some are missing, see ServiceDown.",
            Unit.COUNT,
            Query('sum(up{job="inference"})', "up"),
        ),
        _budget("availability", "Availability", "99.9% of requests without a 5xx"),
        _budget("latency", "Latency", "99% of scoring requests within a second"),
        _number(
            "Alerts firing",
            "Number of firing alerts; each has a section in the runbooks.",
            Unit.COUNT,
            Query('count(ALERTS{alertstate="firing"}) or vector(0)', "firing"),
        ),
        _number(
            "Registry reached",
            "1 if the last poll for versions succeeded. 0: promotions don't reach the service.",
            Unit.COUNT,
            Query("min(toxic_inference_source_up)", "reached"),
        ),
    ),
)

_RED = Row(
    "Requests",
    (
        Panel(
            title="Requests by route",
            description="Answered requests per second, without probes.",
            unit=Unit.REQUESTS,
            queries=(Query(rate(_REQUESTS, f"{{{_OWN}}}", by="route"), "{{route}}"),),
            kind=Kind.STACK,
        ),
        Panel(
            title="Errors by status",
            description="Share of requests. 5xx spend the error budget; 429 is overload.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    rate(_REQUESTS, f'{{{_OWN}, status=~"4..|5.."}}', by="status")
                    + " / ignoring (status) group_left () "
                    f"sum (rate({_REQUESTS}{{{_OWN}}}[$__rate_interval]))",
                    "{{status}}",
                    needs="a request that is refused",
                ),
            ),
        ),
        Panel(
            title="Latency of scoring",
            description="From arrival to the end of the response, for requests that score.",
            unit=Unit.SECONDS,
            queries=quantiles(_SECONDS, '{scores="yes"}'),
        ),
        Panel(
            title="Error burn rate",
            description="Error rate over the budgeted rate. Above 14.4 for an hour pages.",
            unit=Unit.COUNT,
            queries=tuple(
                Query(f"job:toxic_inference_request_errors:ratio_rate{w} / (1 - 0.999)", w)
                for w in ("5m", "1h", "6h", "3d")
            ),
            width=12,
        ),
        Panel(
            title="Latency burn rate",
            description="Rate of slow responses over the budgeted rate. Above 14.4 for an hour pages.",
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
            description="Longest wait of any text in a batch. It grows before texts are refused.",
            unit=Unit.SECONDS,
            queries=quantiles("toxic_inference_queue_wait_seconds"),
        ),
        Panel(
            title="Tokenise",
            description="Time per request for cache look-ups and tokenization.",
            unit=Unit.SECONDS,
            queries=quantiles("toxic_inference_tokenise_seconds"),
        ),
        Panel(
            title="Compute by version",
            description="Mean time per batch in the model. A jump at a promotion comes from the new version.",
            unit=Unit.SECONDS,
            queries=(
                Query(ratio(f"{_COMPUTE}_sum", f"{_COMPUTE}_count", by="version"), "version {{version}}"),
            ),
        ),
    ),
)

_SATURATION = Row(
    "Saturation",
    (
        Panel(
            title="Queue",
            description="Texts that wait in the queue, and requests in progress.",
            unit=Unit.COUNT,
            queries=(
                Query("sum(toxic_inference_queue_rows)", "texts waiting"),
                Query("sum(toxic_inference_requests_in_progress)", "requests in progress"),
            ),
        ),
        Panel(
            title="Texts given up",
            description="Per second: refused by a full queue, past their deadline or without a caller; and "
            "requests that admission control refused unread, because the event loop was behind.",
            unit=Unit.PER_SECOND,
            queries=(
                *(
                    Query(rate(f"toxic_inference_{what}_rows_total"), what)
                    for what in ("refused", "expired", "departed")
                ),
                Query(rate("toxic_inference_refused_requests_total"), "refused unread"),
            ),
        ),
        Panel(
            title="Tokens computed",
            description="The throughput to plan capacity by, and its padding.",
            unit=Unit.PER_SECOND,
            queries=(
                Query(rate("toxic_inference_tokens_total"), "tokens of texts"),
                Query(rate("toxic_inference_padding_tokens_total"), "padding"),
            ),
            kind=Kind.STACK,
        ),
        Panel(
            title="Batch fill",
            description="Mean tokens per batch over the token budget, and the share of padding.",
            unit=Unit.SHARE,
            queries=(
                Query(
                    ratio(f"{_BATCH}_sum", f"{_BATCH}_count") + " / avg(toxic_inference_batch_budget_tokens)",
                    "fill",
                ),
                Query(ratio("toxic_inference_padding_tokens_total", f"{_BATCH}_sum"), "padding"),
            ),
        ),
        Panel(
            title="Cache hits",
            description="Share of texts from the cache. It is 0 after each promotion, then rises.",
            unit=Unit.SHARE,
            queries=(
                Query(f"{_HITS} / ({_HITS} + {rate('toxic_inference_score_cache_misses_total')})", "hits"),
            ),
        ),
        Panel(
            title="CPU",
            description="Cores in use per service.",
            unit=Unit.COUNT,
            queries=(Query(rate("process_cpu_seconds_total", by="job"), "{{job}}"),),
        ),
        Panel(
            title="Memory",
            description="Resident memory per service. During a swap, two versions are loaded.",
            unit=Unit.BYTES,
            queries=(Query("sum by (job) (process_resident_memory_bytes)", "{{job}}"),),
        ),
        Panel(
            title="Versions by state",
            description="Versions per state. If `failed` is above 0, see ModelLoadFailed.",
            unit=Unit.COUNT,
            queries=(Query("sum by (state) (toxic_inference_model_version_state)", "{{state}}"),),
        ),
        Panel(
            title="Load failures",
            description="Failed loads of a version by reason.",
            unit=Unit.COUNT,
            queries=(
                Query(
                    "sum by (reason) (increase(toxic_inference_load_failures_total[$__rate_interval]))",
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
    description="Requests, errors, latency, saturation and the error budget.",
    rows=(_NOW, _RED, _PARTS, _SATURATION),
)
