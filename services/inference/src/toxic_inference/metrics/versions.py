"""Where the versions stand: states, routes, loads, and whether their source answers."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from toxic_core.errors import ContractError, DigestMismatchError, RegistryUnavailableError
from toxic_inference.metrics.family import MetricFamily
from toxic_inference.serving.errors import SignatureError, WarmupError
from toxic_inference.serving.states import State

_LOAD_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)

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
        registry = self.registry
        self._states = Gauge(
            "toxic_inference_model_version_state",
            "1 for the state a model version is in, 0 for the others.",
            ("version", "state"),
            registry=registry,
        )
        self._aliases = Gauge(
            "toxic_inference_alias_info",
            "1 for the model version that an alias routes to.",
            ("alias", "version"),
            registry=registry,
        )
        self._load_seconds = Histogram(
            "toxic_inference_load_seconds",
            "Time to fetch, verify, load and warm up a version that became available.",
            buckets=_LOAD_SECONDS,
            registry=registry,
        )
        self._load_failures = Counter(
            "toxic_inference_load_failures",
            "Loads of a model version that failed, by reason.",
            ("reason",),
            registry=registry,
        )
        for reason in (*(reason for _, reason in _LOAD_FAILURE_REASONS), _OTHER):
            self._load_failures.labels(reason)
        self._source_up = Gauge(
            "toxic_inference_source_up",
            "1 if the registry or model folder answered the last poll, else 0.",
            registry=registry,
        )
        self._alias_versions: dict[str, str] = {}

    # The manager's observer

    def state_changed(self, *, version: str, state: State | None) -> None:
        """Show a version's state, or remove a forgotten version."""
        for other in State:
            if state is None:
                self._states.remove(version, other.value)
            else:
                self._states.labels(version, other.value).set(other is state)

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
