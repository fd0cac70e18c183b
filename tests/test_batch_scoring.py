"""`toxic-batch` with a real Ray and a real, tiny SavedModel."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toxic_core.contract import open_bundle
from toxic_model.opening import open_model
from toxic_model.scoring import ScoringOptions
from toxic_model.table_scoring import NO_TEXT, output_names
from toxic_testing.inference.bundles import BundleFactory

pytestmark = pytest.mark.slow

TEXTS = ("you are kind", "you stupid\nidiot", "", "lovely day " * 30, "a fool")
COMMAND = (sys.executable, "-m", "toxic_batch")


def write_rows(path: Path, *, rows: int) -> Path:
    """Write a table of short and long texts, some of them empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "comment_text", "lang"])
        writer.writerows((number, TEXTS[number % len(TEXTS)], "en") for number in range(rows))
    return path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [*COMMAND, *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def parts(out: Path) -> dict[str, tuple[int, int]]:
    """Return the facts that change if a part is written again."""
    found = {path.name: path.stat() for path in sorted(out.glob("part-*"))}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


@pytest.mark.e2e
def test_a_killed_job_goes_on_without_scoring_again(build_bundle: BundleFactory, tmp_path: Path) -> None:
    """After SIGKILL the same command does only what is left, and the whole has the library's scores."""
    bundle = build_bundle(tmp_path / "bundle")
    source = write_rows(tmp_path / "comments.csv", rows=500)
    out = tmp_path / "out"
    # Two cores if there are two, so that batches run in parallel.
    cpus = min(2, os.cpu_count() or 1)
    where = (source, "--bundle", bundle, "--out", out)
    arguments = (*where, "--block-bytes", 1_000, "--workers", 1, "--worker-cpus", cpus)
    command = [*COMMAND, *(str(argument) for argument in arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as killed:
        assert killed.stderr is not None
        said = next(line for line in killed.stderr if line.startswith("1 of "))
        killed.kill()
    blocks = int(said.split()[2])
    before = parts(out)
    assert 0 < len(before) < blocks

    resumed = run(*arguments)
    assert resumed.returncode == 0, resumed.stderr
    after = parts(out)
    assert len(after) == blocks
    kept = {name for name, stat in before.items() if after[name] == stat}
    assert kept == set(before)

    scored = pd.concat([pd.read_parquet(out / name) for name in after], ignore_index=True)
    table = pd.read_csv(source, dtype=str, keep_default_na=False)
    assert scored["id"].tolist() == table["id"].tolist()
    options = ScoringOptions(batch_tokens=8192, max_windows=400, overlap=16)
    model = open_model(open_bundle(bundle), threads=1, overlap=options.overlap)
    empty = table["comment_text"] == ""
    texts, languages = (table[name][~empty].tolist() for name in ("comment_text", "lang"))
    expected = model.score(texts, languages, options=options)
    names = output_names(model.contract)
    assert scored.columns.tolist() == [*table.columns, *names]
    scores, decisions = scored[list(names[:6])], scored[list(names[6:12])]
    np.testing.assert_allclose(scores[~empty], expected.scores, atol=1e-5)
    assert (decisions[~empty].to_numpy() == expected.decisions).all()
    assert scores[empty].isna().all(axis=None)
    assert scored["error"].tolist() == [NO_TEXT if missing else "" for missing in empty]


@pytest.mark.e2e
def test_a_bad_block_stops_no_other(build_bundle: BundleFactory, tmp_path: Path) -> None:
    """The rest is scored, and the command ends with status 1 and one line that names the bad block."""
    (tmp_path / "a.csv").write_text("text\nyou are kind\n", encoding="utf-8")
    damaged = tmp_path / "b.parquet"
    pd.DataFrame({"text": ["you are stupid"]}).to_parquet(damaged)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:4] + bytes(40) + content[44:])  # a page; the list of pages is at the end
    bundle = build_bundle(tmp_path / "bundle")
    ended = run(tmp_path / "a.csv", damaged, "--bundle", bundle, "--out", tmp_path / "out")
    assert ended.returncode == 1
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert "1 of 2 blocks" in line
    assert "b.parquet" in line
    assert "stupid" not in ended.stderr
    assert list(parts(tmp_path / "out")) == ["part-000000.parquet"]


@pytest.mark.server
def test_bad_input_is_refused_before_ray_starts(build_bundle: BundleFactory, tmp_path: Path) -> None:
    """A file without texts, or one that is scored already, ends with one line and what to do."""
    bundle = build_bundle(tmp_path / "bundle")
    (tmp_path / "a.csv").write_text("name,score_toxic\nx,1\n", encoding="utf-8")
    ended = run(tmp_path / "a.csv", "--bundle", bundle, "--out", tmp_path / "out")
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "error: The table has no column of texts (comment_text, content, text, comment, message, body). "
    )
    assert not (tmp_path / "out").exists()
