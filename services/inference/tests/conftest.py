"""Bundles and clocks that the tests share."""

import asyncio
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from toxic_core.contract import (
    SAVED_MODEL_DIR,
    SIGNATURE,
    TOKENIZER_FILE,
    Calibration,
    Contract,
    WarmupExample,
    seal,
    write_warmup,
)
from toxic_core.labels import LABELS
from toxic_core.languages import ANY_LANGUAGE
from toxic_core.telemetry import disable_telemetry
from toxic_core.tokens import Tokeniser

disable_telemetry()
os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"})

WORDS = ("you", "are", "a", "kind", "idiot", "have", "lovely", "day", "stupid", "fool")
WARMUP_TEXTS = ("you are kind", "you are a stupid idiot fool", "day")
MAX_TOKENS = 16

BundleBuilder = Callable[..., Path]


def make_tokenizer() -> Tokenizer:
    """Return a word tokenizer of a dozen words with opening and closing tokens."""
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS)
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def make_contract(**changes: object) -> Contract:
    """Return a contract without calibration and with every threshold at one half."""
    contract = Contract(
        max_tokens=MAX_TOKENS,
        pad_id=0,
        languages=("en",),
        calibration={label: {ANY_LANGUAGE: Calibration()} for label in LABELS},
        thresholds={label: {ANY_LANGUAGE: 0.5} for label in LABELS},
        encoder="tiny",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return contract.model_copy(update=changes)


def _save_model(path: Path, bias: float) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(7)
    vocabulary = len(WORDS) + 4

    class MeanOfEmbeddings(tf.Module):
        """Sigmoid of the masked mean of one vector a token."""

        def __init__(self) -> None:
            super().__init__()
            self.table = tf.Variable(rng.normal(0, 2, (vocabulary, len(LABELS))).astype(np.float32))

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.int32, name="input_ids"),
                tf.TensorSpec([None, None], tf.int32, name="attention_mask"),
            ]
        )
        def score(self, input_ids, attention_mask):
            mask = tf.cast(attention_mask, tf.float32)[:, :, tf.newaxis]
            summed = tf.reduce_sum(tf.gather(self.table, input_ids) * mask, axis=1)
            return {"scores": tf.sigmoid(summed / tf.reduce_sum(mask, axis=1) + bias)}

    model = MeanOfEmbeddings()
    tf.saved_model.save(model, str(path), signatures={SIGNATURE: model.score})


def _replay(path: Path) -> tuple[WarmupExample, ...]:
    import tensorflow as tf

    function = tf.saved_model.load(str(path)).signatures[SIGNATURE]
    tokeniser = Tokeniser(make_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0)
    examples = []
    for text in WARMUP_TEXTS:
        batch = tokeniser.encode([text])
        scores = function(
            input_ids=tf.constant(batch.input_ids), attention_mask=tf.constant(batch.attention_mask)
        )["scores"].numpy()
        examples.append(WarmupExample(text=text, scores=tuple(scores[0].tolist())))
    return tuple(examples)


@pytest.fixture(scope="session")
def build_bundle(tmp_path_factory: pytest.TempPathFactory) -> BundleBuilder:
    """Return a function that makes a sealed bundle with a real SavedModel; a bias tells models apart."""
    templates: dict[float, Path] = {}

    def build(path: Path, *, bias: float = 0.0, warmup_shift: float = 0.0) -> Path:
        if bias not in templates:
            templates[bias] = tmp_path_factory.mktemp("model") / SAVED_MODEL_DIR
            _save_model(templates[bias], bias)
        shutil.copytree(templates[bias], path / SAVED_MODEL_DIR)
        (path / TOKENIZER_FILE).parent.mkdir()
        make_tokenizer().save(str(path / TOKENIZER_FILE))
        examples = [
            WarmupExample(text=e.text, scores=tuple(min(s + warmup_shift, 1.0) for s in e.scores))
            for e in _replay(templates[bias])
        ]
        write_warmup(path, examples)
        seal(path, make_contract())
        return path

    return build


class ManualClock:
    """A clock that moves when a test says so; implements `Clock`."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Return the test's time, in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._now += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait(self, event: asyncio.Event, *, at_most_seconds: float | None) -> None:
        """Return once `event` is set, or when the test let that much time pass."""
        until = None if at_most_seconds is None else self._now + at_most_seconds
        while not event.is_set() and (until is None or self._now < until):
            waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._moved.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    return ManualClock()
