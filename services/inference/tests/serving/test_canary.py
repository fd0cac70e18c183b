from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from toxic_core.errors import NoVersionReadyError, UnknownModelError
from toxic_inference.serving.interfaces import Session, Target, Terms
from toxic_inference.serving.scoring.canary import CanaryScorer


class Versions:
    """A champion, and a canary if there is one; implements `Scorer`."""

    canary = True

    @contextmanager
    def session(self, target: Target, terms: Terms = Terms()) -> Iterator[Session]:  # noqa: ARG002, B008  the protocol's
        """Lease one."""
        if target.alias == "canary" and not self.canary:
            raise UnknownModelError("There is no canary.")
        yield cast("Session", SimpleNamespace(version=target.alias or target.version or "champion"))


@pytest.fixture
def versions() -> Versions:
    """Two versions."""
    return Versions()


def answers(scorer: CanaryScorer, callers: list[str], target: Target = Target()) -> list[str]:  # noqa: B008  frozen
    """Return the version that answers each caller."""
    found = []
    for caller in callers:
        with scorer.session(target, Terms(caller=caller)) as session:
            found.append(session.version)
    return found


def test_a_share_of_the_callers_meets_the_canary_again_and_again(versions: Versions) -> None:
    """By the caller's name, so that every replica agrees."""
    scorer = CanaryScorer(versions, default_alias="champion", fraction=0.2)
    callers = [f"key {number}" for number in range(1_000)]
    first = answers(scorer, callers)
    assert 150 < first.count("canary") < 250
    assert answers(scorer, callers) == first
    more = answers(CanaryScorer(versions, default_alias="champion", fraction=0.4), callers)
    assert all(later == "canary" for early, later in zip(first, more, strict=True) if early == "canary")


def test_nobody_is_sent_to_a_canary_against_their_words(versions: Versions) -> None:
    """Neither who names a version, nor what has no caller; without a canary, the champion answers."""
    scorer = CanaryScorer(versions, default_alias="champion", fraction=1.0)
    assert answers(scorer, ["a"]) == ["canary"]
    assert answers(scorer, ["a"], Target(alias="champion")) == ["canary"]
    assert answers(scorer, ["a"], Target(version="7")) == ["7"]
    assert answers(scorer, ["a"], Target(alias="challenger")) == ["challenger"]
    assert answers(scorer, [""]) == ["champion"]
    versions.canary = False
    assert answers(scorer, ["a"]) == ["champion"]


def test_a_canary_that_fails_a_request_isn_t_asked_again_elsewhere(versions: Versions) -> None:
    """Its error is the caller's answer: a second version would hide it from the figures."""
    scorer = CanaryScorer(versions, default_alias="champion", fraction=1.0)
    with pytest.raises(NoVersionReadyError, match="unloaded"), scorer.session(Target(), Terms(caller="a")):
        raise NoVersionReadyError("The version was unloaded.")
