"""OpenTelemetry: traces and metrics by OTLP, off unless the standard variables name an endpoint.

Only `settings` may be imported without the packages of the extra `otel`.
"""
