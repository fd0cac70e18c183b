"""Every setting of the inference service.

Invariant: read once, in `__main__`, from environment variables with the prefix `INFERENCE_`; frozen, and
passed down from there. Nothing else reads the environment.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

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

from toxic_core.registered import CHALLENGER, CHAMPION, MODEL_NAME
from toxic_inference.serving.scoring.explaining import LEAST_PASSES
from toxic_inference.serving.versions.policy import VersionPolicy

_KIB = 1024
_MIB = 1024 * _KIB
_GIB = 1024 * _MIB

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=250)]


class Settings(BaseSettings):
    """Settings of the inference service; each is the environment variable `INFERENCE_<NAME>`."""

    # An empty variable is as good as none: so a container unsets what its image set.
    model_config = SettingsConfigDict(
        env_prefix="INFERENCE_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(
        default=8001,
        ge=1,
        le=65535,
        validation_alias=AliasChoices("INFERENCE_PORT", "PORT"),
        description="Port to listen on; plain PORT is honoured too.",
    )
    api_keys_file: Path | None = Field(
        default=None,
        description="File of API keys, made by `toxic-inference keys add NAME`; without one nobody is asked "
        "for a key.",
    )
    requests_per_minute: PositiveInt | None = Field(
        default=None, description="How often each API key may ask; any number of times where it isn't set."
    )
    cors_origins: tuple[str, ...] = Field(
        default=(),
        description="Pages that may ask from a browser, as a JSON list of origins such as "
        '["https://forum.example"]; no others but the service\'s own.',
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The lowest level that is logged."
    )
    shutdown_grace_seconds: PositiveInt = Field(
        default=60, description="How long accepted requests may still take after SIGTERM."
    )

    registry_uri: str = Field(
        default="http://127.0.0.1:5000", description="Address of the MLflow model registry."
    )
    model_name: Name = Field(
        default=MODEL_NAME, description="The registered model, and its name in the /v1/models routes."
    )
    model_alias: Name = Field(default=CHAMPION, description="The alias whose version answers.")
    served_aliases: Annotated[tuple[Name, ...], NoDecode] = Field(
        default=(),
        description="Further aliases, comma-separated, served beside it, such as challenger, each under "
        "/v1/models/NAME/labels/ALIAS. Each distinct version takes its own memory.",
    )
    pinned_versions: Annotated[tuple[Name, ...], NoDecode] = Field(
        default=(),
        description="Versions, comma-separated, that are served whatever the aliases say, each under "
        "/v1/models/NAME/versions/VERSION.",
    )
    version_policy: VersionPolicy = Field(
        default=VersionPolicy.AVAILABILITY_PRESERVING,
        description="availability_preserving loads the next version before it frees the one that serves; "
        "resource_preserving frees first, for machines that can't hold two, and answers 503 meanwhile.",
    )
    shadow_fraction: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Share of the texts that the shadow alias's version scores too, in idle moments, to show "
        "in the metrics where it disagrees.",
    )
    shadow_alias: Name = Field(
        default=CHALLENGER,
        description="The alias whose version is shadowed; served where the share isn't 0.",
    )
    model_directory: Path | None = Field(
        default=None,
        description="A folder of numbered versions, each a model bundle, to serve instead of the registry's.",
    )
    poll_interval_seconds: PositiveFloat = Field(
        default=2.0, description="How often the registry or the model folder is asked what to serve."
    )
    event_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that the registry signs its messages to POST /events with "
        "(REGISTRY_EVENT_SECRET); without one that route is off, and changes are found by polling.",
    )
    load_retry_initial_seconds: PositiveFloat = Field(
        default=2.0, description="Wait after a version's first failed load; doubled after each further one."
    )
    load_retry_max_seconds: PositiveFloat = Field(
        default=300.0, description="Longest wait between two loads of a failing version."
    )
    cache_dir: Path = Field(
        default=Path("var/inference-cache"), description="Where downloaded versions are kept."
    )
    cache_size_bytes: PositiveInt = Field(
        default=4 * _GIB, description="How much the cache holds; what is in use is never removed."
    )

    state_dir: Path = Field(
        default=Path("var/inference"), description="Where corrections and uploaded files are kept."
    )
    feedback_url: str = Field(
        default="",
        description="Where corrections are kept instead: sqlite:///folder/file.db, or "
        "postgresql://user:password@host/database.",
        repr=False,
    )

    max_bundle_bytes: PositiveInt = Field(
        default=4 * _GIB, description="Largest version that is fetched and read; a larger one is refused."
    )
    job_keep_hours: PositiveFloat = Field(
        default=24.0, description="How long an uploaded file's scores are kept for download."
    )
    jobs_size_bytes: PositiveInt = Field(
        default=4 * _GIB, description="How much uploaded files and their scores may take; more are refused."
    )

    max_text_bytes: PositiveInt = Field(
        default=20_480, description="Longest text, in UTF-8 bytes; the Perspective API's limit."
    )
    max_texts: PositiveInt = Field(default=1_000, description="Most texts in one JSON request.")
    max_body_bytes: PositiveInt = Field(
        default=8 * _MIB, description="Largest request body, but for CSV uploads."
    )
    max_upload_bytes: PositiveInt = Field(
        default=512 * _MIB, description="Largest CSV upload; it is spooled to the temporary folder."
    )

    batch_token_budget: PositiveInt = Field(
        default=4_096, description="Most tokens in a batch, padding included."
    )
    queue_rows: PositiveInt = Field(
        default=2_048, description="Most texts that wait to be scored; more are refused with 429."
    )
    max_queue_seconds: PositiveFloat = Field(
        default=5.0,
        description="Longest that a text may be expected to wait for its turn; where it would be longer, it "
        "is refused with 429 at once. Bulk work (files) waits instead.",
    )
    window_overlap_tokens: NonNegativeInt = Field(
        default=32,
        description="Tokens that neighbouring windows of a long text share; half a window at most.",
    )
    max_windows: PositiveInt = Field(
        default=32,
        description="Most windows that one text is read in; of a longer one the end isn't read, and the "
        "answer says truncated.",
    )
    max_span_passes: int = Field(
        default=64,
        ge=LEAST_PASSES,
        description="Most model passes spent on finding the words that drove a score.",
    )
    score_cache_entries: NonNegativeInt = Field(
        default=100_000,
        description="Scores kept for texts that come again, for each served version, at about 400 bytes "
        "each; 0 for none. No text is kept, only a keyed digest.",
    )
    compute_threads: PositiveInt = Field(
        default=2, description="Threads that compute one batch; the number of cores serves best."
    )
    runtime: Literal["auto", "openvino", "tensorflow"] = Field(
        default="auto",
        description="What computes models. auto takes OpenVINO on a CPU, where it gives a version's recorded "
        "scores, and else TensorFlow.",
    )
    precision: Literal["auto", "float32"] = Field(
        default="auto",
        description="auto computes in 8-bit integers or bfloat16 where the CPU has instructions for it, the "
        "version's evaluation found that no label's AUC moves by more than 0.002, and it is faster; float32 "
        "never does.",
    )
    tokenise_threads: PositiveInt = Field(default=1, description="Threads that turn texts into tokens.")

    metrics: Literal["on", "off"] = Field(
        default="on",
        description="Whether the service counts what it does; off leaves the process's own metrics.",
    )
    monitor_min_texts: PositiveInt = Field(
        default=500, description="Fewest texts in a window that drift and estimated quality are shown from."
    )
    monitor_min_feedback: PositiveInt = Field(
        default=20, description="Fewest corrections that a version's live quality is shown from."
    )
    monitor_feedback_rows: PositiveInt = Field(
        default=10_000, description="Latest corrections that live quality is made from."
    )
    monitor_feedback_interval_seconds: PositiveFloat = Field(
        default=60.0, description="How often corrections are read for live quality."
    )

    @field_validator("served_aliases", "pinned_versions", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every alias that is served, the default one first."""
        shadow = (self.shadow_alias,) if self.shadow_fraction else ()
        return tuple(dict.fromkeys((self.model_alias, *self.served_aliases, *shadow)))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
