"""The standard variables of OpenTelemetry that the service reads itself."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, StringConstraints, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Endpoint = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]


class OtelSettings(BaseSettings):
    """Each setting is the variable `OTEL_<NAME>`; the SDK reads the others, such as those of headers."""

    model_config = SettingsConfigDict(
        env_prefix="OTEL_",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    exporter_otlp_endpoint: Endpoint | None = None
    """Address of a collector that takes OTLP over HTTP, such as http://collector:4318. Traces go to
    /v1/traces below it, metrics to /v1/metrics. Without any endpoint, OpenTelemetry is off. Addresses have
    no user name and password, because the log has them; OTEL_EXPORTER_OTLP_HEADERS takes an Authorization."""
    exporter_otlp_traces_endpoint: Endpoint | None = None
    """Whole address for traces, instead of the one below the common endpoint."""
    exporter_otlp_metrics_endpoint: Endpoint | None = None
    """Whole address for metrics, instead of the one below the common endpoint."""
    exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    """Protocol; there is no other."""
    sdk_disabled: bool = False
    """true turns OpenTelemetry off, whatever the other variables say."""
    traces_exporter: Literal["otlp", "none"] = "otlp"
    """none turns traces off."""
    metrics_exporter: Literal["otlp", "none"] = "otlp"
    """none turns metrics by OTLP off; /metrics stays."""
    traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = "parentbased_always_on"
    """Which requests are traced. Those that begin with parentbased_ follow the caller's decision, if its
    traceparent has one."""
    traces_sampler_arg: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the requests that the samplers by ratio choose, such as 0.01."""
    metric_export_interval: PositiveInt = 60_000
    """Milliseconds between two exports of the metrics."""
    service_name: str = "toxic-inference"
    """The resource attribute service.name; OTEL_RESOURCE_ATTRIBUTES may set it too, and others."""

    @model_validator(mode="before")
    @classmethod
    def _read_nothing_else_if_disabled(cls, values: Any) -> Any:
        disabled = isinstance(values, dict) and str(values.get("sdk_disabled")).strip().lower() == "true"
        return {"sdk_disabled": True} if disabled else values

    def endpoint(self, signal: Literal["traces", "metrics"]) -> str | None:
        """Return the address that a signal is sent to; None if it is off."""
        exporter, own = {
            "traces": (self.traces_exporter, self.exporter_otlp_traces_endpoint),
            "metrics": (self.metrics_exporter, self.exporter_otlp_metrics_endpoint),
        }[signal]
        if self.sdk_disabled or exporter == "none":
            return None
        if own is None and self.exporter_otlp_endpoint is not None:
            return f"{self.exporter_otlp_endpoint.rstrip('/')}/v1/{signal}"
        return own
