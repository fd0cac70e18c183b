from pathlib import Path

import pytest
import ray
from pyarrow import parquet

from toxic_batch.blocks import columns_of, plan
from toxic_batch.manifest import Work
from toxic_batch.storage import Place
from toxic_batch.worker import Task, Worker, pack
from toxic_core.contract import open_bundle
from toxic_core.tables import NO_OPTIONS
from toxic_model.opening import open_model
from toxic_model.precision import Precision
from toxic_model.scoring import ScoringOptions
from toxic_model.table_scoring import NO_TEXT, output_names
from toxic_model.warmup import WarmUp
from toxic_testing.inference.bundles import BundleFactory

OPTIONS = ScoringOptions(batch_tokens=64, max_windows=4)


def test_a_worker_writes_a_part_with_scores(
    build_bundle: BundleFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block becomes a part: the input's columns, then the scores of the chosen column's texts."""
    bundle = open_bundle(build_bundle(tmp_path / "bundle", figures={Precision.INT8.auc_change: 0.0}))
    monkeypatch.delattr(WarmUp, "rate")  # the stopwatch may choose another precision on each machine
    (tmp_path / "a.csv").write_text("id,text,body\n1,x,you are kind\n2,x,\n", encoding="utf-8")
    monkeypatch.setattr(ray, "get", lambda held: held)
    file = Place.of(str(tmp_path / "a.csv"))
    work = Work(
        files=(),
        columns=columns_of(file, NO_OPTIONS),
        form="parquet",
        block_bytes=1_000,
        windows=4,
        overlap=0,
        text_column="body",
    )
    out = Place.of(str(tmp_path / "out"))
    task = Task("7", OPTIONS, work, sources={file.path: file}, out=out, threads=1)
    (block,) = plan([file], block_bytes=1_000, options=NO_OPTIONS)
    worker = Worker(task, pack(bundle))  # type: ignore[arg-type]  # as Ray hands it out
    outcome = worker.score(block)
    assert (outcome.rows, outcome.rejected, outcome.error) == (2, 1, "")
    part = parquet.read_table(tmp_path / "out" / "part-000000.parquet")
    assert part.column_names == ["id", "text", "body", *output_names(bundle.contract)]
    expected = open_model(bundle, threads=1, precision="float32").score(
        ["you are kind"], ["en"], options=OPTIONS
    )
    assert part["score_toxic"].to_pylist() == [pytest.approx(expected.scores[0, 0], abs=1e-5), None]
    assert part["error"].to_pylist() == ["", NO_TEXT]
