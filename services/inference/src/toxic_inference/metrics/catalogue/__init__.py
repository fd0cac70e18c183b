"""Every metric of the service, described before it is made: the one place that writes a metric's name."""

from toxic_inference.metrics.catalogue import model, service
from toxic_inference.metrics.catalogue.document import STANDARD, describe, specs
from toxic_inference.metrics.catalogue.spec import Kind, Spec

__all__ = ["STANDARD", "Kind", "Spec", "describe", "model", "service", "specs"]
