import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_core.contract.scales import Scales
from toxic_core.errors import UnknownModelError
from toxic_core.labels import LABELS
from toxic_inference.events import ShadowCompared, ShadowDrop, ShadowDropped
from toxic_inference.serving.errors import InferenceError
from toxic_inference.serving.interfaces import (
    Explanation,
    Lane,
    RawScore,
    Row,
    Session,
    Target,
    Terms,
    Text,
    TextScore,
)
from toxic_inference.serving.scoring.shadow import ShadowingScorer
from toxic_testing.inference.bundles import make_contract
from toxic_testing.inference.fakes import EventLog, ManualClock

pytestmark = pytest.mark.anyio

Turn = Callable[[Callable[[], bool]], Awaitable[None]]


class Version:
    """Gives every text one score; implements `Session`."""

    def __init__(self, version: str, score: float) -> None:
        self.version = version
        self.value = score
        self.contract: Contract = make_contract()
        self.scales: Scales | None = None
        self.texts: list[str] = []
        self.lanes: list[Lane] = []
        self.error: Exception | None = None

    async def score(self, texts: Sequence[Text], *, lane: Lane) -> Sequence[TextScore]:
        """Score."""
        if self.error is not None:
            raise self.error
        self.texts += [text.content for text in texts]
        self.lanes.append(lane)
        labels = len(self.contract.labels)
        one = TextScore((self.value,) * labels, (self.value >= 0.5,) * labels, tokens=3, truncated=False)
        return [one for _ in texts]

    async def explain(self, text: Text, *, lane: Lane) -> Explanation:
        """Give no reason."""
        (score,) = await self.score([text], lane=lane)
        return Explanation(score, ())

    async def infer(self, rows: Sequence[Row], *, lane: Lane) -> NDArray[np.float32]:  # noqa: ARG002  the protocol's
        """Score rows."""
        return np.full((len(rows), 6), self.value, np.float32)

    async def infer_texts(self, texts: Sequence[str], *, lane: Lane) -> Sequence[RawScore]:  # noqa: ARG002  as above
        """Score texts."""
        score = RawScore(scores=np.full(6, self.value, np.float32), tokens=3, windows=1, truncated=False)
        return [score for _ in texts]


class TwoVersions:
    """A champion and a challenger; implements `Scorer`."""

    def __init__(self) -> None:
        self.champion = Version("1", 0.4)
        self.challenger: Version | None = Version("2", 0.7)

    @contextmanager
    def session(self, target: Target, terms: Terms = Terms()) -> Iterator[Session]:  # noqa: ARG002, B008  the protocol's
        """Hold one."""
        wanted = self.challenger if target.alias == "challenger" else self.champion
        if wanted is None:
            raise UnknownModelError("There is no challenger.")
        yield wanted


class Bench:
    """A shadowing scorer on a clock that stands still."""

    def __init__(self, clock: ManualClock) -> None:
        self.idle = True
        self.draws: Iterator[float] = iter(())
        self.versions = TwoVersions()
        self.log = EventLog()
        self.scorer = ShadowingScorer(
            self.versions,
            default_alias="champion",
            shadow_alias="challenger",
            fraction=0.5,
            idle=lambda: self.idle,
            clock=clock,
            emit=self.log,
            draw=lambda: next(self.draws, 0.0),
        )

    @property
    def compared(self) -> list[tuple[str, float, bool]]:
        """Every comparison: label, difference, whether the decisions differ."""
        events = self.log.of(ShadowCompared)
        return [(event.label, round(event.difference, 6), event.disagrees) for event in events]

    @property
    def dropped(self) -> list[ShadowDrop]:
        """Why samples were dropped."""
        return [event.reason for event in self.log.of(ShadowDropped)]

    async def score(self, *texts: str, target: Target | None = None, terms: Terms | None = None) -> None:
        """Score texts as a caller does."""
        with self.scorer.session(target or Target(), terms or Terms()) as session:
            await session.score([Text(text) for text in texts], lane=Lane.INTERACTIVE)


@pytest.fixture
async def bench(clock: ManualClock) -> AsyncIterator[Bench]:
    """A running one."""
    bench = Bench(clock)
    running = asyncio.create_task(bench.scorer.run())
    yield bench
    running.cancel()
    await asyncio.wait([running])


@pytest.fixture
def challenger(bench: Bench) -> Version:
    """Who scores the samples."""
    assert bench.versions.challenger is not None
    return bench.versions.challenger


async def test_disagreement_is_shown_label_by_label(bench: Bench, challenger: Version, turn: Turn) -> None:
    """0.4 and 0.7 are 0.3 apart, on either side of the threshold; the challenger works in the bulk lane."""
    await bench.score("a text")
    await turn(lambda: bool(bench.compared))
    assert bench.compared == [(label, 0.3, True) for label in LABELS]
    assert challenger.texts == ["a text"]
    assert challenger.lanes == [Lane.BULK]


async def test_labels_are_compared_by_name(bench: Bench, challenger: Version, turn: Turn) -> None:
    """A challenger with another order and another label is compared on the labels that both have."""
    labels = ("spam", *reversed(LABELS[1:]))
    challenger.contract = challenger.contract.model_copy(update={"labels": labels})
    await bench.score("a text")
    await turn(lambda: bool(bench.compared))
    assert bench.compared == [(label, 0.3, True) for label in LABELS[1:]]


async def test_a_share_is_sampled(bench: Bench, challenger: Version, turn: Turn) -> None:
    """Of four draws, those below the fraction of one half are scored again."""
    bench.draws = iter((0.7, 0.1, 0.5, 0.4))
    await bench.score("one", "two", "three", "four")
    await turn(lambda: len(bench.compared) == 2 * len(LABELS))
    assert challenger.texts == ["two", "four"]


async def test_a_busy_service_shadows_nothing(
    bench: Bench, challenger: Version, turn: Turn, clock: ManualClock
) -> None:
    """Samples wait for an idle moment, and beyond 256 the oldest are dropped and counted."""
    bench.idle = False
    await bench.score(*(str(number) for number in range(300)))
    clock.advance(1.0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert challenger.texts == []
    assert bench.dropped == [ShadowDrop.LOAD] * 44
    bench.idle = True
    clock.advance(1.0)
    await turn(lambda: len(challenger.texts) == 256)
    assert challenger.texts[0] == "44"


@pytest.mark.parametrize(
    ("target", "terms"),
    [
        (Target(version="1"), Terms()),
        (Target(alias="candidate"), Terms()),
        (Target(), Terms(store=False)),
    ],
)
async def test_what_isn_t_the_champion_s_traffic_isn_t_sampled(
    bench: Bench, challenger: Version, target: Target, terms: Terms
) -> None:
    """Neither who asks for another version nor who wants nothing stored is shown to the challenger."""
    await bench.score("a text", target=target, terms=terms)
    for _ in range(20):
        await asyncio.sleep(0)
    assert challenger.texts == []
    assert bench.dropped == []


async def test_without_another_version_nothing_is_compared(bench: Bench, turn: Turn) -> None:
    """No challenger, or one that is the champion by now, is counted as such."""
    bench.versions.challenger = None
    await bench.score("a text")
    await turn(lambda: bench.dropped == [ShadowDrop.NO_CHALLENGER])
    bench.versions.challenger = bench.versions.champion
    await bench.score("a text")
    await turn(lambda: bench.dropped == [ShadowDrop.NO_CHALLENGER, ShadowDrop.SAME_VERSION])
    assert bench.compared == []


@pytest.mark.parametrize("error", [InferenceError("broken"), RuntimeError("worse")])
async def test_a_challenger_that_fails_ends_nothing(
    bench: Bench, challenger: Version, turn: Turn, error: Exception
) -> None:
    """The champion's caller has had the answer, and the next sample is tried."""
    challenger.error = error
    await bench.score("a text")
    await turn(lambda: bench.dropped == [ShadowDrop.FAILED])
    challenger.error = None
    await bench.score("another")
    await turn(lambda: bool(bench.compared))
