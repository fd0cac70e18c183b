"""From a metric to a retrained model, with real programs. The tests build on one another, in this order."""

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from toxic_dashboards.boards import BOARDS, PROMOTIONS
from toxic_testing.inference.bundles import WORDS, TinyModel
from toxic_testing.watching import FIRST_CHAMPION, PINNED

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

MODEL = "toxic-comments"
_RANDOM = random.Random(7)  # noqa: S311 - no secrets
SLOW = TinyModel(work=60)
"""A model that a thousand texts keep busy for more than the second that the service promises."""


def _panels(*, needing: bool) -> set[str]:
    """Return the expressions of all panels: those that need an event first, or those that don't."""
    panels = [panel for board in BOARDS for panel in board.panels() if bool(panel.needs) is needing]
    exprs = {expr for panel in panels for expr in panel.queries.values()}
    for variable, value in {"$__rate_interval": "1m", "$instance": ".*", "$version": ".*"}.items():
        exprs = {expr.replace(variable, value) for expr in exprs}
    return exprs


def _texts(count: int, *, words: int = 12) -> list[str]:
    """Return texts that are unlike each other, so that no cache answers."""
    return [" ".join(_RANDOM.choices(WORDS, k=words)) for _ in range(count)]


@pytest.fixture(scope="module", autouse=True)
def answers(loop: Any, ask_all: Callable[[Iterable[str]], Any]) -> Any:
    """What every rule and panel has been answered from here on; no disk is almost full here."""
    rules = {rule["expr"].replace("disk_bytes) < 0.1", "disk_bytes) <= 1") for rule in loop.rules()}
    return ask_all(rules | _panels(needing=False) | _panels(needing=True) | {PROMOTIONS})


def _expect_alerts(loop: Any, *names: str) -> None:
    loop.wait_until(lambda: set(names) <= loop.firing(), f"{names} fire; {loop.firing()} do")


def test_a_service_without_a_version_is_noticed(loop: Any) -> None:
    """Every prediction is refused with 503, which uses the budget up."""
    assert {loop.predict(["you"]).status_code for _ in range(20)} == {503}

    def refused() -> bool:
        loop.predict(["you"])
        return set(loop.firing()) >= {
            "NoVersionReady",
            "AvailabilityBudgetBurnsFast",
            "AvailabilityBudgetBurnsSlowly",
        }

    loop.wait_until(refused, "the alerts of a service without a version")


def test_content_that_the_gate_did_not_approve_is_noticed(loop: Any) -> None:
    """The challenger's files aren't those that the ledger records."""
    _expect_alerts(loop, "VersionNotApproved")


def test_mixed_traffic_fills_every_panel_that_needs_no_event(loop: Any, answers: Any) -> None:
    """Every door, several languages, a champion and a challenger."""
    loop.promote(loop.add_version(model=SLOW))
    loop.wait_until(lambda: loop.predict(["you"]).is_success, "the champion answers")
    loop.promote(loop.add_version(model=TinyModel(bias=1.0)), "challenger")
    address = loop.address("inference")
    comment = {
        "comment": {"text": "you are kind"},
        "requestedAttributes": {"TOXICITY": {}},
        "languages": ["en"],
    }

    def filled() -> bool:
        loop.predict(_texts(5), lang="en").raise_for_status()
        loop.http.post(f"{address}/v1alpha1/comments:analyze", json=comment).raise_for_status()
        loop.http.post(
            f"{address}/v1/models/{MODEL}:predict", json={"instances": [{"text": "you are kind"}]}
        ).raise_for_status()
        judged = {"labels": {"toxic": True}, "scores": {"toxic": 0.9}, "model_version": FIRST_CHAMPION}
        loop.http.post(f"{address}/feedback", json=judged).raise_for_status()
        return not _panels(needing=False) & set(answers.missing)

    loop.wait_until(filled, "every panel that needs no event has data")


def test_overload_is_noticed(loop: Any) -> None:
    """Answers that take more than a second, and refusals."""

    def overloaded() -> bool:
        statuses = loop.predict_at_once([_texts(1000) for _ in range(6)])
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


def test_drift_ends_in_a_challenger(loop: Any) -> None:
    """Another language and length: Prometheus, Alertmanager, the training server, the registry, the shadow.

    The first run fails, since the training server can't write; the alert, which fires on, gets another.
    """
    for _ in range(10):
        loop.predict(_texts(200, words=2), lang="tr").raise_for_status()
    _expect_alerts(loop, "LanguageDrift", "LengthDrift", "ScoreDrift", "EstimatedQualityFalling")
    loop.wait_until(lambda: bool(loop.runs()), "an alert starts a run")
    assert loop.runs()[-1]["trigger"] == "alert"
    _expect_alerts(loop, "RetrainingFailed")
    loop.let_training_write()
    loop.wait_until(lambda: any(run["status"] == "success" for run in loop.runs()), "a retraining succeeds")

    made = loop.client.get_model_version_by_alias(MODEL, "challenger")
    cause = loop.client.get_run(str(made.run_id)).data.tags
    assert cause["cause.trigger"] == "alert"
    assert "Drift" in cause["cause.alerts"]
    assert loop.client.get_model_version_by_alias(MODEL, "champion").version == FIRST_CHAMPION, (
        "only the gate promotes"
    )

    compared = f'toxic_inference_alias_info{{alias="challenger",version="{made.version}"}}'
    loop.wait_until(lambda: bool(loop.ask(compared)), "the service shadows the challenger")


def test_moderators_contradiction_is_noticed(loop: Any) -> None:
    """They disagree with the champion's decisions on many texts."""
    for number in range(60):
        judged = number % 2 == 0
        correction = {
            "labels": {"toxic": judged},
            "scores": {"toxic": 0.1 if judged else 0.9},
            "model_version": FIRST_CHAMPION,
        }
        loop.http.post(f"{loop.address('inference')}/feedback", json=correction).raise_for_status()
    _expect_alerts(loop, "FeedbackContradictsChampion")


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


def test_every_rule_and_every_panel_has_had_data(loop: Any, answers: Any) -> None:
    """Dashboards and alerts use exported series only."""
    loop.wait_until(lambda: not answers.missing or answers.fault is not None, f"data for {answers.missing}")
    assert answers.fault is None
