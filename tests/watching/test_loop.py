"""From a metric to a retrained model and back, with real programs and without a hand.

The tests build on one another, in this order. The loop comes first, because what fails on purpose uses up
budgets, and the autopilot promotes no version while one burns fast. The gate is that of the end-to-end tests
(`tests/e2e/gate.yml`): the first champion is tiny, and was measured on another test set.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from toxic_dashboards.boards import BOARDS, PROMOTIONS
from toxic_testing.inference.bundles import WORDS, TinyModel
from toxic_testing.queries import Answers, panel_queries
from toxic_testing.slang import Comment, read_register
from toxic_testing.watching import FIRST_CHAMPION, PINNED

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

MODEL = "toxic-comments"
_RANDOM = random.Random(7)  # noqa: S311 - no secrets
SLOW = TinyModel(work=60, bias=-2.1)
"""A model that a thousand texts keep busy for more than the second that the service promises.

It was made for short English texts, and flags none that has only words that it doesn't know.
"""

REGISTER = read_register(Path(__file__).resolve().parents[2] / "data" / "sample")
DRIFTS = ("LanguageDrift", "LengthDrift", "ScoreDrift")
LENGTHS = "version_window:toxic_inference_length_drift_psi:avg"
SCORES = "version_label_window:toxic_inference_score_drift_psi:avg"
FLAGGED = "idiot fool " * 6
"""A text that the first champion flags."""


def _texts(count: int, *, words: int = 12) -> list[str]:
    """Return texts that are unlike each other, so that no cache answers."""
    return [" ".join(_RANDOM.choices(WORDS, k=words)) for _ in range(count)]


@pytest.fixture(scope="module", autouse=True)
def answers(loop: Any) -> Answers:
    """What every rule and panel has been answered from here on; no disk is almost full here."""
    rules = {rule["expr"].replace("disk_bytes) < 0.1", "disk_bytes) <= 1") for rule in loop.rules()}
    panels = [panel_queries(*BOARDS, needing=needing, rate_interval="1m") for needing in (False, True)]
    return Answers(loop, rules.union(*panels) | {PROMOTIONS})


def _expect_alerts(loop: Any, *names: str) -> None:
    loop.wait_until(lambda: set(names) <= loop.firing(), f"{names} fire; {loop.firing()} do")


def _score(loop: Any, comments: Sequence[Comment]) -> tuple[set[str], dict[str, float]]:
    """Ask for the scores of comments, a few at a time; return who answered, and `toxic` by text."""
    versions, scores = set(), {}
    for start in range(0, len(comments), 100):
        by_language = defaultdict(list)
        for comment in comments[start : start + 100]:
            by_language[comment.language].append(comment.text)
        for language, texts in by_language.items():
            answer = loop.predict(texts, lang=language).raise_for_status().json()
            versions.add(answer["model_version"])
            for text, result in zip(texts, answer["results"], strict=True):
                scores[text] = result["scores"]["toxic"]
    return versions, scores


def _auc_on_register(loop: Any, version: str) -> float:
    """Return the AUC of the version that answers, on texts of the register that no training has seen."""
    versions, scores = _score(loop, REGISTER.held_out)
    assert versions == {version}
    truth = [comment.is_toxic for comment in REGISTER.held_out]
    return float(roc_auc_score(truth, [scores[comment.text] for comment in REGISTER.held_out]))


def _review(loop: Any) -> int:
    """Let two people behind a Label Studio judge the texts of the review, not always alike.

    Returns how many opinions they gave.
    """
    door = f"{loop.address('inference')}/review/label-studio"
    tasks = loop.http.get(door).raise_for_status().json()
    for number, task in enumerate(tasks):
        labels = [[label for label in task["data"]["labels"] if (number + person) % 3] for person in (0, 1)]
        task["annotations"] = [
            {"completed_by": person, "result": [{"value": {"choices": chosen}}]}
            for person, chosen in enumerate(labels)
        ]
    return int(loop.http.post(door, json=tasks).raise_for_status().json()["opinions"])


def test_content_that_the_gate_did_not_approve_is_noticed(loop: Any) -> None:
    """The challenger's files aren't those that the ledger records."""
    _expect_alerts(loop, "VersionNotApproved")


@pytest.fixture(scope="module")
def first_auc(loop: Any) -> float:
    """What the first champion knows of the register; moderators' corrections of it are filed before.

    These are the first texts that drift: all alerts fire together, and one run is for all of them.
    """
    loop.promote(loop.add_version(model=SLOW))
    ready = f"{loop.address('inference')}/health/ready"
    loop.wait_until(lambda: loop.http.get(ready).is_success, "the champion is ready")
    for comment in REGISTER.corrections:
        judged = {
            "text": comment.text,
            "language": comment.language,
            "labels": {"toxic": comment.is_toxic},
            "consent": True,
        }
        loop.http.post(f"{loop.address('inference')}/feedback", json=judged).raise_for_status()
    return _auc_on_register(loop, FIRST_CHAMPION)


def test_drift_ends_in_a_challenger_that_saw_the_corrections(loop: Any, first_auc: float) -> None:
    """Other languages, lengths and words: Prometheus, Alertmanager, the training server, the registry."""
    assert first_auc < 0.6, "words that it doesn't know tell it nothing"
    _expect_alerts(loop, *DRIFTS, "EstimatedQualityFalling")
    loop.wait_until(lambda: bool(loop.runs()), "an alert starts a run")
    assert loop.runs()[-1]["trigger"] == "alert"
    for _ in range(4):  # while it trains, the traffic lasts; the version's reference is weighted to it
        _score(loop, REGISTER.traffic)
    loop.wait_until(lambda: loop.runs()[-1]["status"] != "running", "the run ends")
    assert loop.runs()[-1]["status"] == "success"
    loop.take_training_disk()

    made = loop.client.get_model_version_by_alias(MODEL, "challenger")
    cause = loop.client.get_run(str(made.run_id)).data.tags
    assert cause["cause.trigger"] == "alert"
    assert "Drift" in cause["cause.alerts"]
    assert 100 < int(made.tags["corrections.rows"]) < len(REGISTER.corrections), "a tenth is held out"


def test_a_challenger_that_agrees_becomes_champion_by_the_autopilot_alone(loop: Any) -> None:
    """Shadow, gate, canary, champion; without the autopilot, the shadow compares and no more happens."""
    made = loop.client.get_model_version_by_alias(MODEL, "challenger")
    compared = f'toxic_inference_alias_info{{alias="challenger",version="{made.version}"}}'
    loop.wait_until(lambda: bool(loop.ask(compared)), "the service shadows the challenger")
    assert _score(loop, REGISTER.traffic)[0] == {FIRST_CHAMPION}
    assert loop.steps() == []

    autopilot = loop.start_autopilot(compared=200, trial_minutes=0.1, sessions=50, interval_seconds=1)
    tried = f"canary {made.version}: automatic canary"
    promoted = f"champion {made.version}: automatic promote"

    def answers_everyone() -> bool:
        _score(loop, REGISTER.traffic)
        return bool(loop.steps() == [tried, promoted])

    loop.wait_until(answers_everyone, "the autopilot tries the challenger out and promotes it")
    autopilot.kill()


def test_the_new_champion_is_better_and_does_not_drift(loop: Any, first_auc: float) -> None:
    """Better on texts of the register that it wasn't trained on; its reference is like the traffic."""
    version = loop.client.get_model_version_by_alias(MODEL, "champion").version
    loop.wait_until(lambda: _score(loop, REGISTER.traffic)[0] == {version}, "the new champion answers")
    loop.wait_until(lambda: not loop.firing() & {*DRIFTS, "EstimatedQualityFalling"}, "the drift is gone")
    of_it = f'version="{version}",window="24h"'
    for drift in ("version_window:toxic_inference_language_drift_psi:avg", LENGTHS, SCORES):
        assert loop.ask(f"{drift}{{{of_it}}} < 0.2"), "the alert is silent because it is measured"
    assert _auc_on_register(loop, version) > max(first_auc + 0.2, 0.8)


def test_a_champion_that_moderators_contradict_is_rolled_back(loop: Any) -> None:
    """Within the time that a new champion is watched. The drift is back, and asks for a training."""
    version = loop.client.get_model_version_by_alias(MODEL, "champion").version
    autopilot = loop.start_autopilot(trial_minutes=60, interval_seconds=1)
    for number in range(60):
        judged = number % 2 == 0
        correction = {
            "labels": {"toxic": judged},
            "scores": {"toxic": 0.0 if judged else 1.0},
            "model_version": version,
        }
        loop.http.post(f"{loop.address('inference')}/feedback", json=correction).raise_for_status()
    rolled_back = f"champion {FIRST_CHAMPION}: automatic rollback"
    loop.wait_until(lambda: loop.steps()[-1] == rolled_back, "the autopilot rolls back")
    autopilot.kill()
    loop.wait_until(lambda: _score(loop, REGISTER.traffic[:100])[0] == {FIRST_CHAMPION}, "it answers again")
    _expect_alerts(loop, *DRIFTS)


def test_a_training_that_fails_is_noticed(loop: Any) -> None:
    """The training server can't write; the alerts, which fire on, get another run."""
    _expect_alerts(loop, "RetrainingFailed")
    loop.wait_until(lambda: [run["status"] for run in loop.runs()].count("failure") > 1, "a second run")


def test_mixed_traffic_fills_every_panel_that_needs_no_event(loop: Any) -> None:
    """Every door, several languages, a champion and a challenger."""
    panels = Answers(loop, panel_queries(*BOARDS, needing=False, rate_interval="1m"))
    loop.promote(loop.add_version(model=TinyModel(bias=1.0)), "challenger")
    address = loop.address("inference")
    comment = {
        "comment": {"text": "you are kind"},
        "requestedAttributes": {"TOXICITY": {}},
        "languages": ["en"],
    }

    opinions = []

    def filled() -> bool:
        opinions.append(_review(loop))
        loop.predict([*_texts(5), FLAGGED], lang="en").raise_for_status()
        loop.http.post(f"{address}/v1alpha1/comments:analyze", json=comment).raise_for_status()
        loop.http.post(
            f"{address}/v1/models/{MODEL}:predict", json={"instances": [{"text": "you are kind"}]}
        ).raise_for_status()
        judged = {"labels": {"toxic": True}, "scores": {"toxic": 0.9}, "model_version": FIRST_CHAMPION}
        loop.http.post(f"{address}/feedback", json=judged).raise_for_status()
        return not panels.missing() and sum(opinions) > 1

    loop.wait_until(filled, "every panel that needs no event has data, and reviewers agree or don't")


def test_overload_is_noticed(loop: Any) -> None:
    """Answers that take more than a second, and refusals."""

    def overloaded() -> bool:
        statuses = loop.predict_at_once([_texts(300) for _ in range(16)])
        assert set(statuses) <= {200, 429}
        return set(loop.firing()) >= {"LatencyBudgetBurnsFast", "LatencyBudgetBurnsSlowly", "QueueRefuses"}

    loop.wait_until(overloaded, "the alerts of overload")


def test_a_version_that_cannot_be_loaded_is_noticed(loop: Any) -> None:
    """A challenger needs no gate, and the champion continues."""
    loop.promote(loop.add_version(model=TinyModel(bias=2.0), broken=True), "challenger")
    _expect_alerts(loop, "ModelLoadFailed")
    assert loop.predict(["you"]).json()["model_version"] == FIRST_CHAMPION


def test_a_canary_that_fails_is_noticed_and_withdrawn(loop: Any) -> None:
    """It answers every caller here, until the alias is gone."""
    canary = loop.add_version(model=TinyModel(bias=2.5, work=60))
    loop.promote(canary, "canary")

    def failed() -> bool:
        answer = loop.predict(_texts(200), timeout=0.01)
        return answer.status_code != 200 and "CanaryFails" in loop.firing()

    loop.wait_until(failed, "the alert of a canary that fails")
    assert loop.predict(["you"]).json()["model_version"] == canary
    loop.client.delete_registered_model_alias(MODEL, "canary")
    loop.wait_until(
        lambda: loop.predict(["you"]).json()["model_version"] == FIRST_CHAMPION, "the champion answers"
    )


def test_watching_that_fails_is_noticed(loop: Any) -> None:
    """Neither the hosted Prometheus nor the people's webhook answers."""
    _expect_alerts(loop, "RemoteWriteFails", "AlertsUndelivered")


def test_content_that_no_alias_ever_named_is_noticed(loop: Any) -> None:
    """The service serves it because it is pinned; the ledger has no digest of it."""
    while int(loop.add_version(model=TinyModel(bias=4.0))) < int(PINNED):
        pass
    _expect_alerts(loop, "ServedWithoutApproval")


def test_a_registry_that_is_gone_is_noticed(loop: Any) -> None:
    """By Prometheus, and by the service, which serves on."""
    loop.registry.kill()
    _expect_alerts(loop, "ServiceDown", "RegistryUnreachable")
    assert loop.predict(["you"]).is_success


def test_a_service_without_a_version_is_noticed(loop: Any) -> None:
    """Without registry and cache, every prediction is refused with 503, which uses the budget up."""
    loop.lose_versions()

    def refused() -> bool:
        assert {loop.predict(["you"]).status_code for _ in range(20)} == {503}
        return set(loop.firing()) >= {
            "NoVersionReady",
            "AvailabilityBudgetBurnsFast",
            "AvailabilityBudgetBurnsSlowly",
        }

    loop.wait_until(refused, "the alerts of a service without a version")


def test_every_rule_and_every_panel_has_had_data(loop: Any, answers: Answers) -> None:
    """Dashboards and alerts use exported series only."""
    loop.wait_until(lambda: not answers.missing(), "data for every rule and panel")
