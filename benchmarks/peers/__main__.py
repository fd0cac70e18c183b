"""The inference service beside its peers, measured in one run.

    python -m benchmarks.peers --bundle FOLDER --scale full

Makes the peers' environments, measures everybody in turns, and writes docs/benchmarks.md. A run that was
killed resumes, unless model, texts or code have changed; `--again` begins anew. The
machine should be idle otherwise.
"""

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TypedDict

import benchmarks
import toxic_core
import toxic_inference
from benchmarks.peers.contenders import CONTENDERS, HERE, OURS, interpreter
from benchmarks.peers.environments import InstallError, make_environment
from benchmarks.peers.processes import StartError
from benchmarks.peers.report import DETOXIFY, FLOOR, Results, write_report
from benchmarks.peers.rounds import MAIN_CALLERS, OPEN_LOAD, SCALES, Bench, program_round, serve_round
from benchmarks.peers.traffic import comments
from toxic_core.contract import file_digest, open_bundle
from toxic_core.telemetry import disable_telemetry

_UNCUT_TOKENS = 4_096
_DIGITS = 12
_DETOXIFY_TEXTS = 64
"""Fewer than the others get: it does some a second."""


class _Line(TypedDict):
    name: str
    round: int
    figures: dict[str, object]
    error: str


def main() -> None:
    """Measure what is asked for."""
    disable_telemetry()
    # A SystemExit unwinds what is running, which ends its processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = _parser().parse_args()
    bundle = open_bundle(chosen.bundle.resolve())
    scale = SCALES[chosen.scale]
    tokeniser = bundle.tokeniser(max_tokens=_UNCUT_TOKENS)
    texts = comments(scale.sample, tokeniser=tokeniser)
    inputs = (
        *texts,
        *bundle.contract.files.values(),
        *source_digests(benchmarks, toxic_core, toxic_inference),
    )
    folder = _run_folder(chosen.work.resolve(), scale=chosen.scale, inputs=inputs)
    if chosen.again:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(bundle.path, chosen.cache.resolve(), folder, texts, scale)
    names = [FLOOR, OURS, *(name for name in chosen.only if name != OURS)]
    results = _measure(bench, names)
    write_report(results, chosen.out, scale=chosen.scale, bundle=bundle.contract.base_model)
    print(f"Written: {chosen.out}")


def source_digests(*packages: ModuleType) -> Iterator[str]:
    """Yield the digest of every source file of the packages: other code's figures aren't its own."""
    for package in packages:
        for root in package.__path__:
            yield from (file_digest(file) for file in sorted(Path(root).rglob("*.py")))


def _run_folder(work: Path, *, scale: str, inputs: Sequence[str]) -> Path:
    """Return the folder of runs on these inputs: figures of others are never gone on from."""
    digest = sha256("\n".join(inputs).encode()).hexdigest()[:_DIGITS]
    return work / f"{scale}-{digest}"


def _parser() -> argparse.ArgumentParser:
    peers = [*(name for name in CONTENDERS if name != OURS), DETOXIFY]
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description="The service beside its peers.")
    parser.add_argument("--bundle", type=Path, required=True, help="the one model, a bundle's folder")
    parser.add_argument("--scale", choices=SCALES, default="quick", help="how much is done")
    parser.add_argument("--only", choices=peers, nargs="*", default=peers, help="which peers")
    parser.add_argument(
        "--cache", type=Path, default=Path("var/benchmarks/peers"), help="the peers' environments"
    )
    parser.add_argument("--work", type=Path, default=Path("var/benchmarks/run"), help="logs and results")
    parser.add_argument("--again", action="store_true", help="forget what an earlier run found")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"), help="the report")
    return parser


def _measure(bench: Bench, names: Sequence[str]) -> Results:
    """Measure everybody in turns, leaving out what the results hold already."""
    path = bench.folder / "results.jsonl"
    # Who failed is tried again.
    lines = [line for line in _read(path) if not line["error"]]
    for number in range(bench.scale.rounds):
        for name in names:
            mine = [line for line in lines if line["name"] == name]
            if any(line["round"] == number or line["error"] for line in mine):
                continue
            line = _line(bench, name, number, lines)
            lines.append(line)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            _show(line)
    wanted = [line for line in lines if line["name"] in names]
    return Results(
        rounds={
            name: [line["figures"] for line in wanted if line["name"] == name and not line["error"]]
            for name in names
        },
        errors={line["name"]: line["error"] for line in wanted if line["error"]},
    )


def _read(path: Path) -> list[_Line]:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.is_file() else []


def _line(bench: Bench, name: str, number: int, lines: Sequence[_Line]) -> _Line:
    """Measure one round; a peer that can't be measured gets a line with the reason, and no further round."""
    try:
        return {"name": name, "round": number, "figures": _round(bench, name, number, lines), "error": ""}
    except (InstallError, StartError) as error:
        if name in {FLOOR, OURS}:
            sys.exit(f"{error}\nWithout it nothing can be compared.")
        return {"name": name, "round": number, "figures": {}, "error": str(error)}


def _round(bench: Bench, name: str, number: int, lines: Sequence[_Line]) -> dict[str, object]:
    if name == FLOOR:
        command = [sys.executable, "-m", "benchmarks.peers.floor", str(bench.bundle)]
        return program_round(bench, command, texts=bench.texts)
    if name != OURS:
        make_environment(name, cache=bench.cache)
    if name == DETOXIFY:
        command = [str(interpreter(name, cache=bench.cache)), str(HERE / "detoxify/loop.py")]
        return program_round(bench, command, texts=bench.texts[:_DETOXIFY_TEXTS])
    floor = _figures(lines, FLOOR, number)
    ours = _figures(lines, OURS, number)
    peak = ours.get(f"closed_{MAIN_CALLERS}_rate", 0.0)
    reference = floor["reference"]
    assert isinstance(peak, float)  # noqa: S101  as it was written
    assert isinstance(reference, list)  # noqa: S101  as it was written
    found = serve_round(bench, CONTENDERS[name], reference=reference, rate=OPEN_LOAD * peak)
    return dict(found)


def _figures(lines: Sequence[_Line], name: str, number: int) -> dict[str, object]:
    return next((line["figures"] for line in lines if line["name"] == name and line["round"] == number), {})


def _show(line: _Line) -> None:
    figures = {key: round(value, 4) for key, value in line["figures"].items() if isinstance(value, float)}
    print(f"round {line['round'] + 1}, {line['name']}: {line['error'] or figures}", flush=True)


if __name__ == "__main__":
    main()
