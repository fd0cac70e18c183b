"""The benchmark against peers: what it makes of figures, without starting anybody."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
from benchmarks.peers.__main__ import source_digests
from benchmarks.peers.contenders import CONTENDERS, OURS, ROOT
from benchmarks.peers.report import FLOOR, Results, write_report
from benchmarks.peers.rounds import scores_in, steady_rate
from benchmarks.peers.traffic import comments
from benchmarks.serving.attacks import ATTACKS, Seen, figures_of
from benchmarks.serving.load import HOST, LOST, Callers, Outcome
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from toxic_core.tokens import Tokeniser


def figures(rate: float) -> Mapping[str, object]:
    """Return a server's round at this rate, all else the same for everybody."""
    closed = {
        f"closed_{callers}_{what}": 1.0
        for callers in (1, 8, 32, 128)
        for what in ("p50", "p99", "failed", "rate")
    }
    rest = dict.fromkeys(("open_p50", "open_p99", "open_failed", "memory_bytes", "ready_seconds"), 1.0)
    used = {"cpu_per_thousand": 10.0, "generator_per_thousand": 0.1}
    return {**closed, **rest, **used, "closed_32_rate": rate}


def report(tmp_path: Path, results: Results) -> str:
    """Return the report of these results."""
    path = tmp_path / "docs" / "benchmarks.md"
    write_report(results, path, scale="quick", bundle="tiny")
    return path.read_text(encoding="utf-8")


def test_a_ratio_is_of_one_round_and_against_that_rounds_best_peer(tmp_path: Path) -> None:
    """A slow moment of the machine, which slows a whole round, moves no ratio."""
    rounds = {
        OURS: [figures(30.0), figures(3.0)],
        "litserve": [figures(10.0), figures(1.0)],
        "ray": [figures(5.0), figures(0.5)],
    }
    written = report(tmp_path, Results(rounds=rounds, errors={}))
    assert "| throughput, 32 callers, against the best peer | 3.00× (3.00 to 3.00) | ≥ 2× | yes |" in written


def test_a_missed_figure_is_shown_as_missed(tmp_path: Path) -> None:
    """A report must show missed targets."""
    floor = {"rate": 40.0, "cpu_per_thousand": 1.0, "matmul_per_second": 1e9, "operations_per_second": 5e8}
    written = report(tmp_path, Results(rounds={OURS: [figures(30.0)], FLOOR: [floor]}, errors={}))
    assert "service keeps | 0.75 (0.75 to 0.75) | ≥ 0.9 | **no** |" in written


def test_a_peer_that_does_not_start_is_named_with_its_error(tmp_path: Path) -> None:
    """Ratios against it are reported as missing."""
    written = report(
        tmp_path,
        Results(rounds={OURS: [figures(3.0)]}, errors={"mlflow": f"{ROOT}/a.py can't be\ninstalled"}),
    )
    assert "- mlflow: `a.py can't be installed`" in written
    assert "| throughput, 32 callers, against `mlflow models serve` | not measured | ≥ 5× | no |" in written


@pytest.mark.parametrize(
    "answer",
    [[[0.25, 0.5]], {"scores": [0.25, 0.5]}, {"outputs": [{"shape": [1, 2], "data": [0.25, 0.5]}]}],
)
def test_scores_are_found_however_a_peer_wraps_them(answer: object) -> None:
    """Every peer's answer is held against the model's own scores."""
    assert scores_in(answer) == [0.25, 0.5]


def test_a_rate_is_of_the_time_in_which_every_caller_asks() -> None:
    """The first answers, which all begin at once, and the last, without load beside them, don't count."""
    four = [10.0, 10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 13.0, 20.0, 30.0]
    answered = [Outcome(due=end - 1, seconds=1.0, status=200, version="1") for end in four]
    lost = [Outcome(due=0.0, seconds=11.2, status=status, version="") for status in (LOST, 503)]
    assert steady_rate([*answered, *lost], requesters=2) == 2.0
    assert steady_rate(answered[:5], requesters=2) == 0.0, "too few answers for a rate"


def test_every_contender_states_the_length_of_what_it_sends() -> None:
    """A request of any alphabet is whole HTTP."""
    for contender in CONTENDERS.values():
        head, _, body = contender.request("да").partition(b"\r\n\r\n")
        assert f"content-length: {len(body)}".encode() in head


def test_answers_in_chunks_are_read_whole() -> None:
    """A peer's chunked answer is read to its end."""
    head = b"HTTP/1.1 200 OK\r\n"
    chunks = head + b"transfer-encoding: chunked\r\n\r\n4\r\n[0.5\r\n1\r\n]\r\n0\r\n\r\n"
    answers = [chunks, head + b"content-length: 2\r\n\r\n[]"]

    left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for written in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(written)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    async def ask_twice() -> list[int]:
        async with await asyncio.start_server(answer, HOST, 0) as server:
            callers = Callers(server.sockets[0].getsockname()[1])
            for _ in answers:
                await callers.ask(b"GET / HTTP/1.1\r\n\r\n", due=0.0)
            callers.close()
            await left.wait()
        return [outcome.status for outcome in callers.outcomes]

    assert asyncio.run(ask_twice()) == [200, 200]


def test_comments_are_as_long_as_asked_and_the_same_each_time() -> None:
    """Everybody gets the same texts, with the distribution's median."""
    tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    tokeniser = Tokeniser(tokenizer, max_tokens=4_096, pad_id=0)
    texts = comments(400, tokeniser=tokeniser)
    lengths = sorted(len(text.split()) for text in texts)
    assert texts == comments(400, tokeniser=tokeniser)
    assert 40 < lengths[200] < 65
    assert lengths[-1] <= 865


def test_other_code_is_measured_anew(tmp_path: Path) -> None:
    """A run that was killed doesn't go on with figures of the code before a change."""
    package = ModuleType("package")
    package.__path__ = [str(tmp_path)]
    source = tmp_path / "inner" / "module.py"
    source.parent.mkdir()
    source.write_text("A = 1\n", encoding="utf-8")
    before = list(source_digests(package))
    assert before == list(source_digests(package))
    source.write_text("A = 2\n", encoding="utf-8")
    assert before != list(source_digests(package))


def test_attacks_are_judged_against_the_unloaded_service() -> None:
    """An answer that is late or no score counts as none."""

    def seen(*seconds: float, status: int = 200, grown: float = 0.0) -> Seen:
        asked = [Outcome(0.0, each, status, "") for each in seconds]
        return Seen(asked, asked, expected=len(asked), grown=grown)

    attack, unloaded = ATTACKS[0], seen(0.1, 0.1)
    assert [f.holds for f in figures_of(attack, unloaded, seen(0.2, 0.1))] == [True] * 4
    assert [f.holds for f in figures_of(attack, unloaded, seen(2.0, 0.1, grown=200))] == [False] * 4
    assert figures_of(attack, unloaded, seen(0.1, 0.1, status=429))[3].value == 0


def test_attacks_are_those_of_the_list() -> None:
    """Each once, by its number in `tests/hostile`."""
    numbers = [attack.number for attack in ATTACKS]
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) <= set(range(1, 40))
