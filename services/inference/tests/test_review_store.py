from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from toxic_inference.corrections.agreement import agreement, decide, disputed
from toxic_inference.corrections.record import Feedback, FeedbackSource, UnknownFeedbackError
from toxic_inference.corrections.review_store import (
    Candidate,
    Opinion,
    ReviewLabelsError,
    ReviewStanding,
    ReviewStore,
    UnknownReviewError,
)
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.corrections.tables import digest_of
from toxic_inference.events import ReviewReason

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)
TEXT = Candidate(
    "you are kind", "en", "3", {"toxic": (0.52, True), "threat": (0.1, False)}, ReviewReason.UNCERTAIN, 0.02
)
KIND, RUDE = {"toxic": False, "threat": False}, {"toxic": True, "threat": False}
DIGEST = digest_of(TEXT.text)


@pytest.fixture
def corrections(tmp_path: Path) -> Iterator[DatabaseFeedbackStore]:
    """The store of corrections."""
    store = DatabaseFeedbackStore(f"sqlite:///{tmp_path}/feedback.db")
    yield store
    store.close()


@pytest.fixture
def store(corrections: DatabaseFeedbackStore) -> ReviewStore:
    """The review in the same database."""
    return ReviewStore(corrections)


def add(store: ReviewStore, *candidates: Candidate, most: int = 9, now: datetime = NOW) -> list[ReviewReason]:
    """Store texts."""
    return store.add(candidates, now=now, since=now - timedelta(days=1), most=most)


def texts(store: ReviewStore, *, reviewer: str | None = None, limit: int = 9) -> list[str]:
    """Return what waits, in order."""
    found: list[str] = []
    after = None
    while page := store.page(after=after, limit=limit, reviewer=reviewer, since=SINCE):
        found += [item.text for _, item in page]
        after = page[-1][0]
    return found


def judge(store: ReviewStore, reviewer: str, labels: dict[str, bool]) -> None:
    """Add an opinion of the text."""
    store.judge(DIGEST, Opinion(reviewer, reviewer, labels), now=NOW, since=SINCE)


def test_kappa_is_agreement_beyond_chance() -> None:
    """The textbook's example of 50 texts: 35 alike, 0.4; without chance to differ there is none."""
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    found = agreement(pairs)
    assert (found.texts, found.agreed) == (50, 0.7)
    assert found.kappa == pytest.approx(0.4)
    assert agreement([(True, True)] * 3).kappa is None
    by_chance = [(one < 3, other < 6) for one in range(10) for other in range(10)]
    assert agreement(by_chance).kappa == pytest.approx(0)


def test_two_equal_opinions_or_the_majority_of_three_decide() -> None:
    """Per label; one opinion, or two different ones, decide nothing."""
    assert decide([]) is None
    assert decide([KIND]) is None
    assert decide([KIND, RUDE]) is None
    assert decide([KIND, KIND]) == KIND
    assert decide([KIND, RUDE, RUDE]) == RUDE
    assert (disputed([KIND, RUDE]), disputed([KIND]), disputed([])) == (["toxic"], [], [])


def test_the_most_urgent_texts_come_first(store: ReviewStore) -> None:
    """Contradictions, then disagreements with the shadow, then uncertain texts by distance; in pages too."""
    store.corrections.add(replace(correction("1", toxic=True, caller="ann"), text="said twice"))
    reasons = add(
        store,
        replace(TEXT, text="far", distance=0.09),
        replace(TEXT, text="near", distance=0.01),
        replace(TEXT, text="shadow", reason=ReviewReason.SHADOW),
        replace(TEXT, text="said twice", reason=ReviewReason.CONTRADICTION),
    )
    assert len(reasons) == 4
    expected = ["said twice", "shadow", "near", "far"]
    assert texts(store) == texts(store, limit=1) == expected


def test_what_comes_back_is_what_went_in(store: ReviewStore) -> None:
    """With its scores, and a text is kept once."""
    assert add(store, TEXT, TEXT) == [ReviewReason.UNCERTAIN]
    assert add(store, replace(TEXT, distance=0.0)) == []
    ((_, item),) = store.page(after=None, limit=9, reviewer=None, since=SINCE)
    assert (item.text, item.language, item.version, item.created_at) == ("you are kind", "en", "3", NOW)
    assert item.seen == TEXT.seen


def test_number_and_age_are_bounded(store: ReviewStore) -> None:
    """The least urgent go first, the old ones even unread; 0 keeps none."""
    add(store, *(replace(TEXT, text=f"{number}", distance=number / 100) for number in range(6)), most=4)
    assert texts(store) == ["0", "1", "2", "3"]
    assert store.page(after=None, limit=9, reviewer=None, since=NOW) == []
    add(store, replace(TEXT, text="new"), now=NOW + timedelta(days=2))
    assert texts(store) == ["new"]
    add(store, most=0)
    assert texts(store) == []


def test_an_opinion_is_one_per_reviewer(store: ReviewStore) -> None:
    """The later one counts; who has judged a text isn't shown it again."""
    add(store, TEXT)
    judge(store, "ann", RUDE)
    judge(store, "ann", KIND)
    assert (texts(store, reviewer="ann"), texts(store, reviewer="bob")) == ([], [TEXT.text])
    ((_, item),) = store.page(after=None, limit=9, reviewer="bob", since=SINCE)
    assert [opinion.labels for opinion in item.opinions] == [KIND]
    with pytest.raises(ReviewLabelsError, match="toxic, threat"):
        judge(store, "bob", {"toxic": True})
    with pytest.raises(UnknownReviewError):
        store.judge("0" * 64, Opinion("bob", "bob", KIND), now=NOW, since=SINCE)


def test_a_decided_text_leaves_and_its_opinions_measure_the_agreement(store: ReviewStore) -> None:
    """It can't be judged or kept again."""
    add(store, TEXT)
    judge(store, "ann", KIND)
    judge(store, "bob", RUDE)
    store.close(DIGEST)
    assert texts(store) == []
    assert add(store, TEXT) == []
    with pytest.raises(UnknownReviewError):
        judge(store, "eve", KIND)
    found = store.agreement()
    assert (found["toxic"].agreed, found["threat"].agreed) == (0.0, 1.0)


def test_decided_texts_take_no_room(store: ReviewStore) -> None:
    """In a full review the opinions of the last decided texts stay; so many, however many wait."""
    add(store, TEXT)
    judge(store, "ann", KIND)
    judge(store, "bob", KIND)
    store.close(DIGEST)
    add(store, *(replace(TEXT, text=f"{number}", distance=0.01) for number in range(3)), most=2)
    assert len(texts(store)) == 2
    assert store.agreement()["toxic"].texts == 1
    assert add(store, TEXT, most=2) == []
    other = replace(TEXT, text="else", distance=0.0)
    add(store, other, most=2)
    store.close(digest_of(other.text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toxic_inference.corrections.review_store._AGREEMENT_TEXTS", 1)
        add(store, most=2)
    assert store.agreement() == {}


def test_a_contradiction_needs_its_correction(store: ReviewStore, corrections: DatabaseFeedbackStore) -> None:
    """One that was deleted while its text waited to be stored brings no text into the review."""
    said = replace(TEXT, reason=ReviewReason.CONTRADICTION)
    add(store, said)
    assert texts(store) == []
    corrections.add(correction("1", toxic=False, caller="ann"))
    add(store, said)
    assert texts(store) == [TEXT.text]


def correction(name: str, *, toxic: bool, caller: str) -> Feedback:
    """Return a correction of the text."""
    return Feedback(
        id=name,
        text=TEXT.text,
        language="en",
        labels={"toxic": toxic},
        scores={},
        created_at=NOW,
        model_version=None,
        source=FeedbackSource.NATIVE,
        actor=None,
        caller=caller,
    )


def test_contradictions_are_between_callers(corrections: DatabaseFeedbackStore) -> None:
    """A caller's own other correction isn't one, nor is another text."""
    corrections.add(correction("1", toxic=False, caller="ann"))
    assert corrections.disputes(correction("2", toxic=True, caller="ann")) == frozenset()
    assert corrections.disputes(correction("2", toxic=False, caller="bob")) == frozenset()
    assert corrections.disputes(correction("2", toxic=True, caller="bob")) == {"toxic"}
    other = replace(correction("2", toxic=True, caller="bob"), text="else")
    assert corrections.disputes(other) == frozenset()


def test_a_text_is_forgotten_everywhere(
    store: ReviewStore, corrections: DatabaseFeedbackStore, tmp_path: Path
) -> None:
    """By its digest: corrections, review and opinions; not even its bytes stay in the file."""
    add(store, TEXT)
    judge(store, "ann", KIND)
    corrections.add(correction("1", toxic=False, caller="ann"))
    corrections.add(correction("2", toxic=True, caller="bob"))
    assert corrections.forget(DIGEST).keys() == {"ann", "bob"}
    assert (texts(store), corrections.page(after=0, limit=9), store.agreement()) == ([], [], {})
    with pytest.raises(UnknownFeedbackError):
        corrections.forget(DIGEST)
    corrections.close()
    assert b"you are kind" not in (tmp_path / "feedback.db").read_bytes()


def test_a_deleted_correction_takes_its_text_out_of_the_review(
    store: ReviewStore, corrections: DatabaseFeedbackStore
) -> None:
    """Deletion by the correction's id deletes the text, not the correction alone."""
    add(store, TEXT)
    corrections.add(correction("1", toxic=False, caller="ann"))
    corrections.delete("1")
    assert texts(store) == []


def test_the_standing_counts_what_waits_and_how_well_reviewers_agree(store: ReviewStore) -> None:
    """By reason, with the time of the first; decided and expired texts don't wait."""
    nothing = store.standing(since=SINCE)
    assert nothing == ReviewStanding(dict.fromkeys(ReviewReason, 0), None, {})
    add(store, TEXT, replace(TEXT, text="later", reason=ReviewReason.SHADOW))
    add(store, replace(TEXT, text="latest"), now=NOW + timedelta(hours=1))
    found = store.standing(since=SINCE)
    assert (found.open, found.oldest) == ({"contradiction": 0, "shadow": 1, "uncertain": 2}, NOW)
    judge(store, "ann", KIND)
    judge(store, "ben", RUDE)
    store.close(DIGEST)
    found = store.standing(since=NOW)
    assert (found.open[ReviewReason.UNCERTAIN], found.oldest) == (1, NOW + timedelta(hours=1))
    assert found.agreement["toxic"].texts == 1
