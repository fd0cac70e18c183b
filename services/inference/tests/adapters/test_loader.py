import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toxic_core import openvino_model
from toxic_core.contract import SIGNATURE, Bundle, open_bundle, read_contract, seal, write_warmup
from toxic_core.errors import ContractError, DigestMismatchError, ToxicError
from toxic_core.labels import LABELS
from toxic_core.openvino_model import OpenVinoModel, Precision, RefusedInputError
from toxic_core.tokens import EncodedBatch
from toxic_inference.adapters.loader import BundleLoader
from toxic_inference.adapters.openvino_runtime import OpenVinoRuntime
from toxic_inference.adapters.runtime import Rehearsal, Runtime
from toxic_inference.adapters.tf_runtime import TensorflowRuntime
from toxic_inference.events import BatchRan
from toxic_inference.serving.batching.scheduler import BatchLimits, BatchScheduler, SchedulerParts
from toxic_inference.serving.batching.slots import Slots
from toxic_inference.serving.clock import SystemClock
from toxic_inference.serving.errors import InvalidTensorError, SignatureError, WarmupError
from toxic_inference.serving.interfaces import Lane, Row, ServableId
from toxic_testing.inference.bundles import replay
from toxic_testing.inference.fakes import EventLog

ID = ServableId("1", "f")

BuildBundle = Callable[..., Path]
Runtimes = Sequence[Runtime]


def openvino(*, lower_precision: bool = True) -> OpenVinoRuntime:
    """Return OpenVINO on as few threads as can be shared among batches."""
    return OpenVinoRuntime(threads=2, lower_precision=lower_precision)


@pytest.fixture(params=["tensorflow", "openvino", "openvino, then tensorflow"])
def runtimes(request: pytest.FixtureRequest) -> Runtimes:
    """What may compute a model: each runtime alone, and both as the service has them on a CPU."""
    made: dict[str, Runtime] = {"tensorflow": TensorflowRuntime(), "openvino": openvino()}
    return [made[name] for name in str(request.param).split(", then ")]


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


def test_a_sound_bundle_scores(store: Folder, runtimes: Runtimes) -> None:
    """What is loaded gives six scores a row, and lets its bundle go when it is closed."""
    servable = BundleLoader(store, runtimes).load(ID)
    scores = servable.infer(batch([[2, 4, 3], [2, 8, 3]]))
    assert scores.shape == (2, 6)
    assert scores.dtype == np.float32
    assert ((scores > 0) & (scores < 1)).all()
    assert servable.contract.max_tokens == 16
    assert store.held == 1
    servable.close()
    assert store.held == 0


def test_padding_changes_no_score(store: Folder, runtimes: Runtimes) -> None:
    """A masked token is as if it weren't there."""
    servable = BundleLoader(store, runtimes).load(ID)
    alone = servable.infer(batch([[2, 4, 3]]))
    padded = servable.infer(batch([[2, 4, 3, 0, 0], [2, 5, 6, 7, 3]], [[1, 1, 1, 0, 0], [1] * 5]))
    np.testing.assert_allclose(padded[0], alone[0], atol=1e-6)


@pytest.mark.anyio
async def test_batched_equals_single(store: Folder, runtimes: Runtimes, log: EventLog) -> None:
    """Whatever shares a batch with a text, its scores stay within 1e-4 of those it gets alone."""
    servable = BundleLoader(store, runtimes).load(ID)
    generator = np.random.default_rng(3)
    rows = [Row(generator.integers(4, 14, generator.integers(1, 17)).astype(np.int32)) for _ in range(100)]
    with ThreadPoolExecutor(2) as executor:
        parts = SchedulerParts(
            limits=BatchLimits(token_budget=128, queue_rows=200, queue_seconds=60.0),
            slots=Slots(2),
            executor=executor,
            clock=SystemClock(),
            emit=log,
        )
        scheduler = BatchScheduler(servable, version="1", pad_id=0, parts=parts)
        together = await asyncio.gather(*(scheduler.submit([row], lane=Lane.INTERACTIVE) for row in rows))
        await scheduler.close()
    assert max(report.rows for report in log.of(BatchRan)) > 1
    for row, scores in zip(rows, together, strict=True):
        np.testing.assert_allclose(scores, servable.infer(batch([row.ids.tolist()])), atol=1e-4)


def test_an_id_beyond_the_vocabulary_is_refused(store: Folder, runtimes: Runtimes) -> None:
    """Whoever sends ids of another vocabulary is told so, and isn't given scores of something else."""
    servable = BundleLoader(store, runtimes).load(ID)
    with pytest.raises(InvalidTensorError, match="vocabulary"):
        servable.infer(batch([[2, 9_999, 3]]))
    with pytest.raises(InvalidTensorError, match="vocabulary"):
        servable.infer(batch([[2, -1, 3]]))


def test_wrong_warm_up_scores_are_refused(
    build_bundle: BuildBundle, runtimes: Runtimes, tmp_path: Path
) -> None:
    """A model that doesn't give the recorded scores isn't the one that was evaluated."""
    store = Folder(build_bundle(tmp_path / "bundle", warmup_shift=0.002))
    with pytest.raises(WarmupError, match=r"3 of 3 warm-up examples.*off by up to 0\.002"):
        BundleLoader(store, runtimes).load(ID)
    assert store.held == 0


def test_a_difference_within_the_tolerance_is_accepted(
    build_bundle: BuildBundle, runtimes: Runtimes, tmp_path: Path
) -> None:
    """Half a thousandth is what another machine's arithmetic may make."""
    store = Folder(build_bundle(tmp_path / "bundle", warmup_shift=0.0005))
    BundleLoader(store, runtimes).load(ID).close()


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
        scores = tf.sigmoid(rank / 10) + nothing
        if kind == "an operation of TensorFlow's own":
            scores = tf.math.bessel_i0e(scores * 0.0) * scores
        return {output: scores}

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
        ("another signature", SignatureError, "signature"),
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
    store: Folder, runtimes: Runtimes, kind: str, error: type[ToxicError], says: str
) -> None:
    """A SavedModel that a stock TensorFlow Serving would load, but that isn't the contract's."""
    save_signature(store.path, kind)
    # OpenVINO alone says it in its own words; beside TensorFlow it leaves the verdict to that.
    alone = len(runtimes) == 1 and isinstance(runtimes[0], OpenVinoRuntime) and error is SignatureError
    with pytest.raises(ContractError if alone else error, match=says):
        BundleLoader(store, runtimes).load(ID)
    assert store.held == 0


def test_bytes_that_aren_t_a_savedmodel_are_refused(store: Folder, runtimes: Runtimes) -> None:
    """Sealed in good faith, but nothing that TensorFlow can read."""
    (store.path / "saved_model" / "saved_model.pb").write_bytes(b"not a protocol buffer")
    seal(store.path, read_contract(store.path))
    with pytest.raises((SignatureError, ContractError), match=r"can't load|can't read|no signature"):
        BundleLoader(store, runtimes).load(ID)


def test_a_tokenizer_that_isn_t_one_is_refused(store: Folder, runtimes: Runtimes) -> None:
    """Sealed in good faith, but nothing that tokenizers can read."""
    (store.path / "tokenizer" / "tokenizer.json").write_text("{}")
    seal(store.path, read_contract(store.path))
    with pytest.raises(ContractError, match="tokenizer"):
        BundleLoader(store, runtimes).load(ID)


@pytest.mark.parametrize(
    "file",
    ["saved_model/variables/variables.data-00000-of-00001", "tokenizer/tokenizer.json", "warmup.jsonl"],
)
def test_a_damaged_file_is_refused(store: Folder, runtimes: Runtimes, file: str) -> None:
    """One flipped bit is enough."""
    content = bytearray((store.path / file).read_bytes())
    content[len(content) // 2] ^= 1
    (store.path / file).write_bytes(content)
    with pytest.raises(DigestMismatchError, match=file):
        BundleLoader(store, runtimes).load(ID)


INT8, BFLOAT16 = Precision.INT8.auc_change, Precision.BFLOAT16.auc_change


@pytest.mark.parametrize(
    ("figures", "wanted", "runtime"),
    [
        ({INT8: 0.0003, BFLOAT16: 0.0001}, True, "openvino-int8"),
        ({INT8: 0.0003, BFLOAT16: 0.0001}, False, "openvino-float32"),
        ({INT8: 0.0021, BFLOAT16: 0.0001}, True, "openvino-bfloat16"),
        ({INT8: 0.0021, BFLOAT16: 0.0021}, True, "openvino-float32"),
        ({"test.toxic.en.auc": 0.97}, True, "openvino-float32"),
        ({}, True, "openvino-float32"),
    ],
)
def test_a_lower_precision_is_served_where_the_evaluation_found_it_as_good(
    build_bundle: BuildBundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figures: dict[str, float],
    runtime: str,
    *,
    wanted: bool,
) -> None:
    """Without a figure, or with one that is too large, or where it isn't wanted, float32 computes."""
    monkeypatch.setattr(openvino_model, "computes", lambda _: True)
    monkeypatch.setattr(Rehearsal, "seconds", lambda *_: 1.0)
    store = Folder(build_bundle(tmp_path / "bundle", figures=figures or None))
    servable = BundleLoader(store, [openvino(lower_precision=wanted)]).load(ID)
    assert servable.runtime == runtime
    servable.close()


def test_a_lower_precision_that_is_slower_here_is_not_served(
    build_bundle: BuildBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instructions that a CPU has may still be slow; the next precision is tried."""
    monkeypatch.setattr(openvino_model, "computes", lambda _: True)
    took = iter([1.0, 1.2, 0.8])
    monkeypatch.setattr(Rehearsal, "seconds", lambda *_: next(took))
    store = Folder(build_bundle(tmp_path / "bundle", figures={INT8: 0.0, BFLOAT16: 0.0}))
    assert BundleLoader(store, [openvino()]).load(ID).runtime == "openvino-bfloat16"


def test_a_cpu_without_the_precision_computes_in_float32(
    build_bundle: BuildBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounding without the instructions for it would be slower, and worth nothing."""
    monkeypatch.setattr(openvino_model, "computes", lambda _: False)
    store = Folder(build_bundle(tmp_path / "bundle", figures={INT8: 0.0, BFLOAT16: 0.0}))
    assert BundleLoader(store, [openvino()]).load(ID).runtime == "openvino-float32"


def test_what_openvino_can_t_read_tensorflow_serves(build_bundle: BuildBundle, tmp_path: Path) -> None:
    """An operation that only one of them knows isn't the version's fault."""
    store = Folder(build_bundle(tmp_path / "bundle"))
    save_signature(store.path, "an operation of TensorFlow's own")
    write_warmup(store.path, replay(store.path / "saved_model"))
    seal(store.path, read_contract(store.path))
    servable = BundleLoader(store, [openvino(), TensorflowRuntime()]).load(ID)
    assert servable.runtime == "tensorflow-float32"
    with pytest.raises(ContractError, match="can't read"):
        BundleLoader(store, [openvino()]).load(ID)


def test_batches_beside_others_have_the_scores_of_those_alone(
    build_bundle: BuildBundle, tmp_path: Path
) -> None:
    """From as many threads at once as come; and one thread can't be shared."""
    bundle = open_bundle(build_bundle(tmp_path / "bundle"))
    read = OpenVinoModel.read(bundle.saved_model, labels=len(LABELS))
    session = read.compile(Precision.FLOAT32, threads=2)
    assert session.streams == 2
    batches = [batch([[2, *range(4, last), 3]] * 3) for last in range(5, 15)]
    with ThreadPoolExecutor(5) as callers:
        found = list(callers.map(session.infer_beside, batches * 10))
    for scores, each in zip(found, batches * 10, strict=True):
        np.testing.assert_allclose(scores, session.infer(each), atol=1e-6)
    with pytest.raises(RefusedInputError, match="vocabulary"):
        session.infer_beside(batch([[2, 9_999, 3]]))
    undivided = read.compile(Precision.FLOAT32, threads=1)
    assert undivided.streams == 1
    np.testing.assert_allclose(undivided.infer_beside(batches[0]), session.infer(batches[0]), atol=1e-6)


def test_openvino_tells_nobody(build_bundle: BuildBundle, tmp_path: Path) -> None:
    """What would report its use, from a process that it forks, isn't even imported, and leaves no trace."""
    path = build_bundle(tmp_path / "bundle")
    program = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from toxic_core.openvino_model import OpenVinoModel, Precision\n"
        "from toxic_core.tokens import EncodedBatch\n"
        f"read = OpenVinoModel.read(Path({str(path / 'saved_model')!r}), labels=6)\n"
        "ids = np.ones((1, 4), np.int32)\n"
        "shape = read.compile(Precision.FLOAT32, threads=1).infer(EncodedBatch(ids, ids)).shape\n"
        "print(shape, 'openvino_telemetry' in sys.modules)\n"
    )
    # As an ordinary user's process: on a CI machine the package keeps quiet of itself.
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[-2] == "(1, 6) False"
    assert not list(home.iterdir())


@pytest.mark.parametrize("runtime", ["openvino", "tensorflow"])
def test_the_collector_overlooks_what_libraries_brought(
    build_bundle: BuildBundle, tmp_path: Path, runtime: str
) -> None:
    """A full collection stops every caller for as long as there are objects to look through."""
    build_bundle(tmp_path / "1")
    program = (
        "import gc\n"
        "import mlflow.tracking\n"  # as a service that follows a registry has
        "from pathlib import Path\n"
        "from toxic_inference import app\n"
        "from toxic_inference.settings import Settings\n"
        f"source = app.open_origin(Settings(model_directory=Path({str(tmp_path)!r})))\n"
        f"runtimes = app.choose_runtimes(Settings(runtime={runtime!r}))\n"
        "(version,) = source.source.aspired()\n"
        "servable = app.BundleLoader(source.store, runtimes).load(version.id)\n"
        "print(len(gc.get_objects()), gc.get_freeze_count())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seen, overlooked = map(int, done.stdout.split("\n")[-2].split())
    assert seen < overlooked / 10
