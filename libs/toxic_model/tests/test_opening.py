"""Opening a bundle: the choice of runtime and precision, and batches at the same time."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toxic_core.contract import SIGNATURE, open_bundle, read_contract, seal, write_warmup
from toxic_core.errors import ConfigurationError, ContractError, ToxicError
from toxic_core.tokens import EncodedBatch
from toxic_model import opening
from toxic_model.errors import InvalidTensorError, SignatureError, WarmupError
from toxic_model.loaded import LoadedModel
from toxic_model.opening import choose_runtimes, open_model
from toxic_model.precision import Precision
from toxic_model.runtimes import OPENVINO, TENSORFLOW, openvino
from toxic_testing.inference.bundles import BundleFactory, replay

pytestmark = pytest.mark.slow

RUNTIMES = ["tensorflow", "openvino", "auto"]


@pytest.fixture
def bundle(build_bundle: BundleFactory, tmp_path: Path) -> Path:
    """A sound bundle with a real SavedModel."""
    return build_bundle(tmp_path / "bundle")


def load(path: Path, runtime: str = "auto") -> LoadedModel:
    """Open a bundle with as few threads as two batches can share."""
    return open_model(open_bundle(path), threads=2, runtime=runtime)


def batch(ids: Sequence[Sequence[int]], mask: Sequence[Sequence[int]] | None = None) -> EncodedBatch:
    """Return a batch; every token counts unless a mask is given."""
    input_ids = np.array(ids, dtype=np.int32)
    return EncodedBatch(
        input_ids=input_ids,
        attention_mask=np.ones_like(input_ids) if mask is None else np.array(mask, dtype=np.int32),
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_sound_bundle_is_opened(bundle: Path, runtime: str) -> None:
    """A model gives one score per label, float32, and masked tokens change nothing."""
    model = load(bundle, runtime)
    scores = model.whole(batch([[2, 4, 3], [2, 8, 3]]))
    assert scores.shape == (2, 6)
    assert scores.dtype == np.float32
    assert ((scores > 0) & (scores < 1)).all()
    assert model.contract.max_tokens == 16
    padded = model.whole(batch([[2, 4, 3, 0, 0], [2, 5, 6, 7, 3]], [[1, 1, 1, 0, 0], [1] * 5]))
    np.testing.assert_allclose(padded[0], scores[0], atol=1e-6)
    model.close()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_id_beyond_the_vocabulary_is_refused(bundle: Path, runtime: str) -> None:
    """Ids of another vocabulary are an error, not scores of something else."""
    model = load(bundle, runtime)
    for infer in (model.whole, *model.streams):
        for unknown in (9_999, -1):
            with pytest.raises(InvalidTensorError, match="vocabulary"):
                infer(batch([[2, unknown, 3]]))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_wrong_warm_up_scores_are_refused(build_bundle: BundleFactory, tmp_path: Path, runtime: str) -> None:
    """A model that doesn't give the recorded scores isn't the one that was evaluated."""
    wrong = build_bundle(tmp_path / "wrong", warmup_shift=0.002)
    with pytest.raises(WarmupError, match=r"3 of 3 warm-up examples.*differ by up to 0\.002"):
        load(wrong, runtime)
    # Half a thousandth is what another machine's arithmetic may differ by.
    load(build_bundle(tmp_path / "near", warmup_shift=0.0005), runtime).close()


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
    ("kind", "error", "reason"),
    [
        ("another signature", SignatureError, "signature"),
        ("other input names", SignatureError, "inputs"),
        ("another output name", SignatureError, "outputs"),
        ("another type", SignatureError, "int64|i64"),
        ("a fixed length", SignatureError, "16"),
        ("five labels", SignatureError, "scores"),
        ("one dimension", SignatureError, "scores"),
        ("a mask that is ignored", WarmupError, "differ by"),
        ("no numbers", WarmupError, "differ by"),
    ],
)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_another_signature_or_behaviour_is_refused(
    bundle: Path, runtime: str, kind: str, error: type[ToxicError], reason: str
) -> None:
    """A stock TensorFlow Serving would load these SavedModels, but they don't follow the contract."""
    save_signature(bundle, kind)
    with pytest.raises(error, match=reason):
        load(bundle, runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_sealed_file_of_another_kind_is_refused(bundle: Path, runtime: str) -> None:
    """Bytes that are no SavedModel or no tokenizer are an error even if they were sealed so."""
    (bundle / "saved_model" / "saved_model.pb").write_bytes(b"not a protocol buffer")
    seal(bundle, read_contract(bundle))
    with pytest.raises(SignatureError, match=r"can't load|can't read|no signature"):
        load(bundle, runtime)
    (bundle / "tokenizer" / "tokenizer.json").write_text("{}")
    seal(bundle, read_contract(bundle))
    with pytest.raises(ContractError, match="tokenizer"):
        load(bundle, runtime)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512f avx512_vnni\n", True),
        ("processor : 0\nflags\t\t: fpu avx2 avx_vnni\n", True),
        ("processor : 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("Features : neon\n", False),
        (None, False),
    ],
)
def test_int8_needs_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpuinfo: str | None, *, expected: bool
) -> None:
    """Without them, or on a system that doesn't list them, int8 would be slower than float32."""
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo, encoding="utf-8")
    monkeypatch.setattr(openvino, "_CPU_FLAGS", file)
    assert (Precision.INT8 in OPENVINO.lower_precisions()) is expected


def test_tensorflow_computes_what_openvino_cannot_read(bundle: Path) -> None:
    """An operation that only one runtime supports doesn't make a version unusable."""
    save_signature(bundle, "an operation of TensorFlow's own")
    write_warmup(bundle, replay(bundle / "saved_model"))
    seal(bundle, read_contract(bundle))
    assert load(bundle).runtime == "tensorflow-float32"
    with pytest.raises(SignatureError, match="can't read"):
        load(bundle, "openvino")


def test_without_tensorflow_a_declined_version_names_its_extra(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What OpenVINO can't compute fails with what to install, unless the runtime was chosen by name."""
    monkeypatch.setattr(opening, "RUNTIMES", (OPENVINO, replace(TENSORFLOW, installed=lambda: False)))
    assert load(bundle).runtime == "openvino-float32"
    save_signature(bundle, "an operation of TensorFlow's own")
    with pytest.raises(SignatureError, match=r"(?s)can't read.*: install tensorflow\."):
        load(bundle)
    with pytest.raises(SignatureError) as refused:
        load(bundle, "openvino")
    assert "install" not in str(refused.value)


def test_streams_give_the_scores_of_the_whole(bundle: Path) -> None:
    """Two batches at the same time get the scores that each gets by itself; one thread has no streams."""
    model = load(bundle, "openvino")
    assert len(model.streams) == 2
    batches = [batch([[2, *range(4, last), 3]] * 3) for last in range(5, 15)] * 10

    def compute(stream: int) -> Iterator[np.ndarray[Any, Any]]:
        return iter([model.streams[stream](each) for each in batches])

    with ThreadPoolExecutor(2) as threads:
        for found in threads.map(compute, (0, 1)):
            for scores, each in zip(found, batches, strict=True):
                np.testing.assert_allclose(scores, model.whole(each), atol=1e-6)
    single = open_model(open_bundle(bundle), threads=1, runtime="openvino")
    assert single.streams == ()
    np.testing.assert_allclose(single.whole(batches[0]), model.whole(batches[0]), atol=1e-6)


def test_a_failed_compilation_is_not_blamed_on_the_text() -> None:
    """The first batch on a stream compiles the model for all streams."""

    def divide() -> Any:
        raise RuntimeError("out of memory")

    requests = openvino._Requests(None, divide, others=2)
    with pytest.raises(RuntimeError, match="out of memory"):
        openvino._infer(requests, 1, batch([[2, 3]]), known_ids=10)


def test_runtimes_are_chosen_by_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU leaves only the runtimes that use it; a name decides by itself."""
    monkeypatch.setattr(opening, "gpu_present", lambda: False)
    assert choose_runtimes() == (OPENVINO, TENSORFLOW)
    monkeypatch.setattr(opening, "gpu_present", lambda: True)
    assert choose_runtimes() == (TENSORFLOW,)
    assert choose_runtimes("openvino") == (OPENVINO,)


def test_a_runtime_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name, and a runtime that isn't installed, are errors that name what to do."""
    missing = tuple(replace(runtime, installed=lambda: False) for runtime in (OPENVINO, TENSORFLOW))
    with pytest.raises(ConfigurationError, match="choose one of auto, openvino, tensorflow"):
        choose_runtimes("onnx")
    monkeypatch.setattr(opening, "RUNTIMES", missing)
    with pytest.raises(ConfigurationError, match=r"pip install openvino.*auto"):
        choose_runtimes("openvino")
    with pytest.raises(ConfigurationError, match="install openvino or tensorflow"):
        choose_runtimes()


def test_a_new_runtime_is_one_entry(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime at the head of the list is used first, and its library's import is reported."""
    opened: list[str] = []
    other = replace(OPENVINO, name="other")
    monkeypatch.setattr(opening, "RUNTIMES", (other, TENSORFLOW))
    open_model(open_bundle(bundle), threads=1, imported=lambda runtime: opened.append(runtime.name))
    assert opened == ["other"]


def test_openvino_reports_nothing(bundle: Path, tmp_path: Path) -> None:
    """OpenVINO's usage reporter isn't imported and leaves no file."""
    program = (
        "import sys; from pathlib import Path\n"
        "from toxic_core.contract import open_bundle\n"
        "from toxic_model.opening import open_model\n"
        f"model = open_model(open_bundle(Path({str(bundle)!r})), threads=1, runtime='openvino')\n"
        "print(model.runtime, 'openvino_telemetry' in sys.modules)\n"
    )
    # As an ordinary user's process: on a CI machine the package is silent by itself.
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[-2] == "openvino-float32 False"
    assert not list(home.iterdir())


def test_frameworks_are_imported_late() -> None:
    """Importing the library imports no runtime, no MLflow and no table library."""
    program = (
        "import pkgutil, sys, importlib, toxic_model\n"
        "for module in pkgutil.walk_packages(toxic_model.__path__, 'toxic_model.'):\n"
        "    if not module.name.endswith(('openvino_rewriting', 'openvino_bert')):\n"
        "        importlib.import_module(module.name)\n"
        "print(sorted({'openvino', 'tensorflow', 'mlflow', 'pyarrow', 'pandas'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
