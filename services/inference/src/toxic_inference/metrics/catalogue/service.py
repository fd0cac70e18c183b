"""The metrics of the service: requests, the queue, batches, tokens, versions, files, corrections, devices.

Invariant: as `spec` has it. A name, once released, keeps its meaning: dashboards and alerts stand on it.
"""

from typing import Final

from toxic_inference.metrics.catalogue.spec import Spec

LATENCY_SECONDS: Final = (
    *(0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1),
    *(0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
"""Buckets for whatever a caller waits for."""

_BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_BATCH_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_LOAD_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
_VERSION = ("version",)

# Requests

REQUESTS: Final = Spec.counter(
    "requests",
    unit="requests",
    labels=("route", "method", "status"),
    means="Requests answered, by route template, method and HTTP status.",
    todo="5xx above the error budget: look at the log by request id, then at load failures and the queue.",
)
REQUEST_SECONDS: Final = Spec.histogram(
    "request_duration",
    unit="seconds",
    labels=("route",),
    buckets=LATENCY_SECONDS,
    means="Time from a request's arrival to the end of its answer, by route template.",
    todo="Slow: see which of queue wait, tokenise and compute grew.",
)
REQUESTS_IN_PROGRESS: Final = Spec.gauge(
    "requests", unit="in_progress", means="Requests being answered now.", todo="Beside the queue: who waits."
)
REFUSED_REQUESTS: Final = Spec.counter(
    "refused_requests",
    unit="requests",
    means="Requests refused unread: the queue was full, or more were under way than the event loop answers.",
    todo="More than now and then: scale out, or raise INFERENCE_MAX_QUEUE_SECONDS.",
)
REJECTED_ROWS: Final = Spec.counter(
    "rejected_rows",
    unit="rows",
    labels=("reason",),
    means="CSV rows that couldn't be scored, by reason.",
    todo="Tell the file's sender; the reasons are in the answer too.",
)
EVENTS: Final = Spec.counter(
    "events",
    unit="messages",
    labels=("outcome",),
    means="Messages that an alias moved, by what became of them.",
    todo="`refused` or `replayed`: compare both sides' secret and clocks. Polling finds changes meanwhile.",
)
JOBS: Final = Spec.counter(
    "jobs",
    unit="files",
    labels=("outcome",),
    means="Uploaded files that are no longer to be scored, by outcome: done, failed or deleted.",
    todo="`failed`: the job's own page says why.",
)
JOBS_IN_PROGRESS: Final = Spec.gauge(
    "jobs",
    unit="in_progress",
    means="Uploaded files that wait or are being scored.",
    todo="Grows without end: files come faster than they are scored; add a replica.",
)

# The queue and batches

QUEUE_ROWS: Final = Spec.gauge(
    "queue", unit="rows", means="Texts waiting to be scored.", todo="Near INFERENCE_QUEUE_ROWS: scale out."
)
REFUSED_ROWS: Final = Spec.counter(
    "refused_rows",
    unit="rows",
    means="Texts refused because the queue had no room for so many at once, or had filled meanwhile.",
    todo="More than now and then: scale out, or raise INFERENCE_MAX_QUEUE_SECONDS.",
)
EXPIRED_ROWS: Final = Spec.counter(
    "expired_rows",
    unit="rows",
    means="Waiting texts dropped because their deadline had passed.",
    todo="As refused texts; or callers ask for too short a timeout.",
)
DEPARTED_ROWS: Final = Spec.counter(
    "departed_rows",
    unit="rows",
    means="Waiting texts dropped because their caller left.",
    todo="Callers give up before the answer: look at latency.",
)
QUEUE_WAIT_SECONDS: Final = Spec.histogram(
    "queue_wait",
    unit="seconds",
    labels=_VERSION,
    buckets=LATENCY_SECONDS,
    means="Longest wait of any text in a batch, from submission to the batch's start, by version.",
    todo="Grows before anything is refused: the signal to scale on.",
)
TOKENISE_SECONDS: Final = Spec.histogram(
    "tokenise",
    unit="seconds",
    labels=_VERSION,
    buckets=LATENCY_SECONDS,
    means="Time to look one request's texts up and turn the rest into tokens, by version.",
    todo="Large beside compute: raise INFERENCE_TOKENISE_THREADS.",
)
COMPUTE_SECONDS: Final = Spec.histogram(
    "compute",
    unit="seconds",
    labels=_VERSION,
    buckets=LATENCY_SECONDS,
    means="Time a batch spends in the model, by version.",
    todo="Grew with a new version: it is slower; grew without: the machine is shared.",
)
BATCH_ROWS: Final = Spec.histogram(
    "batch",
    unit="rows",
    labels=_VERSION,
    buckets=_BATCH_ROWS,
    means="Texts in a batch, by version.",
    todo="Always 1 under load: texts are long, or the token budget is small.",
)
BATCH_TOKENS: Final = Spec.histogram(
    "batch",
    unit="tokens",
    labels=_VERSION,
    buckets=_BATCH_TOKENS,
    means="Tokens in a batch, padding included, by version.",
    todo="Its mean over the budget is how full batches are.",
)
BATCH_BUDGET_TOKENS: Final = Spec.gauge(
    "batch_budget",
    unit="tokens",
    means="Most tokens in a batch, as INFERENCE_BATCH_TOKEN_BUDGET says.",
    todo="What batches' tokens are to be held against.",
)
TOKENS: Final = Spec.counter(
    "tokens",
    unit="tokens",
    labels=_VERSION,
    means="Tokens that the model computed, without padding, by version.",
    todo="The throughput that capacity is planned by.",
)
PADDING_TOKENS: Final = Spec.counter(
    "padding_tokens",
    unit="tokens",
    labels=_VERSION,
    means="Tokens of padding computed for nothing, by version.",
    todo="Above a fifth of all: a lower INFERENCE_BATCH_TOKEN_BUDGET mixes fewer lengths.",
)

# Reading

TOKENISED_TEXTS: Final = Spec.counter(
    "tokenised_texts",
    unit="texts",
    labels=_VERSION,
    means="Texts turned into tokens, by version.",
    todo="What the next ones are shares of.",
)
TOKENISED_WINDOWS: Final = Spec.counter(
    "tokenised_windows",
    unit="windows",
    labels=_VERSION,
    means="Windows that texts were read in; as many as texts where none is long.",
    todo="Many a text: long texts cost that many times as much.",
)
TOKENISED_TOKENS: Final = Spec.counter(
    "tokenised_tokens",
    unit="tokens",
    labels=_VERSION,
    means="Tokens that texts were turned into; those that windows share count in each.",
    todo="What unknown tokens are a share of.",
)
UNKNOWN_TOKENS: Final = Spec.counter(
    "unknown_tokens",
    unit="tokens",
    labels=_VERSION,
    means="Tokens that the version's vocabulary doesn't have, so that the model can't read them.",
    todo="A rising share: a script or a way of writing that the model never saw; retrain with it.",
)
TRUNCATED_TEXTS: Final = Spec.counter(
    "truncated_texts",
    unit="texts",
    labels=_VERSION,
    means="Texts longer than the most windows, so that their end wasn't read.",
    todo="Raise INFERENCE_MAX_WINDOWS where their ends matter.",
)
CACHE_HITS: Final = Spec.counter(
    "score_cache_hits",
    unit="texts",
    labels=_VERSION,
    means="Texts answered from the cache, by version.",
    todo="Falls to 0 with each new version; that is as it should be.",
)
CACHE_MISSES: Final = Spec.counter(
    "score_cache_misses",
    unit="texts",
    labels=_VERSION,
    means="Texts that the cache was asked for and didn't know, by version.",
    todo="Nearly all: the cache only costs memory; INFERENCE_SCORE_CACHE_ENTRIES=0 turns it off.",
)

# Versions

VERSION_STATE: Final = Spec.gauge(
    "model_version",
    unit="state",
    labels=("version", "state"),
    means="1 for the state a model version is in, 0 for the others.",
    todo="`failed`: /v1/models/toxic-comments says why; no version `available`: nothing is answered.",
)
ALIAS_INFO: Final = Spec.gauge(
    "alias",
    unit="info",
    labels=("alias", "version"),
    means="1 for the model version that an alias routes to.",
    todo="Joins a version's series to `champion` or `challenger`; a change is a promotion.",
)
MODEL_INFO: Final = Spec.gauge(
    "model",
    unit="info",
    labels=("version", "encoder", "code_revision", "created", "runtime"),
    means="1 for each model version that is loaded, with what its contract says of it.",
    todo="Joins a version's series to what was trained, by what, and when.",
)
BUILD_INFO: Final = Spec.gauge(
    "build",
    unit="info",
    labels=("release", "python"),
    means="1, with the release of the service that runs.",
    todo="More than one at a time: a roll-out is under way, or stuck.",
)
LOAD_SECONDS: Final = Spec.histogram(
    "load",
    unit="seconds",
    buckets=_LOAD_SECONDS,
    means="Time to fetch, verify, load and warm up a version that became available.",
    todo="Long: a slow registry or disk.",
)
LOAD_FAILURES: Final = Spec.counter(
    "load_failures",
    unit="loads",
    labels=("reason",),
    means="Loads of a model version that failed, by reason.",
    todo="The status route has the message; the version that served goes on serving. Roll back, or retrain.",
)
SOURCE_UP: Final = Spec.gauge(
    "source",
    unit="up",
    means="1 if the registry or model folder answered the last poll, else 0.",
    todo="0: the cached champion keeps serving; bring the registry back before a promotion.",
)

# Corrections

FEEDBACK: Final = Spec.counter(
    "feedback",
    unit="corrections",
    labels=("source",),
    means="Corrections kept, by the door they came through.",
    todo="None for long: moderators don't reach the service, and live quality is blind.",
)
FEEDBACK_LABELS: Final = Spec.counter(
    "feedback_labels",
    unit="judgements",
    labels=("label", "said"),
    means="Labels that corrections speak of, by what they say: yes or no.",
    todo="All one way: only mistakes of one kind are reported.",
)

# Devices

GPU_UTILISATION: Final = Spec.gauge(
    "gpu_utilisation",
    unit="ratio",
    labels=("gpu",),
    means="Share of the last moments in which the GPU computed; only where there is one.",
    todo="Low while texts wait: batches are too small, or tokenising holds them up.",
)
GPU_MEMORY_USED: Final = Spec.gauge(
    "gpu_memory_used",
    unit="bytes",
    labels=("gpu",),
    means="Memory of the GPU in use, by whichever process.",
    todo="Near the whole: a second version won't fit; see INFERENCE_VERSION_POLICY.",
)
GPU_MEMORY: Final = Spec.gauge(
    "gpu_memory",
    unit="bytes",
    labels=("gpu",),
    means="Memory that the GPU has.",
    todo="The whole of the above.",
)
