"""Every setting of the inference service: environment variables with the prefix `INFERENCE_`.

Invariant: `__main__` reads them once and passes them down; no other module reads the environment.
"""

from functools import cached_property
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AliasChoices,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    StringConstraints,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from toxic_core.languages import Language
from toxic_core.registered import CANARY, CHALLENGER, CHAMPION, MODEL_NAME
from toxic_inference.serving.scoring.explaining import LEAST_PASSES
from toxic_inference.serving.versions.policy import VersionPolicy
from toxic_model.machine import usable_processors
from toxic_model.opening import AUTO
from toxic_model.runtimes import RUNTIMES
from toxic_model.scoring import AS_SERVED

_KIB = 1024
_MIB = 1024 * _KIB
_GIB = 1024 * _MIB

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=250)]

if TYPE_CHECKING:
    RuntimeName = str
else:
    RuntimeName = Literal[(AUTO, *(runtime.name for runtime in RUNTIMES))]


class Settings(BaseSettings):
    """Settings of the inference service; each is the environment variable `INFERENCE_<NAME>`."""

    # An empty variable counts as unset, so that a container can unset a variable of its image.
    model_config = SettingsConfigDict(
        env_prefix="INFERENCE_",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for every interface."""
    port: int = Field(default=8001, ge=1, le=65535, validation_alias=AliasChoices("INFERENCE_PORT", "PORT"))
    """Port to listen on; PORT works too."""
    grpc_port: int | None = Field(default=None, ge=1, le=65535)
    """Port of the gRPC doors, on the same address; TensorFlow Serving's is 8500. Off if unset."""
    api_keys_file: Path | None = None
    """File of API keys, made by `toxic-inference keys add NAME`; if unset, no key is needed."""
    allow_unauthenticated: bool = False
    """Whether the service may answer on an address that other machines reach, without API keys; for networks
    on which everything that reaches it may use it."""
    requests_per_minute: PositiveInt | None = None
    """Most requests per minute of each API key; unlimited if unset."""
    cors_origins: tuple[str, ...] = ()
    """Origins of other pages that may call the service from a browser, as a JSON list such as
    ["https://forum.example"]. Pages of other origins can neither file nor delete."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Host names, comma-separated, by which clients reach the service, each with or without a port; * for
    any. If unset, any with API keys, and without keys those that aren't public: addresses, names without a
    dot, and names below .localhost, .local, .internal or .svc. Loopback names and the public address always
    work, and health and metrics under any name."""
    public_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$")] | None = None
    """Address at which clients reach the service, such as https://scores.example, for the addresses in the
    Perspective API's discovery document; if unset, the address of each request. Needed by the page if a
    proxy in front changes the Host header."""
    trusted_proxies: str = Field(
        default="127.0.0.1,::1",
        validation_alias=AliasChoices("INFERENCE_TRUSTED_PROXIES", "FORWARDED_ALLOW_IPS"),
    )
    """Addresses or networks of reverse proxies, comma-separated, such as 10.0.0.0/8, or * for any: their
    X-Forwarded-Proto and X-Forwarded-For are believed; none for no proxy. FORWARDED_ALLOW_IPS works too."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged."""
    max_connections: PositiveInt = 4_096
    """Most open connections, as far as the process may open files. If there are more, the oldest one without
    a complete request is closed; a quarter of them may wait per client address."""
    shutdown_grace_seconds: PositiveInt = 60
    """Time for accepted requests to finish after SIGTERM."""

    registry_uri: str = "http://127.0.0.1:5000"
    """Address of the MLflow model registry."""
    require_approval: bool = True
    """Whether a version is served only with the content that the registry's ledger approves; false for a
    plain MLflow, which has no ledger."""
    model_name: Name = MODEL_NAME
    """The registered model, and its name in the /v1/models routes."""
    model_alias: Name = CHAMPION
    """Alias of the version that answers by default."""
    served_aliases: Annotated[tuple[Name, ...], NoDecode] = ()
    """More aliases to serve, comma-separated, such as challenger; each under /v1/models/NAME/labels/ALIAS.
    Each distinct version takes its own memory."""
    pinned_versions: Annotated[tuple[Name, ...], NoDecode] = ()
    """Versions to serve independently of aliases, comma-separated; each under
    /v1/models/NAME/versions/VERSION."""
    version_policy: VersionPolicy = VersionPolicy.AVAILABILITY_PRESERVING
    """availability_preserving loads the next version before it frees the current one; resource_preserving
    frees first, for machines that can't hold two, and answers 503 meanwhile."""
    drain_seconds: PositiveFloat | None = None
    """Longest time that requests in progress keep a replaced version; then streams and CSV answers end early,
    and background jobs begin again with the new version. If unset, 600, or 30 if the policy is
    resource_preserving."""
    shadow_fraction: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of the texts, from 0 to 1, that the shadow alias's version scores too, in idle moments; metrics
    show its disagreement."""
    shadow_alias: Name = CHALLENGER
    """Alias of the version that shadows; it is served if the share isn't 0."""
    canary_fraction: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of the callers, from 0 to 1, that the version with the alias canary answers; a caller is an API
    key, or an address without one. That version takes its own memory."""
    model_directory: Path | None = None
    """A folder of numbered versions, each a model bundle, to serve instead of the registry's."""
    poll_interval_seconds: PositiveFloat = 2.0
    """Interval of polling the registry or the model folder."""
    event_secret: SecretStr = SecretStr("")
    """Secret of the registry's signed messages to POST /events (REGISTRY_EVENT_SECRET); if unset, that route
    is off, and changes are found by polling."""
    load_retry_initial_seconds: PositiveFloat = 2.0
    """Wait after a version's first failed load; doubled after each further one."""
    load_retry_max_seconds: PositiveFloat = 300.0
    """Longest wait between two loads of a failing version; 5 seconds while no version answers."""
    cache_dir: Path = Path("var/inference-cache")
    """Folder for downloaded versions, and for the measured speed of their precisions."""
    cache_size_bytes: PositiveInt = 4 * _GIB
    """Size of the cache; versions in use are never removed."""

    state_dir: Path = Path("var/inference")
    """Folder for corrections and uploaded files; each service needs its own."""
    feedback_url: str = Field(default="", repr=False)
    """Database of corrections: sqlite:///folder/file.db, or postgresql://user:password@host/database; a file
    in the state folder if unset."""

    feedback_size_bytes: PositiveInt = 4 * _GIB
    """Most space of corrections, about; one API key, or one address without keys, has half of it. More are
    refused."""

    review_texts: NonNegativeInt = 0
    """Most texts that are kept for the review by moderators, without those whose callers decline it
    (`do-not-store: true`); 0 keeps none and removes those that were kept."""
    review_fraction: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of the scored texts that are looked at for the review; those with a score near its threshold are
    kept."""
    review_keep_days: float = Field(default=30.0, gt=0.0, le=3_650.0)
    """Time that a text is kept for the review."""

    max_bundle_bytes: PositiveInt = 4 * _GIB
    """Largest version that is downloaded; a larger one is refused."""
    jobs_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+/?$")] | None = None
    """Address of the one service that owns the background jobs, such as http://inference-jobs:8001, for
    replicas behind one address: each forwards /jobs there. If unset, the service owns its jobs."""
    job_keep_hours: PositiveFloat = 24.0
    """Time that the scores of an uploaded file are kept for download, from the end of scoring."""
    jobs_size_bytes: PositiveInt = 4 * _GIB
    """Most disk space of uploaded files and their scores; one API key, or one address without keys, has half
    of it. More uploads are refused, and a job fails if its scores don't fit."""

    max_text_bytes: PositiveInt = 20_480
    """Longest text, in UTF-8 bytes; the Perspective API's limit."""
    max_texts: PositiveInt = 1_000
    """Most texts in one JSON request."""
    max_body_bytes: PositiveInt = 8 * _MIB
    """Largest request body, except for uploads of files and batches of the Perspective API (61,440,000
    bytes)."""
    max_upload_bytes: PositiveInt = 512 * _MIB
    """Largest upload of a table, also after decompression; it is spooled to the temporary folder."""
    spools_size_bytes: PositiveInt = 2 * _GIB
    """Most disk space of uploads in progress; one API key, or one address without keys, has half of it."""

    default_language: Language = Language.ENGLISH
    """The site's language. If a request names none, texts without letters and texts of one or two words in
    its script are in this language; longer texts are identified."""
    unsupported_language: Literal["refuse", "score"] = "refuse"
    """What the Perspective API does with a text in a language that the model wasn't evaluated for. refuse
    answers with Google's error; score answers with a score and the header x-unevaluated-languages."""
    unsupported_attributes: Literal["drop", "refuse"] = "drop"
    """What the Perspective API does with a request for attributes that Google has and the model lacks. drop
    scores the others, unless the request forbids it; refuse answers with Google's error, unless the request
    has dropUnsupportedAttributes."""

    policies_file: Path | None = None
    """File of the communities' policies: thresholds, word lists and markup by name (docs/policies.md); read
    again when it changes."""
    perspective_scale: str = "default"
    """The scale of the Perspective API's scores. default is the version's own, or calibrated scores if it has
    none; none is calibrated scores; otherwise the path of a file by `toxic-migrate fit`, which is read again
    when it changes. Other doors and the metrics stay calibrated."""

    batch_token_budget: PositiveInt = 4_096
    """Most tokens in a batch, padding included."""
    interactive_tokens: PositiveInt = 32_768
    """Most tokens of a request that goes before files; a larger one waits for capacity as files do."""
    queue_rows: PositiveInt = 2_048
    """Most queued texts; more are refused with 429."""
    max_queue_seconds: PositiveFloat = 5.0
    """Longest expected time in the queue; if it would be longer, the request is refused with 429 at once.
    Bulk work (files) waits instead."""
    window_overlap_tokens: NonNegativeInt = AS_SERVED.overlap
    """Tokens that neighbouring windows of a long text share; half a window at most."""
    max_windows: PositiveInt = AS_SERVED.max_windows
    """Most windows per text; the end of a longer text isn't read, and its result is marked as truncated. The
    default is enough for every text of 20,480 bytes."""
    max_span_passes: int = Field(default=64, ge=LEAST_PASSES)
    """Most model passes to find the words that drove a score."""
    score_cache_entries: NonNegativeInt = 100_000
    """Entries of the score cache of each served version, about 400 bytes each; 0 for none. It contains keyed
    digests, no texts."""
    compute_threads: PositiveInt | None = None
    """Threads that compute one batch, and the more batches at the same time, the more there are. If unset, as
    many as the processors that the process may use: its affinity, or its container's quota, rounded up."""
    runtime: RuntimeName = AUTO
    """Runtime that computes models. auto uses OpenVINO on a CPU if it reproduces a version's recorded scores,
    otherwise TensorFlow."""
    precision: Literal["auto", "float32"] = "auto"
    """auto computes in the fastest of float32, bfloat16, int8, and int8 weights with bfloat16 values, among
    those that the CPU has instructions for and in which the version's evaluation found no change of a label's
    AUC above 0.002; float32 allows no other."""
    tokenise_threads: PositiveInt = 1
    """Threads that tokenise texts."""

    metrics: Literal["on", "off"] = "on"
    """Whether the service has metrics; off leaves only those of the process."""
    monitor_min_texts: PositiveInt = 500
    """Fewest texts in a window for figures of drift and estimated quality."""
    monitor_min_feedback: PositiveInt = 20
    """Fewest corrections for figures of a version's live quality."""
    monitor_feedback_rows: PositiveInt = 10_000
    """Number of latest corrections that live quality uses."""
    monitor_feedback_interval_seconds: PositiveFloat = 60.0
    """Interval of reading corrections for live quality."""

    @field_validator("allowed_hosts", "served_aliases", "pinned_versions", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, value: str) -> str:
        if value in {"*", "none"}:
            return value.removeprefix("none")
        for proxy in value.split(","):
            ip_network(proxy.strip())  # a ValueError's message names what is wrong with it
        return value

    @cached_property
    def threads(self) -> int:
        """Threads that compute."""
        return self.compute_threads or usable_processors()

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every alias that is served, the default one first."""
        shadow = (self.shadow_alias,) if self.shadow_fraction else ()
        canary = (CANARY,) if self.canary_fraction else ()
        return tuple(dict.fromkeys((self.model_alias, *self.served_aliases, *shadow, *canary)))

    @property
    def longest_drain(self) -> float:
        """Seconds that requests in progress keep a replaced version."""
        if self.drain_seconds is not None:
            return self.drain_seconds
        return 600.0 if self.version_policy is VersionPolicy.AVAILABILITY_PRESERVING else 30.0

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
