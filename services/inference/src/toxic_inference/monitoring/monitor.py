"""Monitors each version's scores of its traffic: drift, and estimated quality.

Owns the counts of each version, until the version is forgotten. A request costs one append: texts are counted
in groups, when there are enough, when a bucket of time ends, or when figures are read.

Invariant: memory is bounded, that of texts not counted yet included. Used from the event loop's thread only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from toxic_core.contract import Contract
from toxic_core.contract.reference import OTHER_LANGUAGE, Distribution, RecentTraffic
from toxic_core.labels import LabelName
from toxic_core.languages import ANY_LANGUAGE, UNDETERMINED
from toxic_inference.events import PolicyTextsScored, TextsScored
from toxic_inference.monitoring.counts import Counts, Scheme
from toxic_inference.monitoring.distance import Counts1D, js_distance, psi
from toxic_inference.monitoring.estimate import EstimatedQuality, estimate
from toxic_inference.monitoring.history import BUCKET_SECONDS, History, Window
from toxic_inference.monitoring.saved import SavedWindows, digest_of
from toxic_inference.serving.clock import Clock

_WAITING: Final = 1024
"""Most texts that wait to be counted: numpy takes about as long for a thousand as for one."""


_MOST_POLICIES: Final = 16
"""Most policies with figures of their own: each keeps up to a megabyte of counts per version."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The distance of the traffic from the reference, by both measures."""

    psi: float
    js_distance: float


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """One version's figures over one window.

    Attributes:
        texts: how many there are.
        scores: drift of each label's scores; empty if there are too few texts or no reference.
        languages: drift of the languages; None if there are too few texts or no reference.
        lengths: drift of the lengths; None if there are too few texts or no reference.
        quality: estimated, of each label; empty if there are too few texts or no reference.
        seconds: how much of the window was watched; less than its length while the monitor is younger.
    """

    texts: float
    scores: Mapping[LabelName, Drift]
    languages: Drift | None
    lengths: Drift | None
    quality: Mapping[LabelName, EstimatedQuality]
    seconds: float


class VersionMonitor:
    """Monitors one version.

    Args:
        contract: the version's contract.
        min_texts: fewest texts for a figure.
        since: when it began to watch.
    """

    def __init__(self, contract: Contract, *, min_texts: int, since: float) -> None:
        self._since = since
        self.scheme = Scheme(contract)
        self._counts = self.scheme.empty()
        self._history = History()
        self._min_texts = min_texts
        self._waiting: list[TextsScored] = []
        self._waiting_texts = 0
        self._bucket_ends = 0.0

    def add(self, report: TextsScored, *, now: float) -> None:
        """Add texts."""
        if now >= self._bucket_ends:
            self._count()
            self._history.mark(self._counts.flat, now=now)
            self._bucket_ends = (now // BUCKET_SECONDS + 1) * BUCKET_SECONDS
        self._waiting.append(report)
        self._waiting_texts += len(report.tokens)
        if self._waiting_texts >= _WAITING:
            self._count()

    def counts(self) -> Counts:
        """Return the counts since the version was loaded; callers must not change them."""
        self._count()
        return self._counts

    def figures(self, window: Window, *, now: float) -> WindowFigures:
        """Return the figures of a window that ends now."""
        found, seconds = self._window(window, now=now)
        if found.texts < self._min_texts:
            return WindowFigures(found.texts, {}, self._language_drift(found), None, {}, seconds)
        contract, traffic = self.scheme.contract, self.scheme.contract.reference_traffic
        flagged = found.flagged.sum(axis=1)
        scores: dict[LabelName, Drift] = {}
        for label, counts in zip(contract.labels, found.scores, strict=True):
            reference = contract.reference_scores.get(label, {}).get(ANY_LANGUAGE)
            if reference is not None and reference.edges == self.scheme.score_edges:
                drift = _drift(counts, np.array(reference.counts, np.float64))
                if drift is not None:
                    scores[label] = drift
        return WindowFigures(
            texts=found.texts,
            scores=scores,
            languages=self._language_drift(found),
            lengths=_drift(found.lengths, np.array(traffic.lengths.counts, np.float64)) if traffic else None,
            quality={
                label: estimate(
                    texts=found.texts,
                    flagged=float(flagged[index]),
                    hits=float(found.hits[index]),
                    positives=float(found.positives[index]),
                )
                for index, label in enumerate(contract.labels)
                if found.positives[index] > 0
            },
            seconds=seconds,
        )

    def traffic(self, *, now: float) -> RecentTraffic | None:
        """Return the traffic of the longest window; None if there are too few texts."""
        found, seconds = self._window(Window.DAY, now=now)
        if found.texts < self._min_texts:
            return None
        scheme = self.scheme
        scores, lengths = found.scores[scheme.main].astype(int).tolist(), found.lengths.astype(int).tolist()
        return RecentTraffic(
            made_at=scheme.contract.created_at,
            watched_seconds=seconds,
            languages=dict(zip(scheme.languages, found.languages.astype(int).tolist(), strict=True)),
            lengths=Distribution(edges=scheme.length_edges, counts=tuple(lengths)),
            label=scheme.contract.labels[scheme.main],
            scores=Distribution(edges=scheme.score_edges, counts=tuple(scores)),
        )

    def save(self, *, now: float) -> SavedWindows:
        """Return the windows, to go on with in another process."""
        history = self._history.save(self.counts().flat)
        return SavedWindows(digest_of(self.scheme.contract), now - self._since, now, history)

    def restore(self, saved: SavedWindows, *, now: float) -> None:
        """Go on with the windows of another process, before the first text; counters begin at 0.

        The time between the two wasn't watched, and is taken off the time before. Nothing is restored if the
        version is another, or if another release counted otherwise.
        """
        shape = saved.history.buckets.size, self._counts.flat.size
        if saved.contract != digest_of(self.scheme.contract) or saved.history.counts.shape != shape:
            return
        self._history.restore(saved.history)
        watched = min(saved.watched_seconds, Window.DAY.seconds) - max(now - saved.at, 0.0)
        self._since = now - max(watched, 0.0)

    def _window(self, window: Window, *, now: float) -> tuple[Counts, float]:
        """Return the counts of a window that ends now, and how long it was watched."""
        found = self.scheme.view(self._history.since(self.counts().flat, window, now=now))
        return found, min(now - self._since, window.seconds)

    def _count(self) -> None:
        if self._waiting:
            self.scheme.add(self._counts, self._waiting)
            self._waiting = []
            self._waiting_texts = 0

    def _language_drift(self, found: Counts) -> Drift | None:
        traffic = self.scheme.contract.reference_traffic
        known = found.languages[: self.scheme.languages.index(UNDETERMINED)]
        if traffic is None or known.sum() < self._min_texts:
            return None
        reference = np.array([traffic.languages.get(name, 0) for name in self.scheme.languages], np.float64)
        reference[self.scheme.languages.index(OTHER_LANGUAGE)] = (
            sum(traffic.languages.values()) - reference.sum()
        )
        return _drift(known, reference[: known.size])


def _drift(found: Counts1D, reference: Counts1D) -> Drift | None:
    """Return the drift; None from a reference of nothing, which no version should have."""
    return Drift(psi(found, reference), js_distance(found, reference)) if reference.any() else None


class Monitor:
    """Monitors every known version, and policies' shares of its traffic.

    Args:
        clock: for the buckets of time.
        min_texts: fewest texts for a figure.
        saved: the windows of an earlier process, by version and policy (empty: all of the version's traffic).
    """

    def __init__(
        self, clock: Clock, *, min_texts: int, saved: Mapping[tuple[str, str], SavedWindows] | None = None
    ) -> None:
        self._clock = clock
        self._min_texts = min_texts
        self._saved = dict(saved or {})
        self._versions: dict[str, VersionMonitor] = {}
        self._policies: dict[tuple[str, str], VersionMonitor] = {}

    def available(self, *, version: str, contract: Contract) -> None:
        """Start to monitor a version; if the same one is loaded again, its counts continue."""
        known = self._versions.get(version)
        if known is None or known.scheme.contract != contract:
            self.forget(version)
            self._versions[version] = self._monitor(contract, version, "")

    def forget(self, version: str) -> None:
        """Drop a version's counts."""
        self._versions.pop(version, None)
        for key in [key for key in self._policies if key[0] == version]:
            del self._policies[key]

    def scored(self, report: TextsScored) -> None:
        """Add texts; those of an unknown version are dropped."""
        if (version := self._versions.get(report.version)) is not None:
            version.add(report, now=self._clock.now())

    def governed(self, report: PolicyTextsScored) -> None:
        """Add texts to the figures of a policy; the first policies have figures, others are dropped."""
        version = self._versions.get(report.scored.version)
        known = {policy for _, policy in self._policies}
        if version is None or (report.policy not in known and len(known) >= _MOST_POLICIES):
            return
        key = report.scored.version, report.policy
        if key not in self._policies:
            self._policies[key] = self._monitor(version.scheme.contract, *key)
        self._policies[key].add(report.scored, now=self._clock.now())

    def _monitor(self, contract: Contract, version: str, policy: str) -> VersionMonitor:
        now = self._clock.now()
        monitor = VersionMonitor(contract, min_texts=self._min_texts, since=now)
        if (saved := self._saved.pop((version, policy), None)) is not None:
            monitor.restore(saved, now=now)
        return monitor

    def save(self) -> dict[tuple[str, str], SavedWindows]:
        """Return all windows, and those of an earlier process that no version has continued yet."""
        now = self._clock.now()
        current = {(version, ""): monitor for version, monitor in self._versions.items()} | self._policies
        return self._saved | {key: monitor.save(now=now) for key, monitor in current.items()}

    def versions(self) -> Mapping[str, VersionMonitor]:
        """Return every version's monitor."""
        return self._versions

    def contracts(self) -> Mapping[str, Contract]:
        """Return the contract of every monitored version."""
        return {version: monitor.scheme.contract for version, monitor in self._versions.items()}

    def figures(self, version: str, window: Window) -> WindowFigures:
        """Return one version's figures over a window that ends now."""
        return self._versions[version].figures(window, now=self._clock.now())

    def traffic(self, version: str) -> RecentTraffic | None:
        """Return the latest traffic of a version; None if it has too few texts, or isn't monitored."""
        monitor = self._versions.get(version)
        return monitor.traffic(now=self._clock.now()) if monitor else None

    def policies(self, window: Window) -> Mapping[tuple[str, str], WindowFigures]:
        """Return the figures of a window that ends now, by version and policy."""
        now = self._clock.now()
        return {key: monitor.figures(window, now=now) for key, monitor in self._policies.items()}
