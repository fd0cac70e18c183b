import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from toxic_core.contract import Calibration
from toxic_core.errors import OverloadedError
from toxic_core.labels import LABELS
from toxic_core.languages import ANY_LANGUAGE
from toxic_core.tokens import Tokeniser
from toxic_inference.events import CacheLookedUp, SessionEnded, SessionTimed, TextsTokenised
from toxic_inference.serving.batching.scheduler import BatchScheduler, SchedulerResources
from toxic_inference.serving.errors import DeadlineExceededError, InferenceError
from toxic_inference.serving.interfaces import Lane, Row, ServableId, Target, Terms, Text
from toxic_inference.serving.scoring.service import LONG_WINDOWS, ScoringLimits, ScoringService
from toxic_inference.serving.versions.harness import ActiveServable
from toxic_inference.threads import Threads
from toxic_model.loaded import LoadedModel
from toxic_testing.inference.bundles import MAX_TOKENS, make_tokenizer
from toxic_testing.inference.fakes import EventLog, FakeModel, InlineExecutor, ManualClock, activate

pytestmark = pytest.mark.anyio


MakeService = Callable[[LoadedModel], ScoringService]


@pytest.fixture
async def make_service(
    scheduling: SchedulerResources, inline: InlineExecutor, clock: ManualClock, log: EventLog
) -> AsyncIterator[MakeService]:
    """Return the function that puts a service in front of a model."""
    made: list[ActiveServable] = []

    def make(model: LoadedModel) -> ScoringService:
        active = activate(ServableId("1", "f"), model, scheduling, cached=100)
        made.append(active)
        return ScoringService(
            lease=lambda _: nullcontext(active),
            threads=Threads(inline),
            clock=clock,
            emit=log,
            limits=ScoringLimits(windows=3, span_passes=18),
        )

    yield make
    for active in made:
        await active.scheduler.close()


@pytest.fixture
def service(make_service: MakeService, model: FakeModel) -> ScoringService:
    """A service over one fake version."""
    return make_service(model.loaded)


def with_spanish(model: FakeModel) -> LoadedModel:
    """Return a model whose Spanish scores are calibrated to nearly 1."""
    by_language = {ANY_LANGUAGE: Calibration(), "es": Calibration(slope=1.0, intercept=10.0)}
    update = {"calibration": dict.fromkeys(LABELS, by_language)}
    return replace(model.loaded, contract=model.loaded.contract.model_copy(update=update))


async def test_scores_are_calibrated_and_decided_by_language(
    make_service: MakeService, model: FakeModel
) -> None:
    """A language with its own calibration and threshold gets them; another gets those for any."""
    with make_service(with_spanish(model)).session(Target()) as session:
        plain, spanish = await session.score(
            [Text("you are kind"), Text("you are kind", "es")], lane=Lane.INTERACTIVE
        )
    ids = [2, 4, 5, 7, 3]
    assert plain.scores[0] == pytest.approx(sum(ids) / 1000, abs=1e-6)
    assert spanish.scores[0] > 0.99
    assert plain.decisions == (False,) * 6
    assert spanish.decisions == (True,) * 6


async def test_the_order_of_texts_is_kept(service: ScoringService) -> None:
    """Texts come back in the order they were given, whatever order they were batched in."""
    texts = ["you", "you are a lovely kind fool", "day", "idiot idiot idiot", "a"]
    with service.session(Target()) as session:
        together = await session.score([Text(text) for text in texts], lane=Lane.INTERACTIVE)
        alone = [(await session.score([Text(text)], lane=Lane.INTERACTIVE))[0] for text in texts]
    assert [t.tokens for t in together] == [3, 8, 3, 5, 3]
    for one, other in zip(together, alone, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)


async def test_a_long_text_is_read_in_windows_and_scored_by_the_highest(
    make_service: MakeService, model: FakeModel
) -> None:
    """The worst part of a long text decides its score, at any place; the answer has the number of windows."""
    tokenizer = Tokeniser(make_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0, overlap=4)
    service = make_service(replace(model.loaded, tokenizer=tokenizer))
    plain, worst = "you " * 14, "fool " * 14
    with service.session(Target()) as session:
        low, high, start, end = await session.score(
            [Text(plain), Text(worst), Text(worst + plain), Text(plain + worst)], lane=Lane.INTERACTIVE
        )
    assert (low.windows, high.windows) == (1, 1)
    assert (start.windows, end.windows) == (3, 3)
    assert start.scores == high.scores > low.scores
    # The middle one of its windows, with four words of the one kind and ten of the other.
    assert end.scores[0] == pytest.approx((2 + 3 + 4 * 4 + 10 * 13) / 1000, abs=1e-6)
    assert (start.tokens, start.truncated) == (30, False)


@pytest.mark.hostile(6)
async def test_a_text_of_very_many_windows_gives_way_to_others(
    make_service: MakeService, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits in the lane of files, so that other callers don't wait for seconds."""
    lanes: list[Lane] = []
    submit = BatchScheduler.submit

    async def recording(scheduler: BatchScheduler, rows: Sequence[Row], *, lane: Lane, **more: Any) -> Any:
        lanes.append(lane)
        return await submit(scheduler, rows, lane=lane, **more)

    monkeypatch.setattr(BatchScheduler, "submit", recording)
    service = replace(make_service(model.loaded), limits=ScoringLimits(windows=100, span_passes=18))
    with service.session(Target()) as session:
        for words in (14 * LONG_WINDOWS, 14 * LONG_WINDOWS + 1):
            (score,) = await session.score([Text("you " * words)], lane=Lane.INTERACTIVE)
            assert not score.truncated
    assert lanes == [Lane.INTERACTIVE, Lane.BULK]


async def test_only_what_no_window_holds_is_said_to_be_cut(service: ScoringService, log: EventLog) -> None:
    """Three windows of fourteen words without overlap: forty-two words are read, the next isn't."""
    with service.session(Target()) as session:
        fits, cut = await session.score([Text("you " * 42), Text("you " * 43)], lane=Lane.INTERACTIVE)
    assert (fits.truncated, cut.truncated) == (False, True)
    assert (fits.windows, cut.windows) == (3, 3)
    assert (fits.tokens, cut.tokens) == (44, 44)
    assert (
        log.total(TextsTokenised, "truncated"),
        log.total(TextsTokenised, "windows"),
    ) == (1, 6)


async def test_nothing_is_decided_about_a_text_that_the_vocabulary_lacks(
    make_service: MakeService, model: FakeModel, log: EventLog
) -> None:
    """It keeps its scores and is marked, from the cache too; unknown words among others have no effect."""
    contract = model.loaded.contract
    low = {label: {"*": 0.0} for label in contract.labels}
    decided = replace(model.loaded, contract=contract.model_copy(update={"thresholds": low}))
    service = make_service(decided)
    for _ in range(2):
        with service.session(Target()) as session:
            found = await session.score(
                [Text("you fool foreign"), Text("foreign words fool")], lane=Lane.INTERACTIVE
            )
            explained = await session.explain(Text("foreign words"), lane=Lane.INTERACTIVE)
        assert [score.low_confidence for score in found] == [False, True]
        assert [set(score.decisions) for score in found] == [{True}, {False}]
        assert (explained.score.low_confidence, set(explained.score.decisions)) == (True, {False})
    assert log.total(TextsTokenised, "low_confidence") == 1


async def test_a_text_that_came_before_isn_t_computed_again(
    make_service: MakeService, model: FakeModel, log: EventLog
) -> None:
    """The same text, or one that normalises to it, has the same answer, by its own language's calibration."""
    with make_service(with_spanish(model)).session(Target()) as session:
        first, _ = await session.score([Text("you are kind"), Text("a day")], lane=Lane.INTERACTIVE)
        again, new, spanish = await session.score(
            [Text("you\u200b  are kind"), Text("a fool"), Text("you are kind", "es")], lane=Lane.INTERACTIVE
        )
    assert again == first
    assert new != first
    assert spanish.scores[0] > 0.99
    assert [batch.input_ids.shape[0] for batch in model.batches] == [2, 1]
    assert (
        log.total(CacheLookedUp, "hits"),
        log.total(CacheLookedUp, "misses"),
    ) == (2, 3)


async def test_a_caller_who_wants_nothing_stored_isn_t_answered_from_the_store_either(
    service: ScoringService, model: FakeModel, log: EventLog
) -> None:
    """Neither what was kept is used nor what is computed kept."""
    with service.session(Target()) as keeping:
        kept = await keeping.score([Text("you are kind")], lane=Lane.INTERACTIVE)
    with service.session(Target(), Terms(store=False)) as session:
        assert await session.score([Text("you are kind")], lane=Lane.INTERACTIVE) == kept
        await session.score([Text("a fool")], lane=Lane.INTERACTIVE)
    with service.session(Target()) as keeping:
        await keeping.score([Text("a fool")], lane=Lane.INTERACTIVE)
    assert len(model.batches) == 4
    assert (
        log.total(CacheLookedUp, "hits"),
        log.total(CacheLookedUp, "misses"),
    ) == (0, 2)


async def test_a_session_s_time_counts_from_its_beginning(
    service: ScoringService, clock: ManualClock
) -> None:
    """What was scored in time is; what comes after the time is over is refused."""
    with service.session(Target(), Terms(timeout_seconds=2.0)) as session:
        await session.score([Text("you")], lane=Lane.INTERACTIVE)
        clock.advance(2.0)
        with pytest.raises(DeadlineExceededError):
            await session.score([Text("are")], lane=Lane.INTERACTIVE)


async def test_what_will_be_refused_isn_t_even_read(service: ScoringService, log: EventLog) -> None:
    """In overload the cheapest answer is given first; files wait instead."""
    rows = [Row(np.array([2, 4, 3], np.int32))]
    with service.session(Target()) as session:
        waiting = asyncio.ensure_future(session.infer(rows * 16, lane=Lane.INTERACTIVE))
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await session.score([Text("you")], lane=Lane.INTERACTIVE)
        assert log.total(TextsTokenised, "windows") == 0
        assert len(await session.score([Text("you")], lane=Lane.BULK)) == 1
    await waiting


async def test_nothing_to_score_is_an_error(service: ScoringService) -> None:
    """An empty list is a mistake of the caller's, not a score."""
    with service.session(Target()) as session, pytest.raises(InferenceError):
        await session.score([], lane=Lane.INTERACTIVE)


async def test_raw_scores_aren_t_calibrated(service: ScoringService) -> None:
    """Token ids, and texts for the raw door, get what the model says."""
    with service.session(Target()) as session:
        by_ids = await session.infer([Row(np.array([2, 4, 3], np.int32))], lane=Lane.INTERACTIVE)
        (by_text,) = await session.infer_texts(["you"], lane=Lane.INTERACTIVE)
    np.testing.assert_allclose(by_ids, np.full((1, 6), 0.009), atol=1e-7)
    np.testing.assert_array_equal(by_ids, [by_text.scores])
    assert not by_text.truncated


async def test_a_session_names_its_version(service: ScoringService) -> None:
    """The version that answers is known before the first score."""
    with service.session(Target()) as session:
        assert session.version == "1"
    await asyncio.sleep(0)


async def test_only_interactive_requests_are_timed(service: ScoringService, log: EventLog) -> None:
    """A file takes as long as it is large: files from its callers make no canary slow."""
    for lane in (Lane.BULK, Lane.INTERACTIVE):
        with service.session(Target(), Terms(caller="team")) as session:
            await session.score([Text("abc", "en")], lane=lane)
        assert [type(event) for event in log.events].count(SessionTimed) == (lane is Lane.INTERACTIVE)
    assert [type(event) for event in log.events].count(SessionEnded) == 2
