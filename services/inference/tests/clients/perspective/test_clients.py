"""Programs that others wrote for the Perspective API, unmodified, with Google's host built in."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from toxic_testing.inference.drop_in import DropIn
from toxic_testing.inference.perspective import ANALYZE, asked
from toxic_testing.inference.perspective_clients import (
    TEXT,
    Client,
    Outcome,
    asked_attributes,
    call_client,
    document_of,
    read_clients,
)

PROGRAMS, CLIENTS = read_clients(Path(__file__).parent)
SAMPLE = next(each for each in CLIENTS if each.program == "recorded")


@pytest.fixture(scope="session")
def right(address: str) -> dict[str, float]:
    """The service's scores of the text, by attribute."""
    answer = httpx.post(f"{address}{ANALYZE}", json=asked(TEXT, *asked_attributes(CLIENTS)))
    return {name: each["summaryScore"]["value"] for name, each in answer.json()["attributeScores"].items()}


def test_a_client_works(
    client: Client,
    drop_in: DropIn,
    right: dict[str, float],
    outcomes: list[Outcome],
    tmp_path: Path,
) -> None:
    """Every call of its README returns what it must."""
    try:
        found = call_client(client, PROGRAMS[client.program], drop_in, tmp_path)
    except AssertionError as error:
        outcomes.append(Outcome(client, {}, [str(error).strip().rpartition("\n")[2]]))
        raise
    outcomes.append(Outcome.of(client, found, right))
    assert not outcomes[-1].problems


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({}, "None"),
        ({"error": {"message": "no"}}, "no"),
        ({"attributeScores": {"TOXICITY": {"summaryScore": {"value": 0.4}}}}, "0.4"),
        ({"attributeScores": {"THREAT": {"summaryScore": {"value": 0.5}}}}, "THREAT"),
    ],
)
def test_a_client_that_fails_is_reported(found: dict[str, object], problem: str) -> None:
    """No score, an error, another score or another attribute is a problem, which the document names."""
    client = replace(SAMPLE, calls={"call": "TOXICITY"}, reads=())
    outcome = Outcome.of(client, {"call": found} if found else {}, {"TOXICITY": 0.5, "THREAT": 0.5})
    assert problem in outcome.problems[0]
    assert "**fails**: call: " in document_of([outcome])


def test_what_a_client_reads_must_be_there() -> None:
    """Its program would stop without it."""
    client = replace(SAMPLE, calls={"call": "TOXICITY"}, reads=("detectedLanguages.0",))
    answer = {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 0.5}}}, "detectedLanguages": []}
    assert "detectedLanguages.0" in Outcome.of(client, {"call": answer}, {"TOXICITY": 0.5}).problems[0]


def test_the_document_has_every_client(pytestconfig: pytest.Config) -> None:
    """`make clients` wrote it after the last change of the list, and no client failed."""
    if pytestconfig.getoption("clients_document", None):
        return  # it is written after the last test
    document = (Path(__file__).parents[5] / "docs/perspective-clients.md").read_text(encoding="utf-8")
    assert [each.name for each in CLIENTS if f"| {each.name} (" not in document] == []
    assert "**fails**" not in document


def test_a_recorded_request_is_complete() -> None:
    """Its length is the one that it declares, and each is a client's."""
    files = {path.stem: path.read_bytes() for path in (Path(__file__).parent / "recorded").iterdir()}
    assert files.keys() == {call for each in CLIENTS if each.program == "recorded" for call in each.calls}
    for name, request in files.items():
        head, _, body = request.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n"), name
