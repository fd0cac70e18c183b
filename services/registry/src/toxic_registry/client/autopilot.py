"""Promotes without a hand: challenger, canary, champion, and back if live figures fall.

`next_step` is a pure function of the ledger and of figures that Prometheus has. Every step is a change of an
alias like a person's: the gate judges it, and the ledger records it with the reason `automatic …`, under the
name `autopilot` or that of the signed-in user.

Invariant: at most one step per look; a version that was refused or withdrawn isn't tried again by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import requests

from toxic_core.errors import ToxicError
from toxic_core.registered import CANARY, CHALLENGER, CHAMPION, PREVIOUS
from toxic_registry.caller import Caller
from toxic_registry.client.registry_client import RegistryClient
from toxic_registry.ledger.entries import Entry, Outcome

ACTOR = "autopilot"

_TIMEOUT_SECONDS = 10
_FAILING = (
    'count(ALERTS{{alertstate="firing", alertname=~"(Availability|Latency)BudgetBurnsFast"}}) or '
    'count(ALERTS{{alertstate="firing", alertname="FeedbackContradictsChampion", version="{version}"}}) or '
    "vector(0)"
)
_CANARY_FAILING = (
    'count(ALERTS{{alertstate="firing", alertname="CanaryFails", version="{version}"}}) or vector(0)'
)
_SESSIONS = (
    'sum(increase(toxic_inference_version_sessions_total{{version="{version}"}}[{seconds}s])) or vector(0)'
)
_BY_LABEL = "max(sum by (label) (increase(toxic_inference_{name}[{seconds}s]))) or vector(0)"
_COMPARED, _DISAGREED = "shadow_score_difference_ratio_count", "shadow_disagreements_total"


class FiguresUnavailableError(ToxicError):
    """Prometheus doesn't answer."""


class Step(StrEnum):
    """What to do next."""

    TRY_OUT = "canary"
    PROMOTE = "promote"
    WITHDRAW = "withdraw"
    ROLL_BACK = "rollback"


@dataclass(frozen=True, slots=True)
class Terms:
    """When to promote.

    Attributes:
        compared: texts that the shadow must have compared.
        disagreement: largest share of them that the challenger may decide differently, of its worst label.
        trial: time that the canary must have answered without failing, and that a new champion is watched.
        sessions: requests that it must have answered in that time.
    """

    compared: int = 1_000
    disagreement: float = 0.1
    trial: timedelta = timedelta(hours=1)
    sessions: int = 500


@dataclass(frozen=True, slots=True)
class Named:
    """A version that an alias names, since when, and by which step; None if a person set it."""

    version: int
    since: datetime
    step: Step | None


Query = Callable[[str], float]
"""Returns the one value of a PromQL expression. Raises FiguresUnavailableError."""


def next_step(
    entries: Sequence[Entry], terms: Terms, query: Query, *, now: datetime
) -> tuple[Step, int] | None:
    """Return the next step and the version that it is about; None to wait.

    `entries` is the model's ledger, the oldest first. A canary that fails, or that the gate refuses as
    champion, ends first, then a new champion that fails, then a trial succeeds, then one begins.
    """
    champion, canary, previous = (_named(entries, alias) for alias in (CHAMPION, CANARY, PREVIOUS))
    ours = canary is not None and canary.step is Step.TRY_OUT
    if canary and (
        (ours and _refused(entries, canary.version, since=canary.since))
        or query(_CANARY_FAILING.format(version=canary.version))
    ):
        return Step.WITHDRAW, canary.version
    fresh = champion and champion.step is Step.PROMOTE and now - champion.since < terms.trial
    if (
        (champion and fresh and previous)
        and not _refused(entries, previous.version, since=champion.since)
        and query(_FAILING.format(version=champion.version))
    ):
        return Step.ROLL_BACK, champion.version
    if canary:
        age = now - canary.since
        sessions = _SESSIONS.format(version=canary.version, seconds=_seconds(age))
        succeeds = (
            ours
            and age >= terms.trial
            and query(sessions) >= terms.sessions
            and not query(_FAILING.format(version=canary.version))
        )
        return (Step.PROMOTE, canary.version) if succeeds else None
    challenger = _named(entries, CHALLENGER)
    tried = {entry.after for entry in entries if entry.alias in {CANARY, CHAMPION}}
    if champion is None or challenger is None or challenger.version in tried:
        return None
    compared, disagreed = (
        query(_BY_LABEL.format(name=name, seconds=_seconds(now - challenger.since)))
        for name in (_COMPARED, _DISAGREED)
    )
    agrees = compared >= terms.compared and disagreed <= terms.disagreement * compared
    return (Step.TRY_OUT, challenger.version) if agrees else None


def _seconds(duration: timedelta) -> int:
    return max(int(duration.total_seconds()), 1)


def take(step: Step, version: int, client: RegistryClient) -> None:
    """Take a step. Raises as the client does; a refusal by the gate is in the ledger, and not repeated."""
    caller = Caller(actor=ACTOR, reason=_reason(step))
    if step is Step.TRY_OUT:
        client.try_out(str(version), caller)
    elif step is Step.PROMOTE:
        client.promote(str(version), caller)
    elif step is Step.WITHDRAW:
        client.withdraw(caller)
    else:
        client.roll_back(caller)


def prometheus(url: str) -> Query:
    """Return what asks the Prometheus at an address."""

    def query(expression: str) -> float:
        try:
            answer = requests.get(
                f"{url.rstrip('/')}/api/v1/query", params={"query": expression}, timeout=_TIMEOUT_SECONDS
            )
            answer.raise_for_status()
            (series,) = answer.json()["data"]["result"]
            return float(series["value"][1])
        except (requests.RequestException, LookupError, ValueError) as error:
            raise FiguresUnavailableError(f"Prometheus at {url} doesn't answer: {error}.") from error

    return query


def _named(entries: Sequence[Entry], alias: str) -> Named | None:
    last = next((e for e in reversed(entries) if e.alias == alias and e.outcome is not Outcome.REFUSED), None)
    if last is None or last.after is None:
        return None
    step = next((step for step in Step if last.reason == _reason(step)), None)
    return Named(last.after, datetime.fromisoformat(last.time), step)


def _refused(entries: Sequence[Entry], version: int, *, since: datetime) -> bool:
    """Return whether a version was refused as champion: asking again would only lengthen the ledger."""
    return any(
        entry.outcome is Outcome.REFUSED and entry.alias == CHAMPION and entry.after == version
        for entry in entries
        if datetime.fromisoformat(entry.time) > since
    )


def _reason(step: Step) -> str:
    return f"automatic {step}"
