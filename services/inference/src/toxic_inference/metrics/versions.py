"""Where the versions stand: states, routes, loads, and whether their source answers."""

import platform
from importlib import metadata

from prometheus_client import CollectorRegistry

from toxic_core.contract import Contract
from toxic_core.errors import ContractError, DigestMismatchError, RegistryUnavailableError
from toxic_inference.metrics.catalogue import service as catalogue
from toxic_inference.metrics.family import MetricFamily
from toxic_inference.serving.errors import SignatureError, WarmupError
from toxic_inference.serving.versions.states import State

# The most specific class first.
_LOAD_FAILURE_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (DigestMismatchError, "digest"),
    (ContractError, "contract"),
    (SignatureError, "signature"),
    (WarmupError, "warmup"),
    (RegistryUnavailableError, "registry"),
    (OSError, "disk"),
)
_OTHER = "other"


class VersionMetrics(MetricFamily):
    """Implements the observers of the manager and the poller."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._declare_models()

    def _declare_models(self) -> None:
        self._states = self.gauge(catalogue.VERSION_STATE)
        self._aliases = self.gauge(catalogue.ALIAS_INFO)
        self._models = self.gauge(catalogue.MODEL_INFO)
        self._load_seconds = self.histogram(catalogue.LOAD_SECONDS)
        self._load_failures = self.counter(catalogue.LOAD_FAILURES)
        for reason in (*(reason for _, reason in _LOAD_FAILURE_REASONS), _OTHER):
            self._load_failures.labels(reason)
        self._source_up = self.gauge(catalogue.SOURCE_UP)
        self._alias_versions: dict[str, str] = {}
        release = self.gauge(catalogue.BUILD_INFO)
        release.labels(metadata.version("toxic-inference"), platform.python_version()).set(1)

    # The manager's observer

    def state_changed(self, *, version: str, state: State | None) -> None:
        """Show a version's state, or remove a forgotten version."""
        if state is None:
            self._states.remove_by_labels({"version": version})
            self._models.remove_by_labels({"version": version})
            return
        for other in State:
            self._states.labels(version, other.value).set(other is state)

    def available(self, *, version: str, contract: Contract, runtime: str) -> None:
        """Show what a version's contract says of it, and what computes it."""
        self._models.remove_by_labels({"version": version})
        created = contract.created_at.date().isoformat()
        self._models.labels(version, contract.encoder, contract.code_revision, created, runtime).set(1)

    def load_succeeded(self, *, seconds: float) -> None:
        """Record a load."""
        self._load_seconds.observe(seconds)

    def load_failed(self, error: Exception) -> None:
        """Count a failed load."""
        reason = next((reason for cls, reason in _LOAD_FAILURE_REASONS if isinstance(error, cls)), _OTHER)
        self._load_failures.labels(reason).inc()

    def routed(self, *, alias: str, version: str | None) -> None:
        """Show where an alias routes to."""
        if previous := self._alias_versions.pop(alias, None):
            self._aliases.remove(alias, previous)
        if version is not None:
            self._aliases.labels(alias, version).set(1)
            self._alias_versions[alias] = version

    # The poller's observer

    def polled(self, *, answered: bool) -> None:
        """Show whether the source answers."""
        self._source_up.set(answered)
