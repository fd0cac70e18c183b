from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from toxic_core.labels import LABELS
from toxic_core.tokens import EncodedBatch, Tokeniser
from toxic_inference.serving.batching.scheduler import SchedulerResources
from toxic_inference.serving.interfaces import Explanation, Lane, ServableId, Target, Text
from toxic_inference.serving.scoring import explaining
from toxic_inference.serving.scoring.service import ScoringLimits, ScoringService
from toxic_inference.threads import Threads
from toxic_testing.inference.bundles import MAX_TOKENS, WORDS, make_tokenizer
from toxic_testing.inference.fakes import EventLog, FakeModel, InlineExecutor, ManualClock, activate

pytestmark = pytest.mark.anyio

IDIOT, FOOL = 4 + WORDS.index("idiot"), 4 + WORDS.index("fool")


class Prejudice:
    """Gives `toxic` 0.9 if a text contains idiot, and `insult` 0.8 if it contains fool; else 0.1."""

    def __init__(self) -> None:
        self.rows = 0

    def whole(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return float32 [batch, 6]."""
        self.rows += len(batch.input_ids)
        scores = np.full((len(batch.input_ids), len(LABELS)), 0.1, np.float32)
        scores[(batch.input_ids == IDIOT).any(axis=1), 0] = 0.9
        scores[(batch.input_ids == FOOL).any(axis=1), 4] = 0.8
        return scores


@pytest.fixture
def prejudice() -> Prejudice:
    """A model with known reasons."""
    return Prejudice()


@pytest.fixture
async def service(
    prejudice: Prejudice,
    model: FakeModel,
    scheduling: SchedulerResources,
    inline: InlineExecutor,
    clock: ManualClock,
    log: EventLog,
) -> AsyncIterator[ScoringService]:
    """A service over the prejudiced model, that may try eighteen rows per text."""
    tokenizer = Tokeniser(make_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0, overlap=4)
    loaded = replace(model.loaded, whole=prejudice.whole, tokenizer=tokenizer)
    active = activate(ServableId("1", "f"), loaded, scheduling)
    yield ScoringService(
        lease=lambda _: nullcontext(active),
        threads=Threads(inline),
        clock=clock,
        emit=log,
        limits=ScoringLimits(windows=4, span_passes=18),
    )
    await active.scheduler.close()


async def explain(service: ScoringService, text: str) -> Explanation:
    """Ask why."""
    with service.session(Target()) as session:
        return await session.explain(Text(text), lane=Lane.INTERACTIVE)


def blamed(text: str, explanation: Explanation, *, label: int) -> list[str]:
    """Return what drove a label's score, as it stands in the caller's text."""
    return [text[span.begin : span.end] for span in explanation.spans if span.influence[label] > 0.5]


async def test_the_word_that_drove_a_score_is_found(service: ScoringService) -> None:
    """Each label has its own reason, and the other words have no share."""
    text = "you are a idiot and fool"
    explanation = await explain(service, text)
    assert blamed(text, explanation, label=0) == ["idiot"]
    assert blamed(text, explanation, label=4) == ["fool"]
    assert explanation.score.scores[0] == pytest.approx(0.9, abs=1e-6)
    by_word = {text[s.begin : s.end]: s.influence for s in explanation.spans}
    assert by_word["idiot"][0] == pytest.approx(0.8, abs=1e-6)
    assert by_word["you"] == pytest.approx((0.0,) * 6, abs=1e-6)


async def test_spans_stand_where_the_caller_put_the_words(service: ScoringService) -> None:
    """What normalising removes, folds or shortens moves no span."""
    text = "\u200b  \u200byou\t\u3000\u200b ｉｄ\u200bｉｏｔ  \u0000 d\u00aday "
    explanation = await explain(service, text)
    assert blamed(text, explanation, label=0) == ["ｉｄ\u200bｉｏｔ"]


async def test_a_word_said_twice_drives_nothing_alone(service: ScoringService) -> None:
    """Without either of the two the score is the same, and that is what occlusion says."""
    text = "idiot you idiot"
    assert blamed(text, await explain(service, text), label=0) == []


async def test_a_long_text_is_explained_from_the_windows_that_count(
    service: ScoringService, prejudice: Prejudice
) -> None:
    """Beyond the first window, in groups of words, with no more rows than are allowed."""
    text = "you " * 20 + "idiot " + "day " * 12
    explanation = await explain(service, text)
    assert explanation.score.windows > 1
    (span,) = blamed(text, explanation, label=0)
    assert "idiot" in span.split()
    assert len(span.split()) < 8
    assert prejudice.rows <= explanation.score.windows + 18


async def test_a_word_in_two_windows_is_taken_out_of_both(service: ScoringService) -> None:
    """Where windows overlap, the word's influence isn't hidden by its second reading."""
    text = "you " * 12 + "idiot " + "day " * 12
    explanation = await explain(service, text)
    assert explanation.score.windows == 3
    (span,) = blamed(text, explanation, label=0)
    assert "idiot" in span.split()


async def test_one_word_is_explained_by_nothing_being_left(service: ScoringService) -> None:
    """The text without its only word is the empty text."""
    explanation = await explain(service, "idiot")
    (span,) = explanation.spans
    assert (span.begin, span.end) == (0, 5)
    assert span.influence[0] == pytest.approx(0.8, abs=1e-6)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=80), st.integers(18, 40), st.integers(0, 9))
def test_explaining_stays_within_its_passes(text: list[str], passes: int, seed: int) -> None:
    """However long the text and whichever windows count, the rows fit, and groups cover every word."""
    tokeniser = Tokeniser(make_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0, overlap=4)
    aligned = tokeniser.encode_aligned(" ".join(text), most=20)
    scores = np.random.default_rng(seed).random((len(aligned.word_of), len(LABELS))).astype(np.float32)
    occlusion = explaining.plan(aligned, scores, passes=passes)
    assert 0 < len(occlusion.trials) <= passes
    grouped = [word for group in occlusion.groups for word in group]
    looked_at = set(scores.argmax(axis=0).tolist())
    expected = {int(word) for index in looked_at for word in aligned.word_of[index] if word >= 0}
    assert grouped == sorted(expected)
