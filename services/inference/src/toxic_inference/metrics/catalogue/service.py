"""The metrics of the service: requests, the queue, batches, tokens, versions, files, corrections, devices.

Invariant: a released name keeps its meaning, because dashboards and alerts depend on it.
"""

from typing import Final

from toxic_inference import events
from toxic_inference.metrics.catalogue.spec import counter, counts, gauge, histogram, observes, sets

LATENCY_SECONDS: Final = (
    *(0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1),
    *(0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
"""Buckets for everything that a caller waits for."""

_BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_BATCH_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_LOAD_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
_VERSION = ("version",)

# Requests

REQUESTS: Final = counter(
    "requests",
    "requests",
    labels=("door", "route", "method", "status"),
    means="Requests answered, by door, route template, method and HTTP status.",
    todo="5xx above the error budget: look up the request id in the log, then check load failures and queue.",
    on=(counts(events.RequestEnded),),
)
REQUEST_SECONDS: Final = histogram(
    "request_duration",
    "seconds",
    labels=("door", "route", "scores"),
    buckets=LATENCY_SECONDS,
    means="Time from a request's arrival to the end of its answer, by door and route template.",
    todo="Slow: check which of queue wait, tokenise and compute grew.",
    on=(observes(events.RequestEnded, lambda event: event.seconds),),
)
REQUESTS_IN_PROGRESS: Final = gauge(
    "requests",
    "in_progress",
    means="Requests being answered now.",
    todo="Compare with the queue.",
    on=(counts(events.RequestStarted), counts(events.RequestEnded, lambda _: -1)),
)
REFUSED_REQUESTS: Final = counter(
    "refused_requests",
    "requests",
    means="Requests refused unread: the queue was full, or the event loop had too many under way.",
    todo="More than now and then: scale out, or raise INFERENCE_MAX_QUEUE_SECONDS.",
    on=(counts(events.RequestRefused),),
)
REJECTED_ROWS: Final = counter(
    "rejected_rows",
    "rows",
    labels=("reason",),
    means="Rows of CSV and NDJSON files that couldn't be scored, by reason.",
    todo="Tell the file's sender; the reasons are in the answer too.",
    on=(counts(events.RowRejected),),
)
EVENTS: Final = counter(
    "events",
    "messages",
    labels=("outcome",),
    means="Messages from the registry that an alias moved, by outcome.",
    todo="`refused` or `replayed`: compare both sides' secret and clocks. Polling finds changes meanwhile.",
    on=(counts(events.RegistryMessageReceived),),
)
JOBS: Final = counter(
    "jobs",
    "files",
    labels=("outcome",),
    means="Uploaded files that left the queue, by outcome: done, failed or deleted.",
    todo="`failed`: the job's own page has the reason.",
    on=(counts(events.JobEnded),),
    starts=("done", "failed", "deleted"),
)
JOBS_IN_PROGRESS: Final = gauge(
    "jobs",
    "in_progress",
    means="Uploaded files that wait or are being scored.",
    todo="Keeps growing: files arrive faster than they are scored; add a replica.",
    on=(sets(events.JobsChanged, lambda event: event.waiting),),
)

# The queue and batches

QUEUE_ROWS: Final = gauge(
    "queue",
    "rows",
    means="Texts waiting to be scored.",
    todo="Near INFERENCE_QUEUE_ROWS: scale out.",
    on=(counts(events.QueueChanged, lambda event: event.rows),),
)
REFUSED_ROWS: Final = counter(
    "refused_rows",
    "rows",
    means="Texts refused because the queue was full, or too long for the time limit.",
    todo="More than now and then: scale out, or raise INFERENCE_MAX_QUEUE_SECONDS.",
    on=(counts(events.RowsRefused, lambda event: event.rows),),
)
EXPIRED_ROWS: Final = counter(
    "expired_rows",
    "rows",
    means="Waiting texts dropped because their deadline had passed.",
    todo="Scale out; or callers set too short a timeout.",
    on=(counts(events.RowsExpired, lambda event: event.rows),),
)
DEPARTED_ROWS: Final = counter(
    "departed_rows",
    "rows",
    means="Waiting texts dropped because their caller left.",
    todo="Callers give up before the answer: check latency.",
    on=(counts(events.RowsDeparted, lambda event: event.rows),),
)
QUEUE_WAIT_SECONDS: Final = histogram(
    "queue_wait",
    "seconds",
    labels=_VERSION,
    buckets=LATENCY_SECONDS,
    means="Longest wait of any text in a batch, from submission to the batch's start, by version.",
    todo="Grows before anything is refused: the signal to scale on.",
    on=(observes(events.BatchRan, lambda event: event.longest_wait_seconds),),
)
TOKENISE_SECONDS: Final = histogram(
    "tokenise",
    "seconds",
    labels=_VERSION,
    buckets=LATENCY_SECONDS,
    means="Time to look up one request's texts in the cache and to tokenise the others, by version.",
    todo="Large compared with compute: raise INFERENCE_TOKENISE_THREADS.",
    on=(observes(events.TextsTokenised, lambda event: event.seconds),),
)
COMPUTE_SECONDS: Final = histogram(
    "compute",
    "seconds",
    labels=_VERSION,
    buckets=LATENCY_SECONDS,
    means="Time a batch spends in the model, by version.",
    todo="Grew with a new version: that version is slower. Grew without one: the machine is shared.",
    on=(observes(events.BatchRan, lambda event: event.compute_seconds),),
)
BATCH_ROWS: Final = histogram(
    "batch",
    "rows",
    labels=_VERSION,
    buckets=_BATCH_ROWS,
    means="Texts in a batch, by version.",
    todo="Always 1 under load: texts are long, or the token budget is small.",
    on=(observes(events.BatchRan, lambda event: event.rows),),
)
BATCH_TOKENS: Final = histogram(
    "batch",
    "tokens",
    labels=_VERSION,
    buckets=_BATCH_TOKENS,
    means="Tokens in a batch, padding included, by version.",
    todo="Its mean divided by the budget is how full batches are.",
    on=(observes(events.BatchRan, lambda event: event.padded_tokens),),
)
BATCH_BUDGET_TOKENS: Final = gauge(
    "batch_budget",
    "tokens",
    means="Most tokens in a batch: INFERENCE_BATCH_TOKEN_BUDGET.",
    todo="Compare the tokens of batches with it.",
)
TOKENS: Final = counter(
    "tokens",
    "tokens",
    labels=_VERSION,
    means="Tokens that the model computed, without padding, by version.",
    todo="The throughput to plan capacity with.",
    on=(counts(events.BatchRan, lambda event: event.tokens),),
)
PADDING_TOKENS: Final = counter(
    "padding_tokens",
    "tokens",
    labels=_VERSION,
    means="Tokens of padding that the model computed, by version.",
    todo="Above a fifth of all: a lower INFERENCE_BATCH_TOKEN_BUDGET mixes fewer lengths.",
    on=(counts(events.BatchRan, lambda event: event.padded_tokens - event.tokens),),
)

# Tokenising and the cache

TOKENISED_TEXTS: Final = counter(
    "tokenised_texts",
    "texts",
    labels=_VERSION,
    means="Texts turned into tokens, by version.",
    todo="The total that truncated texts and windows are shares of.",
    on=(counts(events.TextsTokenised, lambda event: event.texts),),
)
TOKENISED_WINDOWS: Final = counter(
    "tokenised_windows",
    "windows",
    labels=_VERSION,
    means="Windows that texts were split into; as many as texts if none is long.",
    todo="Many per text: long texts cost that many times as much.",
    on=(counts(events.TextsTokenised, lambda event: event.windows),),
)
TOKENISED_TOKENS: Final = counter(
    "tokenised_tokens",
    "tokens",
    labels=_VERSION,
    means="Tokens that texts were turned into; those that windows share count in each.",
    todo="The total that unknown tokens are a share of.",
    on=(counts(events.TextsTokenised, lambda event: event.tokens),),
)
UNKNOWN_TOKENS: Final = counter(
    "unknown_tokens",
    "tokens",
    labels=_VERSION,
    means="Tokens that the version's vocabulary lacks, so that the model can't read them.",
    todo="A rising share: a script or spelling that the model never saw; retrain with it.",
    on=(counts(events.TextsTokenised, lambda event: event.unknown),),
)
TRUNCATED_TEXTS: Final = counter(
    "truncated_texts",
    "texts",
    labels=_VERSION,
    means="Texts longer than the most windows, so that their end wasn't read.",
    todo="Raise INFERENCE_MAX_WINDOWS if their ends matter.",
    on=(counts(events.TextsTokenised, lambda event: event.truncated),),
)
CACHE_HITS: Final = counter(
    "score_cache_hits",
    "texts",
    labels=_VERSION,
    means="Texts answered from the cache, by version.",
    todo="Falls to 0 with each new version, as expected.",
    on=(counts(events.CacheLookedUp, lambda event: event.hits),),
)
CACHE_MISSES: Final = counter(
    "score_cache_misses",
    "texts",
    labels=_VERSION,
    means="Texts that weren't in the cache, by version.",
    todo="Nearly all: the cache only costs memory; INFERENCE_SCORE_CACHE_ENTRIES=0 turns it off.",
    on=(counts(events.CacheLookedUp, lambda event: event.misses),),
)

# Versions

VERSION_STATE: Final = gauge(
    "model_version",
    "state",
    labels=("version", "state"),
    means="1 for the state that a model version is in, 0 for the others.",
    todo="`failed`: /v1/models/toxic-comments has the reason. None `available`: no request is answered.",
)
ALIAS_INFO: Final = gauge(
    "alias",
    "info",
    labels=("alias", "version"),
    means="1 for the model version that an alias routes to.",
    todo="Joins a version's series to `champion` or `challenger`; a change is a promotion.",
)
MODEL_INFO: Final = gauge(
    "model",
    "info",
    labels=("version", "encoder", "code_revision", "created", "runtime"),
    means="1 for each model version that is loaded, with facts from its contract.",
    todo="Joins a version's series to its base model, training code, date and runtime.",
)
BUILD_INFO: Final = gauge(
    "build",
    "info",
    labels=("release", "python"),
    means="1, with the release of the service that runs.",
    todo="More than one at a time: a roll-out is under way, or stuck.",
)
LOAD_SECONDS: Final = histogram(
    "load",
    "seconds",
    buckets=_LOAD_SECONDS,
    means="Time to fetch, verify, load and warm up a version that became available.",
    todo="Long: a slow registry or disk.",
    on=(observes(events.LoadSucceeded, lambda event: event.seconds),),
)
LOAD_FAILURES: Final = counter(
    "load_failures",
    "loads",
    labels=("reason",),
    means="Loads of a model version that failed, by reason.",
    todo="The status route has the message; the version that served goes on serving. Roll back, or retrain.",
    on=(counts(events.LoadFailed),),
    starts=tuple(events.LoadFailure),
)
SOURCE_UP: Final = gauge(
    "source",
    "up",
    means="1 if the registry or model folder answered the last poll, else 0.",
    todo="0: the cached champion keeps serving; bring the registry back before a promotion.",
    on=(sets(events.SourcePolled, lambda event: event.answered),),
)

# Corrections

FEEDBACK: Final = counter(
    "feedback",
    "corrections",
    labels=("source",),
    means="Corrections kept, by the door that they came through.",
    todo="None for long: moderators don't reach the service, and live quality has no data.",
    on=(counts(events.CorrectionKept),),
    starts=("native", "page", "perspective"),
)
FEEDBACK_LABELS: Final = counter(
    "feedback_labels",
    "judgements",
    labels=("label", "said"),
    means="Labels that corrections judge, by judgement: yes or no.",
    todo="All one way: only mistakes of one kind are reported.",
    on=(counts(events.LabelJudged),),
)

# Devices

GPU_UTILISATION: Final = gauge(
    "gpu_utilisation",
    "ratio",
    labels=("gpu",),
    means="Share of the last moments in which the GPU computed; absent without a GPU.",
    todo="Low while texts wait: batches are too small, or tokenising delays them.",
)
GPU_MEMORY_USED: Final = gauge(
    "gpu_memory_used",
    "bytes",
    labels=("gpu",),
    means="Memory of the GPU in use, by any process.",
    todo="Near the total: a second version won't fit; see INFERENCE_VERSION_POLICY.",
)
GPU_MEMORY: Final = gauge(
    "gpu_memory",
    "bytes",
    labels=("gpu",),
    means="Memory that the GPU has.",
    todo="The total for the memory in use.",
)
