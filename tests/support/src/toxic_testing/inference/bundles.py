"""Small model bundles: complete, sealed, with a SavedModel that TensorFlow really loads.

Invariant: the same arguments give the same scores, so that bundles made apart can be compared.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
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
from toxic_core.contract.evidence import write_evaluation
from toxic_core.contract.reference import LENGTH_EDGES, Distribution, PrecisionCurve, ReferenceTraffic
from toxic_core.labels import LABELS, LabelName
from toxic_core.languages import ANY_LANGUAGE
from toxic_core.tokens import Tokeniser

WORDS = ("you", "are", "a", "kind", "idiot", "have", "lovely", "day", "stupid", "fool")
MAX_TOKENS = 16
WARMUP_TEXTS = ("you are kind", "you are a stupid idiot fool", "day")
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def make_tokenizer() -> Tokenizer:
    """Return a word tokenizer of ten words, with opening and closing tokens."""
    words = (*_SPECIAL, *WORDS)
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def make_contract(*, max_tokens: int = MAX_TOKENS, labels: tuple[LabelName, ...] = LABELS) -> Contract:
    """Return a contract without calibration, with every threshold at one half, and with a small reference."""
    scores = Distribution(edges=(0.0, 0.25, 0.5, 0.75, 1.0), counts=(600, 200, 100, 100))
    precision = PrecisionCurve(knots=((0.2, 0.5), (0.4, 0.75)), rows=1_000, positives=100)
    lengths = Distribution(edges=LENGTH_EDGES, counts=(100, 600, 300, *[0] * (len(LENGTH_EDGES) - 4)))
    return Contract(
        labels=labels,
        max_tokens=max_tokens,
        pad_id=0,
        languages=("en",),
        calibration={label: {ANY_LANGUAGE: Calibration()} for label in labels},
        thresholds={label: {ANY_LANGUAGE: 0.5} for label in labels},
        reference_scores={label: {ANY_LANGUAGE: scores} for label in labels},
        precision_curves={label: {ANY_LANGUAGE: precision} for label in labels},
        reference_traffic=ReferenceTraffic(
            languages={"en": 1_000},
            lengths=lengths,
            calibration_toxic_share=0.5,
            deployment_toxic_share=0.1,
        ),
        base_model="tiny",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def write_plain_bundle(path: Path, payload: bytes = b"model") -> Path:
    """Seal a bundle with arbitrary bytes as SavedModel, for tests that only move files."""
    for name, content in ((f"{SAVED_MODEL_DIR}/saved_model.pb", payload), (TOKENIZER_FILE, b"{}")):
        (path / name).parent.mkdir(parents=True)
        (path / name).write_bytes(content)
    write_warmup(path, [WarmupExample(text="a", scores=(0.5,) * len(LABELS))])
    return seal(path, make_contract()).path


@dataclass(frozen=True, slots=True)
class TinyModel:
    """Which tiny model a bundle holds.

    Attributes:
        bias: added to every logit, to tell models apart.
        work: multiplications of a 256 by 256 matrix for each token, to make the model cost something.
        max_tokens: longest input.
        labels: the columns of its output.
    """

    bias: float = 0.0
    work: int = 0
    max_tokens: int = MAX_TOKENS
    labels: tuple[LabelName, ...] = LABELS


class BundleFactory:
    """Makes bundles; the SavedModel of each kind only once.

    Args:
        folder: of the SavedModels.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._saved: dict[TinyModel, tuple[Path, tuple[WarmupExample, ...]]] = {}

    def __call__(
        self,
        path: Path,
        *,
        model: TinyModel | None = None,
        bias: float = 0.0,
        warmup_shift: float = 0.0,
        figures: Mapping[str, float] | None = None,
    ) -> Path:
        """Make a bundle at `path`.

        Args:
            path: a folder that isn't there yet.
            model: which model; else the tiny one with `bias`.
            bias: see `TinyModel`.
            warmup_shift: added to the recorded scores, to make them wrong.
            figures: of the evaluation, if it has one.
        """
        wanted = model or TinyModel(bias=bias)
        saved, recorded = self._saved_model(wanted)
        shutil.copytree(saved, path / SAVED_MODEL_DIR)
        (path / TOKENIZER_FILE).parent.mkdir()
        make_tokenizer().save(str(path / TOKENIZER_FILE))
        examples = [
            WarmupExample(text=e.text, scores=tuple(min(s + warmup_shift, 1.0) for s in e.scores))
            for e in recorded
        ]
        write_warmup(path, examples)
        if figures is not None:
            write_evaluation(path, figures)
        return seal(path, make_contract(max_tokens=wanted.max_tokens, labels=wanted.labels)).path

    def _saved_model(self, wanted: TinyModel) -> tuple[Path, tuple[WarmupExample, ...]]:
        if wanted not in self._saved:
            path = self._folder / f"model-{len(self._saved)}"
            _save_model(path, wanted)
            self._saved[wanted] = (path, replay(path))
        return self._saved[wanted]


def _save_model(path: Path, wanted: TinyModel) -> None:
    import tensorflow as tf  # noqa: PLC0415  most tests need no TensorFlow, and it takes seconds

    rng = np.random.default_rng(7)
    vocabulary = len(_SPECIAL) + len(WORDS)

    class MeanOfEmbeddings(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        """Sigmoid of the masked mean of one vector per token, after work without effect on the result."""

        def __init__(self) -> None:
            super().__init__()
            self.table = tf.Variable(rng.normal(0, 2, (vocabulary, len(wanted.labels))).astype(np.float32))
            # An orthogonal matrix: repeated application neither overflows nor vanishes.
            turn = np.linalg.qr(rng.normal(0, 1, (256, 256)))[0] if wanted.work else np.eye(1)
            self.turn = tf.constant(turn.astype(np.float32))

        @tf.function(  # type: ignore[untyped-decorator]  # TensorFlow has no types
            input_signature=[
                tf.TensorSpec([None, None], tf.int32, name="input_ids"),
                tf.TensorSpec([None, None], tf.int32, name="attention_mask"),
            ]
        )
        def score(self, input_ids: Any, attention_mask: Any) -> dict[str, Any]:
            mask = tf.cast(attention_mask, tf.float32)[:, :, tf.newaxis]
            summed = tf.reduce_sum(tf.gather(self.table, input_ids) * mask, axis=1)
            return {
                "scores": tf.sigmoid(summed / tf.reduce_sum(mask, axis=1) + wanted.bias + self.busy(mask))
            }

        def busy(self, mask: Any) -> Any:
            state = tf.tile(mask, [1, 1, self.turn.shape[0]])
            for _ in range(wanted.work):
                state = state @ self.turn
            return 1e-30 * tf.reduce_mean(state)  # not 0.0, which the graph optimiser folds away

    model = MeanOfEmbeddings()
    tf.saved_model.save(model, str(path), signatures={SIGNATURE: model.score})


def replay(path: Path) -> tuple[WarmupExample, ...]:
    """Return the scores that a SavedModel gives to the warm-up texts."""
    import tensorflow as tf  # noqa: PLC0415  see above

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
