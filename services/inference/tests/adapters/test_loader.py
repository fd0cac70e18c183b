import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from toxic_core.contract import Bundle, open_bundle
from toxic_core.errors import ConfigurationError, DigestMismatchError
from toxic_inference.adapters.loader import BundleLoader, model_opener
from toxic_inference.events import BatchRan
from toxic_inference.serving.batching.admission import BatchLimits
from toxic_inference.serving.batching.scheduler import SchedulerResources
from toxic_inference.serving.batching.slots import Slots
from toxic_inference.serving.clock import SystemClock
from toxic_inference.serving.interfaces import Lane, Row, ServableId
from toxic_inference.settings import Settings
from toxic_model.errors import WarmupError
from toxic_model.opening import open_model
from toxic_testing.inference.bundles import BundleFactory
from toxic_testing.inference.fakes import EventLog, activate

pytestmark = pytest.mark.slow

ID = ServableId("1", "f")


class Folder:
    """A store of one bundle that counts its holders; implements `BundleStore`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = 0

    def checkout(self, _servable_id: ServableId) -> Bundle:
        """Verify the bundle and hand it out."""
        bundle = open_bundle(self.path)
        self.held += 1
        return bundle

    def release(self, _servable_id: ServableId) -> None:
        """Take the bundle back."""
        self.held -= 1


@pytest.fixture(params=["tensorflow", "openvino"])
def loader(request: pytest.FixtureRequest, store: Folder) -> BundleLoader:
    """A loader for each runtime, with as few threads as two batches can share."""
    return BundleLoader(store, partial(open_model, threads=2, runtime=request.param))


@pytest.fixture
def store(build_bundle: BundleFactory, tmp_path: Path) -> Folder:
    """A store of a sound bundle with a real SavedModel."""
    return Folder(build_bundle(tmp_path / "bundle"))


def test_a_version_holds_its_bundle(store: Folder, loader: BundleLoader) -> None:
    """A loaded version keeps its bundle on disk until it is closed."""
    model = loader.load(ID)
    assert store.held == 1
    assert model.contract.max_tokens == 16
    model.close()
    assert store.held == 0


def test_a_refused_version_holds_nothing(build_bundle: BundleFactory, tmp_path: Path) -> None:
    """A bundle with a failed warm-up is released."""
    store = Folder(build_bundle(tmp_path / "wrong", warmup_shift=0.002))
    with pytest.raises(WarmupError, match="3 of 3 warm-up examples"):
        BundleLoader(store, partial(open_model, threads=1)).load(ID)
    assert store.held == 0


@pytest.mark.parametrize(
    "file",
    ["saved_model/variables/variables.data-00000-of-00001", "tokenizer/tokenizer.json", "warmup.jsonl"],
)
def test_a_damaged_file_is_refused(store: Folder, loader: BundleLoader, file: str) -> None:
    """One flipped bit is enough."""
    content = bytearray((store.path / file).read_bytes())
    content[len(content) // 2] ^= 1
    (store.path / file).write_bytes(content)
    with pytest.raises(DigestMismatchError, match=file):
        loader.load(ID)


@pytest.mark.anyio
async def test_batched_equals_single(loader: BundleLoader, log: EventLog) -> None:
    """A text's scores in any batch are within 1e-4 of those it gets alone."""
    model = loader.load(ID)
    generator = np.random.default_rng(3)
    rows = [Row(generator.integers(4, 14, generator.integers(1, 17)).astype(np.int32)) for _ in range(100)]
    with ThreadPoolExecutor(2) as executor:
        resources = SchedulerResources(
            limits=BatchLimits(token_budget=128, queue_rows=200, queue_seconds=60.0),
            slots=Slots(2),
            executor=executor,
            clock=SystemClock(),
            emit=log,
        )
        scheduler = activate(ID, model, resources).scheduler
        together = await asyncio.gather(*(scheduler.submit([row], lane=Lane.INTERACTIVE) for row in rows))
        singly = [await scheduler.submit([row], lane=Lane.INTERACTIVE) for row in rows]
        await scheduler.close()
    assert max(report.rows for report in log.of(BatchRan)) > 1
    np.testing.assert_allclose(np.concatenate(together), np.concatenate(singly), atol=1e-4)


def test_a_missing_runtime_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the setting, before any version is loaded."""
    monkeypatch.setattr("toxic_model.opening.RUNTIMES", ())
    with pytest.raises(ConfigurationError, match=r"INFERENCE_RUNTIME.*install"):
        model_opener(Settings(runtime="auto"))


@pytest.mark.parametrize("runtime", ["openvino", "tensorflow"])
def test_libraries_are_excluded_from_garbage_collection(
    build_bundle: BundleFactory, tmp_path: Path, runtime: str
) -> None:
    """A full collection stops every caller for as long as it has objects to look through."""
    build_bundle(tmp_path / "1")
    program = (
        "import gc\n"
        "import mlflow.tracking\n"  # as a service that follows a registry has
        "from pathlib import Path\n"
        "from toxic_inference.adapters.loader import BundleLoader, model_opener\n"
        "from toxic_inference.adapters.origin import open_origin\n"
        "from toxic_inference.settings import Settings\n"
        f"settings = Settings(model_directory=Path({str(tmp_path)!r}), runtime={runtime!r})\n"
        "origin = open_origin(settings)\n"
        "(version,) = origin.source.aspired()\n"
        "servable = BundleLoader(origin.store, model_opener(settings)).load(version.id)\n"
        "print(len(gc.get_objects()), gc.get_freeze_count())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seen, excluded = map(int, done.stdout.split("\n")[-2].split())
    assert seen < excluded / 10
