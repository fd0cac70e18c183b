"""Every metric of the service: `catalogue.toml` describes them, `spec` reads it."""

from toxic_inference.metrics.catalogue.spec import LABEL_VALUES, SPECS, STANDARD, UNITS, Kind, Spec

__all__ = ["LABEL_VALUES", "SPECS", "STANDARD", "UNITS", "Kind", "Spec"]
