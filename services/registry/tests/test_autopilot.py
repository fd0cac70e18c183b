"""When a version is tried out, promoted, withdrawn and rolled back without a hand."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from toxic_registry.alias_commands import autopilot
from toxic_registry.client.autopilot import (
    FiguresUnavailableError,
    Step,
    Terms,
    next_step,
    prometheus,
)
from toxic_registry.ledger.entries import Change, Entry, Outcome, append_to

START = datetime(2026, 1, 1, tzinfo=UTC)
TERMS = Terms(compared=100, disagreement=0.1, trial=timedelta(minutes=10), sessions=50)
GOOD = {"compared": 200.0, "disagreed": 5.0, "sessions": 80.0, "canary_fails": 0.0, "champion_fails": 0.0}

ACTOR = "deployer"
"""Who the ledger has for the autopilot's steps if the registry has users."""

BOTH = (("champion", 1, "zoe"), ("challenger", 2, "training"))
TRIAL = (*BOTH, ("canary", 2, ACTOR))
PROMOTED = (*TRIAL, ("canary", None, ACTOR), ("previous", 1, ACTOR), ("champion", 2, ACTOR))


def ledger(*changes: tuple[str, int | None, str], refused: bool = False) -> list[Entry]:
    """Return entries, a second apart; the last one is a refusal if that is said."""
    entries: list[Entry] = []
    for number, (alias, version, actor) in enumerate(changes):
        last = refused and number == len(changes) - 1
        outcome = Outcome.REFUSED if last else Outcome.ACCEPTED
        reason = ""
        if actor == ACTOR:
            step = Step.WITHDRAW if version is None else Step.ROLL_BACK if version == 1 else Step.PROMOTE
            reason = f"automatic {Step.TRY_OUT if alias == 'canary' and version else step}"
        change = Change("m", alias, None, version, outcome, actor, "The gate refuses." if last else reason)
        now = START + timedelta(seconds=number)
        entries.append(append_to(entries[-1] if entries else None, change, now=now))
    return entries


def decide(
    entries: list[Entry], *, minutes: float, limit: float = TERMS.disagreement, **figures: float
) -> tuple[Step, int] | None:
    """Return the step at a time, with these figures; `champion_fails` is an alert of version 2."""
    known = GOOD | figures

    def query(expression: str) -> float:
        names = {
            "CanaryFails": "canary_fails",
            "BudgetBurnsFast": "champion_fails",
            "version_sessions_total": "sessions",
            "difference_ratio_count": "compared",
            "disagreements_total": "disagreed",
        }
        name = next(name for part, name in names.items() if part in expression)
        return known[name] if name != "champion_fails" or 'version="2"' in expression else 0.0

    terms = replace(TERMS, disagreement=limit)
    return next_step(entries, terms, query, now=START + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("changes", "minutes", "figures", "expected"),
    [
        pytest.param(BOTH, 1, {}, (Step.TRY_OUT, 2), id="the shadow agrees"),
        pytest.param(BOTH, 1, {"compared": 99}, None, id="too few were compared"),
        pytest.param(BOTH, 1, {"disagreed": 21}, None, id="the shadow disagrees"),
        pytest.param(BOTH[1:], 1, {}, None, id="the first champion is a person's choice"),
        pytest.param((*BOTH, ("challenger", 1, "zoe")), 1, {}, None, id="the challenger is champion"),
        pytest.param(TRIAL, 5, {}, None, id="the trial is young"),
        pytest.param(TRIAL, 11, {"sessions": 49}, None, id="too few were answered"),
        pytest.param(TRIAL, 11, {}, (Step.PROMOTE, 2), id="the trial succeeds"),
        pytest.param(TRIAL, 11, {"champion_fails": 1}, None, id="something fails that may be the canary's"),
        pytest.param(TRIAL, 1, {"canary_fails": 1}, (Step.WITHDRAW, 2), id="the canary fails"),
        pytest.param((*BOTH, ("canary", 2, "zoe")), 11, {}, None, id="a person's trial is theirs to end"),
        pytest.param((*TRIAL, ("canary", None, ACTOR)), 11, {}, None, id="withdrawn isn't tried again"),
        pytest.param(PROMOTED, 5, {}, None, id="promoted"),
        pytest.param(PROMOTED, 5, {"champion_fails": 1}, (Step.ROLL_BACK, 2), id="live figures fall"),
        pytest.param(PROMOTED, 11, {"champion_fails": 1}, None, id="they fall too late to be its fault"),
        pytest.param(BOTH, 1, {"champion_fails": 1}, (Step.TRY_OUT, 2), id="a person's champion stays"),
        pytest.param(
            (*PROMOTED, ("champion", 1, ACTOR)),
            5,
            {"champion_fails": 1},
            None,
            id="no rollback of a rollback",
        ),
        pytest.param(
            (*TRIAL, ("canary", 3, ACTOR), ("champion", 3, ACTOR)),
            5,
            {"champion_fails": 1},
            None,
            id="an alert of another version",
        ),
    ],
)
def test_each_step_has_its_time(
    changes: tuple[tuple[str, int | None, str], ...],
    minutes: float,
    figures: dict[str, float],
    expected: tuple[Step, int] | None,
) -> None:
    """From the ledger and the figures alone."""
    assert decide(ledger(*changes), minutes=minutes, **figures) == expected


def test_the_largest_disagreement_is_a_parameter() -> None:
    """A challenger that learned a new register decides more texts differently; its limit is a share."""
    assert decide(ledger(*BOTH), minutes=1, limit=0.25, disagreed=50) == (Step.TRY_OUT, 2)
    assert decide(ledger(*BOTH), minutes=1, limit=0.25, disagreed=51) is None
    refused = CliRunner().invoke(autopilot, ["--disagreement", "25"])
    assert refused.exit_code == 2
    assert "0<=x<=1" in refused.output


def test_a_version_that_the_gate_refused_is_not_tried_again() -> None:
    """The refusal is in the ledger; the alias names nothing."""
    assert decide(ledger(*TRIAL, refused=True), minutes=1) is None


def test_a_refused_promotion_or_rollback_is_not_repeated() -> None:
    """The canary is withdrawn, as a version that can't become champion; a champion stays for a person."""
    refused = ledger(*TRIAL, ("champion", 2, ACTOR), refused=True)
    assert decide(refused, minutes=11) == (Step.WITHDRAW, 2)
    by_a_person = ledger(*BOTH, ("canary", 2, "zoe"), ("champion", 2, "zoe"), refused=True)
    assert decide(by_a_person, minutes=11) is None
    refused = ledger(*PROMOTED, ("champion", 1, ACTOR), refused=True)
    assert decide(refused, minutes=5, champion_fails=1) is None


@pytest.fixture
def figures() -> Iterator[str]:
    """Start a Prometheus that has one value; return its address."""

    class Answering(BaseHTTPRequestHandler):
        """Answers every query."""

        def do_GET(self) -> None:
            """Answer."""
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"data": {"result": [{"metric": {}, "value": [0, "7"]}]}}')

        def log_message(self, *_: object) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_without_figures_nothing_is_decided(figures: str) -> None:
    """A Prometheus that doesn't answer is an error, not a zero."""
    assert prometheus(figures)("up") == 7
    with pytest.raises(FiguresUnavailableError, match="doesn't answer"):
        prometheus("http://127.0.0.1:9")("up")
