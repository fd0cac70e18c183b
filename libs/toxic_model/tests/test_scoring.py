from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxic_core.contract import open_bundle
from toxic_core.tokens import EncodedBatch, WindowedText, pad
from toxic_model.loaded import LoadedModel
from toxic_model.opening import open_model
from toxic_model.runtime import Float32Array
from toxic_model.scoring import ScoringOptions, highest
from toxic_testing.inference.bundles import BundleFactory

TEXTS = ["you are kind", "you stupid fool " * 30, "day", "a lovely day", "you are a stupid idiot fool " * 9]
OPTIONS = ScoringOptions(batch_tokens=64, max_windows=32, overlap=2)


@pytest.fixture(params=[1, 2], ids=["one batch at a time", "two streams"])
def model(request: pytest.FixtureRequest, build_bundle: BundleFactory, tmp_path: Path) -> LoadedModel:
    """A real, tiny model."""
    bundle = open_bundle(build_bundle(tmp_path / "bundle"))
    return open_model(bundle, threads=request.param, overlap=OPTIONS.overlap)


def test_a_text_gets_the_scores_that_it_gets_alone(model: LoadedModel) -> None:
    """Batches, windows and streams don't mix texts up; a long text gets the highest of its windows."""
    together = model.score(TEXTS * 5, options=OPTIONS)
    assert together.scores.shape == together.decisions.shape == (25, 6)
    for text, scores, tokens in zip(TEXTS * 5, together.scores, together.tokens, strict=True):
        (windowed,) = model.tokenizer.encode_windows([text], most=OPTIONS.max_windows)
        singly = [model.whole(pad([window], pad_id=0)) for window in windowed.windows]
        np.testing.assert_allclose(scores, np.concatenate(singly).max(axis=0), atol=1e-5)
        assert tokens == windowed.tokens
    assert (together.decisions == (together.scores >= 0.5)).all()


def test_no_texts_have_no_scores(model: LoadedModel) -> None:
    """An empty list is no error, so that a chunk of a table may have no text."""
    assert model.score([], options=OPTIONS).scores.shape == (0, 6)


def test_a_language_has_its_own_threshold(model: LoadedModel) -> None:
    """Without a threshold of its own, a language uses the one for any language."""
    toxic = model.contract.labels[0]
    thresholds = {**model.contract.thresholds, toxic: {"*": 0.5, "tr": 0.0}}
    contract = model.contract.model_copy(update={"thresholds": thresholds})
    strict = LoadedModel(
        contract=contract,
        tokenizer=model.tokenizer,
        runtime="test",
        whole=lambda batch: np.full((len(batch.input_ids), 6), 0.25, np.float32),
        streams=(),
        close=lambda: None,
    )
    found = strict.score(["you"] * 3, ["tr", "en", None], options=OPTIONS)
    assert found.decisions[:, 0].tolist() == [True, False, False]


def test_unknown_words_get_no_decision(model: LoadedModel) -> None:
    """At any score: it is marked instead."""
    certain = replace(model, whole=lambda batch: np.ones((len(batch.input_ids), 6), np.float32), streams=())
    found = certain.score(["you are foreign", "something foreign"], options=OPTIONS)
    assert found.low_confidence.tolist() == [False, True]
    assert found.decisions.all(axis=1).tolist() == found.decisions.any(axis=1).tolist() == [True, False]


def test_progress_is_reported(model: LoadedModel) -> None:
    """Each batch reports how many windows are done; the last one reports all of them."""
    calls: list[tuple[int, int, float]] = []
    model.score(TEXTS, options=OPTIONS, progress=lambda *done: calls.append(done))
    done, total, share = calls[-1]
    assert done == total > len(TEXTS)
    assert share == pytest.approx(1.0)
    assert [call[0] for call in calls] == sorted(call[0] for call in calls)


def test_an_error_of_a_batch_is_raised(model: LoadedModel) -> None:
    """An error on a stream reaches the caller."""

    def fail(_batch: EncodedBatch) -> Float32Array:
        raise MemoryError

    broken = LoadedModel(model.contract, model.tokenizer, "broken", fail, (fail, fail), model.close)
    with pytest.raises(MemoryError):
        broken.score(TEXTS, options=OPTIONS)


@given(st.lists(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=4), max_size=8))
def test_the_highest_window_counts(texts: list[list[float]]) -> None:
    """Each text gets the maximum of its own windows."""
    windowed = [
        WindowedText(windows=(np.zeros(2, np.int32),) * len(text), tokens=2, truncated=False)
        for text in texts
    ]
    flat = np.array([[score] for text in texts for score in text], np.float32).reshape(-1, 1)
    assert highest(flat, windowed)[:, 0].tolist() == [max(text) for text in texts]
