"""Clients of the Perspective API: how each is installed and started, and what its calls must return.

`clients.toml` lists them, and the programs that call them as their READMEs do, in their default settings. A
program prints what each call returned as a JSON object.
"""

import json
import math
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Self

from toxic_testing.inference.drop_in import DropIn

TEXT = "You are a stupid idiot, and I wish you a lovely day."
ATTRIBUTES = ("TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT")

PROGRAMS = Path(__file__).parents[5] / "services/inference/tests/clients/perspective/programs"

_GOOGLES_ERROR = re.compile(r"Attribute \w+ does not support request languages: \w+")
_SHOWN = 80
"""Characters of another error that the document has."""

_TITLE = """# Clients of the Perspective API

Written by `make clients`. It starts the service with a tiny model, and
[the recipe](../infra/perspective-drop-in/README.md) in a network of its own. Each client makes the calls of
its README, in its default settings, unchanged: it sends its requests to Google's host name.

A call is right if it returns the service's scores; Google's error if it asks only for attributes that the
model lacks; or the client's own error if it can't read an answer without one of them.

## Called
"""
_RECORDED = """
## By their requests

These clients can't be installed here, or need a host program. Their requests, as their source forms them, are
sent byte by byte, and the answers must have what they read.
"""


@dataclass(frozen=True, slots=True)
class Program:
    """What calls the clients of one language.

    Attributes:
        command: shell command that makes the calls; it has the variables of `call_client`.
        prepare: shell command that installs a client before.
    """

    command: str
    prepare: str = "true"


@dataclass(frozen=True, slots=True)
class Client:
    """A client.

    Attributes:
        name: its name, unique.
        language: that it is written in.
        program: the one that calls it; `recorded` sends its requests instead.
        calls: what must come back, by the call: attributes, whose scores must be the service's (`SIX` are
            `ATTRIBUTES`); `= text`; or `error: text`, a part of the client's error.
        version: or commit; `deb:NAME` or `pip:NAME` for that of an installed package; `unknown` of requests
            whose source names none.
        install: packages, as arguments of its program's `prepare`.
        trust: the variable by which it trusts a private authority; empty if it trusts what the system trusts.
        reads: what it reads of an answer, as paths such as `detectedLanguages.0`, if its requests are sent.
        slow: whether installing it takes long.
    """

    name: str
    language: str
    program: str
    version: str
    calls: Mapping[str, str]
    install: Sequence[str] = ()
    trust: str = ""
    reads: Sequence[str] = ()
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client's calls returned.

    Attributes:
        client: the client.
        results: what each call returned, in words.
        problems: what is wrong with any.
    """

    client: Client
    results: Mapping[str, str]
    problems: Sequence[str]

    @classmethod
    def of(cls, client: Client, found: Mapping[str, object], right: Mapping[str, float]) -> Self:
        """Compare what the calls returned with what must come back; `right` are the service's scores."""
        got = {call: _reduced(value, client.reads) for call, value in found.items()}
        problems = [
            f"{call}: {got.get(call)!r}, not {wanted}"
            for call, wanted in client.calls.items()
            if not _fits(got.get(call), wanted, right)
        ]
        problems += [f"{call}: clients.toml has no such call" for call in got.keys() - client.calls.keys()]
        return cls(client, {call: _in_words(value) for call, value in got.items()}, problems)


def read_clients(folder: Path) -> tuple[dict[str, Program], list[Client]]:
    """Return the programs and the clients of a folder's `clients.toml`."""
    with (folder / "clients.toml").open("rb") as file:
        tables = tomllib.load(file)
    programs = {name: Program(**table) for name, table in tables["program"].items()}
    return programs, [Client(**table) for table in tables["client"]]


def asked_attributes(clients: Iterable[Client]) -> set[str]:
    """Return every attribute of which a call must return the score."""
    scored = {name for each in clients for wanted in each.calls.values() for name in _attributes(wanted)}
    return scored | set(ATTRIBUTES)


def call_client(client: Client, program: Program, drop_in: DropIn, folder: Path) -> dict[str, object]:
    """Install a client, let it make its calls, and return what they returned.

    The commands have the variables PROGRAMS, the folder of the programs; FOLDER, where to install; CLIENT,
    TEXT and PYTHON. What prepares has the packages as its arguments, and CA, the authority's certificate.

    Raises:
        AssertionError: a command failed.
    """
    authority = str(drop_in.certificates / "ca.crt")
    variables = {
        "PROGRAMS": str(PROGRAMS),
        "FOLDER": str(folder),
        "CLIENT": client.name,
        "TEXT": TEXT,
        "PYTHON": sys.executable,
    }
    prepared = subprocess.run(
        ["sh", "-euc", program.prepare, "sh", *client.install],
        env=os.environ | variables | {"CA": authority},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert prepared.returncode == 0, prepared.stderr
    trusted = {client.trust: authority} if client.trust.isupper() else {}
    calls = client.calls if client.program == "recorded" else ()
    done = drop_in.run(["sh", "-euc", program.command, "sh", *calls], variables | trusted)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def document_of(outcomes: Sequence[Outcome]) -> str:
    """Return docs/perspective-clients.md."""
    called = [each for each in outcomes if each.client.program != "recorded"]
    recorded = [each for each in outcomes if each.client.program == "recorded"]
    return "\n".join([_TITLE, *_table(called), _RECORDED, *_table(recorded), ""])


def _table(outcomes: Iterable[Outcome]) -> Iterator[str]:
    yield "| client | version | trusts the authority by | calls | outcome |"
    yield "|---|---|---|---|---|"
    for each in outcomes:
        client = each.client
        trust = f"`{client.trust}`" if client.trust else "the system's store"
        calls = "; ".join(f"`{call}`: {each.results[call]}" for call in client.calls if call in each.results)
        outcome = f"**fails**: {'; '.join(each.problems)}" if each.problems else "works"
        cells = (f"{client.name} ({client.language})", _version(client.version), trust, calls, outcome)
        yield f"| {' | '.join(cell.replace('|', '¦') for cell in cells)} |"


def _version(version: str) -> str:
    kind, _, name = version.partition(":")
    if kind == "pip":
        return metadata.version(name)
    if kind == "deb":
        asked = ["dpkg-query", "--show", "--showformat=${Version}", name]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return version


def _reduced(answer: object, reads: Sequence[str]) -> object:
    """Return what counts of an answer: its scores, its error's message, or its token."""
    if isinstance(answer, list):
        parts = [_reduced(each, reads) for each in answer]
        return next((each for each in parts if isinstance(each, dict) and "error" in each), parts[0])
    if not isinstance(answer, dict):
        return answer
    if isinstance(error := answer.get("error"), dict):
        return {"error": error["message"]}
    if missing := [path for path in reads if not _has(answer, path)]:
        return {"error": f"the answer lacks {missing[0]}, which the client reads"}
    if "attributeScores" in answer:
        return {name: each["summaryScore"]["value"] for name, each in answer["attributeScores"].items()}
    return answer.get("clientToken", answer)


def _has(answer: object, path: str) -> bool:
    for step in path.split("."):
        if isinstance(answer, list) and int(step) < len(answer):
            answer = answer[int(step)]
        elif isinstance(answer, dict) and step in answer:
            answer = answer[step]
        else:
            return False
    return True


def _attributes(wanted: str) -> list[str]:
    return [] if re.match("= |error: ", wanted) else wanted.replace("SIX", " ".join(ATTRIBUTES), 1).split()


def _fits(got: object, wanted: str, right: Mapping[str, float]) -> bool:
    if wanted.startswith("= "):
        return got == wanted[2:]
    if not isinstance(got, dict):
        return False
    if wanted.startswith("error: "):
        return got.keys() == {"error"} and wanted[7:] in str(got["error"])
    return got.keys() == set(_attributes(wanted)) and all(
        math.isclose(value, right[name], abs_tol=1e-4) for name, value in got.items()
    )


def _in_words(got: object) -> str:
    if not isinstance(got, dict):
        return f"`{got}`"
    if "error" in got:
        message = " ".join(str(got["error"]).split())
        googles = _GOOGLES_ERROR.search(message)
        return f"error “{googles[0] if googles else message[:_SHOWN]}”"
    return f"{len(got)} score{'s' * (len(got) != 1)}"
