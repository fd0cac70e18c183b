"""A community's move from a Perspective API, by `toxic-migrate` and real services."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from toxic_core.contract import open_bundle
from toxic_migrate.ours import score_by_bundle
from toxic_migrate.tables import Scored
from toxic_model.opening import open_model
from toxic_model.precision import Precision
from toxic_model.scoring import AS_SERVED
from toxic_model.warmup import WarmUp
from toxic_testing.inference.bundles import WORDS, BundleFactory
from toxic_testing.inference.perspective import ANALYZE, asked
from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "toxic_migrate")
ATTRIBUTES = ("--attributes", "TOXICITY,INSULT")
KILLS = 10


def write_comments(path: Path, rows: int) -> Path:
    """Write a table of mild comments, some of them with commas and line breaks."""
    draw = np.random.default_rng(3)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "comment_text", "lang"])
        for number in range(rows):
            words = draw.choice(WORDS, int(draw.integers(1, 9)))
            writer.writerow([number, f"{', '.join(words[:2])}\n{' '.join(words[2:])} {number}", "en"])
    return path


class Service:
    """An inference service with a tiny model; `scale` is its INFERENCE_PERSPECTIVE_SCALE."""

    def __init__(self, inference: Any, folder: Path, *, scale: str = "none") -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.server: Server = inference.start(
            {
                "INFERENCE_PORT": str(self.port),
                "INFERENCE_MODEL_DIRECTORY": str(folder),
                "INFERENCE_PERSPECTIVE_SCALE": scale,
                "INFERENCE_STATE_DIR": str(folder.with_name(f"state-{self.port}")),
                "INFERENCE_POLL_INTERVAL_SECONDS": "0.2",
            }
        )
        self.server.logs.wait_for("route.moved")

    def toxicity(self, text: str) -> float:
        """Return a comment's score, as a client of the Perspective API gets it."""
        answer = httpx.post(f"{self.address}{ANALYZE}", json=asked(text, languages=["en"]), timeout=30)
        assert answer.status_code == 200, answer.text
        value: float = answer.json()["attributeScores"]["TOXICITY"]["summaryScore"]["value"]
        return value


@pytest.fixture
def serve(inference: Any, build_bundle: BundleFactory, tmp_path: Path) -> Callable[..., Service]:
    """Start a service with a model of a bias, which tells models apart."""

    def start(*, bias: float, scale: str = "none") -> Service:
        folder = tmp_path / f"models-{bias}"
        build_bundle(folder / "1", bias=bias)
        return Service(inference, folder, scale=scale)

    return start


def run(*arguments: object, folder: Path) -> str:
    """Run `toxic-migrate` to its end; return what it printed."""
    command = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stderr


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_recording_survives_ten_kills(serve: Callable[..., Service], tmp_path: Path) -> None:
    """No comment is lost or recorded twice, and only those in flight are asked for again."""
    comments, out = write_comments(tmp_path / "comments.csv", rows=400), tmp_path / "scores.csv"
    reference = serve(bias=0.0)
    arguments = ["record", comments, "--out", out, "--address", reference.address, "--rate", 400, *ATTRIBUTES]
    for number in range(1, KILLS + 1):
        with subprocess.Popen([*COMMAND, *map(str, arguments)], stderr=subprocess.DEVNULL) as killed:
            while killed.poll() is None and (
                not out.exists() or out.read_bytes().count(b",\r\n") < 30 * number
            ):
                pass
            assert killed.poll() is None, "the recording ended before it was killed"
            killed.kill()
    said = run(*arguments, folder=tmp_path)
    assert said.splitlines()[-1] == "400 of 400 comments, 0 of them with an error"
    recorded = rows_of(out)
    assert sorted(row["comment_text"] for row in recorded) == sorted(
        row["comment_text"] for row in rows_of(comments)
    )
    assert len({row["key"] for row in recorded}) == 400
    assert all(0 <= float(row["TOXICITY"]) <= 1 and not row["error"] for row in recorded)
    metrics = httpx.get(f"{reference.address}/metrics").text
    answered = re.search(
        r'requests_total\{door="perspective",[^}]*comments:analyze[^}]*status="200"\} (\d+)', metrics
    )
    assert answered
    assert 400 <= int(answered[1]) <= 400 + KILLS * 8


def documented() -> Iterator[list[str]]:
    """Yield the commands of the journey in docs/migrate.md."""
    text = (ROOT / "docs" / "migrate.md").read_text(encoding="utf-8")
    section = text.split("## The journey")[1].split("\n## ")[0]
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            if line.strip().startswith("$ "):
                yield line.strip()[2:].split()


def test_the_documented_journey_keeps_a_client_s_decisions(
    serve: Callable[..., Service], tmp_path: Path
) -> None:
    """Record, compare, fit, and serve with the scale, by the page's commands; the client stays as it is."""
    write_comments(tmp_path / "comments.csv", rows=900)
    reference = serve(bias=-1.5)  # a reference with much lower scores
    commands = [command for command in documented() if command[0] == "toxic-migrate"]
    assert [command[1] for command in commands] == ["record", "compare", "fit", "compare"]
    texts = [row["comment_text"] for row in rows_of(tmp_path / "comments.csv")][:40]
    theirs = [reference.toxicity(text) for text in texts]

    ours = serve(bias=0.5)
    before = [ours.toxicity(text) for text in texts]
    for command in commands[:3]:
        at = reference if command[1] == "record" else ours
        fast = ["--rate", "400", *ATTRIBUTES] if command[1] == "record" else []
        run(*command[1:], "--address", at.address, *fast, folder=tmp_path)
    assert "TOXICITY" in (tmp_path / "comparison.html").read_text(encoding="utf-8")

    scaled = serve(bias=0.5001, scale=str(tmp_path / "scale.json"))
    run(*commands[3][1:], "--address", scaled.address, folder=tmp_path)
    figures = json.loads(
        (tmp_path / commands[3][commands[3].index("--out") + 1]).with_suffix(".json").read_text()
    )
    (toxicity,) = [
        each for each in figures["comparisons"] if each["attribute"] == "TOXICITY" and each["language"] == "*"
    ]
    assert toxicity["difference_scaled"] < toxicity["difference"] / 4
    after = [scaled.toxicity(text) for text in texts]
    agreement = [
        np.mean([(a >= 0.3) == (b >= 0.3) for a, b in zip(theirs, each, strict=True)])
        for each in (before, after)
    ]
    assert agreement[0] < 0.8
    assert agreement[1] > 0.95

    # The client's scale is a file that changes and breaks while the service runs.
    shown = httpx.get(f"{scaled.address}/v1alpha1/scale").json()
    assert shown["origin"] == "file"
    assert shown["source"] == "900 comments of scores.csv"
    file = tmp_path / "scale.json"
    whole = file.read_text(encoding="utf-8")
    file.write_text("{", encoding="utf-8")
    assert scaled.toxicity(texts[0]) == after[0]
    scaled.server.logs.wait_for("scale.unreadable")
    file.write_text(whole.replace("900 comments", "the comments"), encoding="utf-8")
    assert httpx.get(f"{scaled.address}/v1alpha1/scale").json()["source"] == "the comments of scores.csv"


def test_a_bundle_gives_the_scores_of_a_service(
    build_bundle: BundleFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long text is read as by default, to its end; and no stopwatch chooses a precision."""
    folder = build_bundle(tmp_path / "bundle", figures={Precision.INT8.auc_change: 0.0})
    monkeypatch.delattr(WarmUp, "rate")
    texts, languages = ("you are kind", "lovely day " * 400 + "idiot " * 14), ("", "tr")
    ours = score_by_bundle(Scored(texts, languages, {}), folder=folder)
    model = open_model(open_bundle(folder), threads=1, overlap=AS_SERVED.overlap, precision="float32")
    expected = model.score(texts, ["en", "tr"], options=AS_SERVED).scores
    np.testing.assert_allclose(ours.calibrated["TOXICITY"], expected[:, 0], atol=1e-5)
    assert ours.languages == ("en", "tr")
