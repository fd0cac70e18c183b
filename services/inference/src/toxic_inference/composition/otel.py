"""OpenTelemetry, if an endpoint is set."""

from typing import TYPE_CHECKING

from toxic_core.errors import ConfigurationError
from toxic_inference.otel.settings import OtelSettings

if TYPE_CHECKING:
    from toxic_inference.otel.exporting import Otel


def open_otel(settings: OtelSettings | None) -> "Otel | None":
    """Return what traces and exports; None if neither is on, and then its packages aren't imported.

    Raises:
        ConfigurationError: the packages aren't installed, or a variable of the SDK can't be used.
    """
    if settings is None or not (settings.endpoint("traces") or settings.endpoint("metrics")):
        return None
    try:
        from toxic_inference.otel.exporting import Otel  # noqa: PLC0415  only if it is on
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"An OTEL_EXPORTER_OTLP_…ENDPOINT is set, and {error.name} isn't installed: "
            "pip install 'toxic-inference[otel]', or set OTEL_SDK_DISABLED=true."
        ) from error
    return Otel(settings)
