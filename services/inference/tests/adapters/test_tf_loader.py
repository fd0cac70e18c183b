import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toxic_core.contract import SIGNATURE, Bundle, open_bundle, read_contract, seal
from toxic_core.errors import ContractError, DigestMismatchError, ToxicError
from toxic_core.tokens import EncodedBatch
from toxic_inference.adapters.tf_loader import TensorflowLoader
from toxic_inference.serving.batching import BatchLimits, BatchScheduler, SchedulerParts
from toxic_inference.serving.clock import SystemClock
from toxic_inference.serving.errors import InvalidTensorError, SignatureError, WarmupError
from toxic_inference.serving.interfaces import Lane, Row, ServableId

ID = ServableId("1", "f")

BuildBundle = Callable[..., Path]


class Folder:
    """A store of one bundle that counts who holds it; implements `BundleStore`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = 0

    def checkout(self, _servable_id: ServableId) -> Bundle:
        """Verify it and hand it out."""
        bundle = open_bundle(self.path)
        self.held += 1
        return bundle

    def release(self, _servable_id: ServableId) -> None:
        """Take it back."""
        self.held -= 1


@pytest.fixture
def store(build_bundle: BuildBundle, tmp_path: Path) -> Folder:
    """A store over a sound bundle with a real SavedModel."""
    return Folder(build_bundle(tmp_path / "bundle"))


def batch(ids: Sequence[Sequence[int]], mask: Sequence[Sequence[int]] | None = None) -> EncodedBatch:
    """Return a batch; every token counts unless a mask says otherwise."""
    input_ids = np.array(ids, dtype=np.int32)
    return EncodedBatch(
        input_ids=input_ids,
        attention_mask=np.ones_like(input_ids) if mask is None else np.array(mask, dtype=np.int32),
    )


def test_a_sound_bundle_scores(store: Folder) -> None:
    """What is loaded gives six scores a row, and lets its bundle go when it is closed."""
    servable = TensorflowLoader(store).load(ID)
    scores = servable.infer(batch([[2, 4, 3], [2, 8, 3]]))
    assert scores.shape == (2, 6)
    assert scores.dtype == np.float32
    assert ((scores > 0) & (scores < 1)).all()
    assert servable.contract.max_tokens == 16
    assert store.held == 1
    servable.close()
    assert store.held == 0


def test_padding_changes_no_score(store: Folder) -> None:
    """A masked token is as if it weren't there."""
    servable = TensorflowLoader(store).load(ID)
    alone = servable.infer(batch([[2, 4, 3]]))
    padded = servable.infer(batch([[2, 4, 3, 0, 0], [2, 5, 6, 7, 3]], [[1, 1, 1, 0, 0], [1] * 5]))
    np.testing.assert_allclose(padded[0], alone[0], atol=1e-6)


@pytest.mark.anyio
async def test_batched_equals_single(store: Folder, observer: Any) -> None:
    """Whatever shares a batch with a text, its scores stay within 1e-4 of those it gets alone."""
    servable = TensorflowLoader(store).load(ID)
    generator = np.random.default_rng(3)
    rows = [Row(generator.integers(4, 14, generator.integers(1, 17)).astype(np.int32)) for _ in range(100)]
    with ThreadPoolExecutor(1) as executor:
        parts = SchedulerParts(
            limits=BatchLimits(token_budget=128, queue_rows=200, queue_seconds=60.0),
            executor=executor,
            clock=SystemClock(),
            observer=observer,
        )
        scheduler = BatchScheduler(servable.infer, pad_id=0, parts=parts)
        scheduler.start()
        together = await asyncio.gather(*(scheduler.submit([row], lane=Lane.INTERACTIVE) for row in rows))
        await scheduler.close()
    assert max(report.rows for report in observer.batches) > 1
    for row, scores in zip(rows, together, strict=True):
        np.testing.assert_allclose(scores, servable.infer(batch([row.ids.tolist()])), atol=1e-4)


def test_an_id_beyond_the_vocabulary_is_refused(store: Folder) -> None:
    """TensorFlow's own complaint becomes an error of the caller's."""
    servable = TensorflowLoader(store).load(ID)
    with pytest.raises(InvalidTensorError, match="vocabulary"):
        servable.infer(batch([[2, 9_999, 3]]))


def test_wrong_warm_up_scores_are_refused(build_bundle: BuildBundle, tmp_path: Path) -> None:
    """A model that doesn't give the recorded scores isn't the one that was evaluated."""
    store = Folder(build_bundle(tmp_path / "bundle", warmup_shift=0.002))
    with pytest.raises(WarmupError, match=r"3 of 3 warm-up examples.*off by up to 0\.002"):
        TensorflowLoader(store).load(ID)
    assert store.held == 0


def test_a_difference_within_the_tolerance_is_accepted(build_bundle: BuildBundle, tmp_path: Path) -> None:
    """Half a thousandth is what another machine's arithmetic may make."""
    store = Folder(build_bundle(tmp_path / "bundle", warmup_shift=0.0005))
    TensorflowLoader(store).load(ID).close()


def save_signature(path: Path, kind: str) -> None:
    """Replace the bundle's SavedModel by one that breaks the contract in one way."""
    import tensorflow as tf  # noqa: PLC0415  takes seconds

    id_type = tf.int64 if kind == "another type" else tf.int32
    length = 16 if kind == "a fixed length" else None
    width = 5 if kind == "five labels" else 6
    names = ("ids", "mask") if kind == "other input names" else ("input_ids", "attention_mask")
    output = "logits" if kind == "another output name" else "scores"

    def score(ids: Any, mask: Any) -> dict[str, Any]:
        weights = (
            tf.cast(mask, tf.float32) if kind != "a mask that is ignored" else tf.ones_like(mask, tf.float32)
        )
        mean = tf.reduce_sum(tf.cast(ids, tf.float32) * weights, axis=1) / tf.reduce_sum(weights, axis=1)
        rank = mean if kind == "one dimension" else tf.repeat(mean[:, tf.newaxis], width, axis=1)
        nothing = tf.constant(float("nan")) if kind == "no numbers" else 0.0
        return {output: tf.sigmoid(rank / 10) + nothing}

    module = tf.Module()
    module.score = tf.function(
        score,
        input_signature=[
            tf.TensorSpec([None, length], id_type, name=names[0]),
            tf.TensorSpec([None, length], tf.int32, name=names[1]),
        ],
    )
    key = "classify" if kind == "another signature" else SIGNATURE
    tf.saved_model.save(module, str(path / "saved_model"), signatures={key: module.score})
    seal(path, read_contract(path))


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("another signature", SignatureError, "signatures"),
        ("other input names", SignatureError, "inputs"),
        ("another output name", SignatureError, "outputs"),
        ("another type", SignatureError, "int64"),
        ("a fixed length", SignatureError, "16"),
        ("five labels", SignatureError, "scores"),
        ("one dimension", SignatureError, "scores"),
        ("a mask that is ignored", WarmupError, "off by"),
        ("no numbers", WarmupError, "off by"),
    ],
)
def test_another_signature_or_behaviour_is_refused(
    store: Folder, kind: str, error: type[ToxicError], says: str
) -> None:
    """A SavedModel that a stock TensorFlow Serving would load, but that isn't the contract's."""
    save_signature(store.path, kind)
    with pytest.raises(error, match=says):
        TensorflowLoader(store).load(ID)
    assert store.held == 0


def test_bytes_that_aren_t_a_savedmodel_are_refused(store: Folder) -> None:
    """Sealed in good faith, but nothing that TensorFlow can read."""
    (store.path / "saved_model" / "saved_model.pb").write_bytes(b"not a protocol buffer")
    seal(store.path, read_contract(store.path))
    with pytest.raises(SignatureError, match="can't load"):
        TensorflowLoader(store).load(ID)


def test_a_tokenizer_that_isn_t_one_is_refused(store: Folder) -> None:
    """Sealed in good faith, but nothing that tokenizers can read."""
    (store.path / "tokenizer" / "tokenizer.json").write_text("{}")
    seal(store.path, read_contract(store.path))
    with pytest.raises(ContractError, match="tokenizer"):
        TensorflowLoader(store).load(ID)


@pytest.mark.parametrize(
    "file",
    ["saved_model/variables/variables.data-00000-of-00001", "tokenizer/tokenizer.json", "warmup.jsonl"],
)
def test_a_damaged_file_is_refused(store: Folder, file: str) -> None:
    """One flipped bit is enough."""
    content = bytearray((store.path / file).read_bytes())
    content[len(content) // 2] ^= 1
    (store.path / file).write_bytes(content)
    with pytest.raises(DigestMismatchError, match=file):
        TensorflowLoader(store).load(ID)
