"""Metrics of versions and routes whose series come and go: states, aliases, what is loaded."""

import platform
from importlib import metadata

from prometheus_client import CollectorRegistry

from toxic_inference.events import AliasRouted, StateChanged, VersionAvailable
from toxic_inference.metrics.recording import Recorder, make_gauge
from toxic_inference.serving.versions.states import State


class VersionMetrics:
    """Shows each version's state and facts, and where aliases route; `recorder` hands over the events."""

    def __init__(self, recorder: Recorder, registry: CollectorRegistry) -> None:
        self._states = make_gauge("model_version_state", registry)
        self._aliases = make_gauge("alias_info", registry)
        self._models = make_gauge("model_info", registry)
        self._alias_versions: dict[str, str] = {}
        release = make_gauge("build_info", registry)
        release.labels(metadata.version("toxic-inference"), platform.python_version()).set(1)
        recorder.handle(StateChanged, self._state_changed)
        recorder.handle(VersionAvailable, self._available)
        recorder.handle(AliasRouted, self._routed)

    def _state_changed(self, event: StateChanged) -> None:
        if event.state is None:
            self._states.remove_by_labels({"version": event.version})
            self._models.remove_by_labels({"version": event.version})
            return
        for state in State:
            self._states.labels(event.version, state.value).set(state is event.state)

    def _available(self, event: VersionAvailable) -> None:
        self._models.remove_by_labels({"version": event.version})
        contract, created = event.contract, event.contract.created_at.date().isoformat()
        facts = event.version, contract.base_model, contract.code_revision, created, event.runtime
        self._models.labels(*facts).set(1)

    def _routed(self, event: AliasRouted) -> None:
        if previous := self._alias_versions.pop(event.alias, None):
            self._aliases.remove(event.alias, previous)
        if event.version is not None:
            self._aliases.labels(event.alias, event.version).set(1)
            self._alias_versions[event.alias] = event.version
