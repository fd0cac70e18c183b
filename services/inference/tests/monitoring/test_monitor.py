from collections.abc import Callable

import numpy as np
import pytest

from toxic_core.contract import Contract
from toxic_core.labels import LABELS, Label
from toxic_inference.events import PolicyTextsScored, TextsScored
from toxic_inference.monitoring.history import BUCKET_SECONDS, History, Window
from toxic_inference.monitoring.monitor import Monitor
from toxic_testing.inference.bundles import make_contract
from toxic_testing.inference.fakes import ManualClock

Report = Callable[..., TextsScored]
LIKE_THE_REFERENCE = [0.05] * 90 + [0.95] * 10


@pytest.fixture
def monitor(clock: ManualClock, contract: Contract) -> Monitor:
    """A monitor of version 1."""
    monitor = Monitor(clock, min_texts=100)
    monitor.available(version="1", contract=contract)
    return monitor


def send_like_the_reference(monitor: Monitor, report: Report) -> None:
    """Send a hundred texts as the version was measured on."""
    for scores, language, tokens in (
        (LIKE_THE_REFERENCE[::2], "en", 5),
        (LIKE_THE_REFERENCE[1::2], "tr", 9),
    ):
        monitor.scored(report(scores, language=language, tokens=tokens))


def test_traffic_like_the_reference_shows_little_drift(monitor: Monitor, report: Report) -> None:
    """Scores and lengths of the same shape are near 0 by both measures; shifted languages show a little."""
    send_like_the_reference(monitor, report)
    figures = monitor.figures("1", Window.HOUR)
    assert figures.texts == 100
    assert figures.languages is not None
    assert figures.lengths is not None
    assert figures.scores.keys() == set(LABELS)
    assert max(drift.psi for drift in figures.scores.values()) < 0.05
    assert max(drift.js_distance for drift in figures.scores.values()) < 1e-6
    assert figures.lengths.js_distance < 1e-6
    assert 0.01 < figures.languages.psi < 0.25


def test_other_scores_languages_and_lengths_show_as_drift(monitor: Monitor, report: Report) -> None:
    """Traffic in a language and of a length unlike the reference, and with other scores."""
    monitor.scored(report([0.55] * 200, language="ru", tokens=100))
    figures = monitor.figures("1", Window.HOUR)
    assert figures.languages is not None
    assert figures.lengths is not None
    assert figures.languages.js_distance == pytest.approx(1.0)
    assert figures.lengths.psi > 1.0
    assert figures.scores[Label.TOXIC].psi > 1.0


def test_below_the_fewest_texts_there_are_no_figures(monitor: Monitor, report: Report) -> None:
    """With 99 texts, only their number is known."""
    monitor.scored(report([0.05] * 99))
    figures = monitor.figures("1", Window.DAY)
    assert figures.texts == 99
    assert not figures.scores
    assert not figures.quality
    assert figures.languages is figures.lengths is None


def test_a_policy_has_figures_of_its_own(monitor: Monitor, report: Report) -> None:
    """Of its decisions, until its version is forgotten; the first sixteen policies have them."""
    for number in range(20):
        monitor.governed(PolicyTextsScored(f"forum-{number}", report([0.4] * 200, threshold=0.3)))
    monitor.governed(PolicyTextsScored("forum-0", report([0.4] * 200, version="unknown")))
    monitor.governed(PolicyTextsScored("forum-0", report([0.4] * 200, threshold=0.9)))
    found = monitor.policies(Window.HOUR)
    assert found.keys() == {("1", f"forum-{number}") for number in range(16)}
    assert (found["1", "forum-0"].texts, found["1", "forum-1"].texts) == (400, 200)
    recalls = [found["1", f"forum-{number}"].quality[Label.TOXIC].recall for number in (0, 1)]
    assert recalls == pytest.approx([0.5, 1.0])
    assert monitor.figures("1", Window.HOUR).texts == 0
    monitor.forget("1")
    assert monitor.policies(Window.HOUR) == {}


def test_texts_without_a_language_say_nothing_of_languages(monitor: Monitor, report: Report) -> None:
    """They aren't a language that the reference lacks."""
    monitor.scored(report([0.05] * 500, language=None))
    monitor.scored(report([0.05] * 99, language="en"))
    assert monitor.figures("1", Window.HOUR).languages is None
    monitor.scored(report([0.05], language="en"))
    drift = monitor.figures("1", Window.HOUR).languages
    assert drift is not None
    assert drift.js_distance < 0.5


def test_a_window_forgets_what_is_older(monitor: Monitor, report: Report, clock: ManualClock) -> None:
    """After an hour only the day's window has them, after a day none; counters keep them."""
    monitor.scored(report([0.95] * 100))
    clock.advance(3600)
    assert monitor.figures("1", Window.HOUR).texts == 0
    assert monitor.figures("1", Window.DAY).texts == 100
    monitor.scored(report([0.05] * 100))
    assert monitor.figures("1", Window.HOUR).texts == 100
    assert monitor.figures("1", Window.DAY).texts == 200
    clock.advance(24 * 3600)
    assert monitor.figures("1", Window.DAY).texts == 0
    assert monitor.versions()["1"].counts().texts == 200


def test_a_window_slides_by_buckets(monitor: Monitor, report: Report, clock: ManualClock) -> None:
    """With ten texts each bucket, an hour holds twelve buckets at any time."""
    for _ in range(30):
        monitor.scored(report([0.05] * 10))
        clock.advance(BUCKET_SECONDS)
    monitor.scored(report([0.05] * 10))
    assert monitor.figures("1", Window.HOUR).texts == 120
    assert monitor.figures("1", Window.DAY).texts == 310


def test_a_history_is_bounded(contract: Contract, clock: ManualClock) -> None:
    """However long it runs, it keeps a copy for each bucket of the longest window, and no more."""
    monitor = Monitor(clock, min_texts=1)
    monitor.available(version="1", contract=contract)
    history, flat = History(), monitor.versions()["1"].counts().flat
    for _ in range(1_000):
        history.mark(flat, now=clock.now())
        clock.advance(BUCKET_SECONDS)
    assert len(history) == Window.DAY.buckets


def test_counts_are_by_language_and_decision(monitor: Monitor, report: Report) -> None:
    """Languages of the contract have their own counts; any other is `other`, none is `und`."""
    for language in ("en", "tr", "xx", None):
        monitor.scored(report([0.9, 0.1], language=language, tokens=2_000))
    version = monitor.versions()["1"]
    counts = version.counts()
    assert version.scheme.languages == ("en", "tr", "other", "und")
    assert counts.languages.tolist() == [2, 2, 2, 2]
    assert counts.flagged[0].tolist() == [1, 1, 1, 1]
    assert counts.lengths[-1] == 8
    assert counts.scores[0].sum() == 8
    assert counts.score_sums[0] == pytest.approx(4.0, abs=1e-5)


def test_estimates_need_the_shares_of_the_reference(clock: ManualClock, report: Report) -> None:
    """A contract from before has neither drift nor estimates, and its traffic is counted all the same."""
    monitor = Monitor(clock, min_texts=1)
    before = make_contract().model_copy(update={"reference_scores": {}, "reference_traffic": None})
    monitor.available(version="1", contract=before)
    monitor.scored(report([0.9] * 10))
    figures = monitor.figures("1", Window.HOUR)
    assert figures.texts == 10
    assert not figures.scores
    assert not figures.quality
    assert figures.languages is figures.lengths is None


def test_estimated_quality_falls_where_scores_lose_their_certainty(monitor: Monitor, report: Report) -> None:
    """Flagged texts at 0.97 are expected to be right more often than those at 0.6."""
    monitor.scored(report([0.97] * 50 + [0.01] * 450))
    sure = monitor.figures("1", Window.HOUR).quality[Label.TOXIC]
    monitor.scored(report([0.6] * 500))
    unsure = monitor.figures("1", Window.HOUR).quality[Label.TOXIC]
    assert sure.precision is not None
    assert unsure.precision is not None
    assert sure.precision > 0.75
    assert unsure.precision < 0.3


def test_a_version_is_watched_by_its_own_labels(clock: ManualClock) -> None:
    """Counts, drift and estimates are those of the contract's labels."""
    monitor = Monitor(clock, min_texts=100)
    monitor.available(version="1", contract=make_contract(labels=("spam", "off_topic")))
    scores = np.tile(np.array([[0.1, 0.9]], dtype=np.float32), (200, 1))
    monitor.scored(TextsScored("1", ["en"] * 200, scores, scores >= 0.5, [5] * 200))
    figures = monitor.figures("1", Window.HOUR)
    assert figures.scores.keys() == figures.quality.keys() == {"spam", "off_topic"}
    assert figures.scores["off_topic"].psi > figures.scores["spam"].psi
    assert monitor.versions()["1"].counts().flagged.sum(axis=1).tolist() == [0.0, 200.0]


def test_a_forgotten_version_is_gone(monitor: Monitor, report: Report, contract: Contract) -> None:
    """What still comes for it is dropped; loaded again with other files, it begins anew."""
    monitor.scored(report([0.9]))
    monitor.available(version="1", contract=contract)
    assert monitor.versions()["1"].counts().texts == 1
    monitor.available(version="1", contract=contract.model_copy(update={"base_model": "another"}))
    assert monitor.versions()["1"].counts().texts == 0
    monitor.forget("1")
    monitor.scored(report([0.9]))
    assert not monitor.versions()
    assert not monitor.contracts()


def test_recent_traffic_is_counts_of_the_longest_window(
    monitor: Monitor, clock: ManualClock, contract: Contract, report: Report
) -> None:
    """By language, length and score of `toxic`; older texts are left out, and too few are nothing."""
    assert monitor.traffic("1") is monitor.traffic("unknown") is None
    monitor.scored(report([0.5] * 300))
    clock.advance(Window.DAY.seconds)
    monitor.scored(report([0.05] * 99, language="tr"))
    assert monitor.traffic("1") is None
    monitor.scored(report([0.95], language="ru", tokens=5000))
    traffic = monitor.traffic("1")
    assert traffic is not None
    assert traffic.made_at == contract.created_at
    assert traffic.watched_seconds == Window.DAY.seconds
    assert traffic.languages == {"en": 0, "tr": 99, "other": 1, "und": 0}
    assert (traffic.label, traffic.scores.counts) == (Label.TOXIC, (99, *[0] * 8, 1))
    assert (traffic.lengths.counts[1], traffic.lengths.counts[-1]) == (99, 1)
